package lake

import (
	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Preview counts the rows of b by the prefix of the file that they would go to, and writes nothing.
func Preview(l Layout, f connectors.Flush, b core.Batch, v *connectors.Verdicts) (map[string]int64, error) {
	s, err := Stage(nil, l, f)
	if err != nil {
		return nil, err
	}
	parts, err := s.parts.split(b, v)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, p := range parts {
		out[p.prefix] += int64(len(p.rows))
	}
	return out, nil
}
