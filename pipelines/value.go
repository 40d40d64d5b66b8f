package pipelines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Value is any value of a file, as JSON. Keys keep their order, and numbers their digits.
type Value struct{ text []byte }

// UnmarshalYAML reads the value.
func (v *Value) UnmarshalYAML(n *yaml.Node) (err error) {
	v.text, err = appendJSON(nil, n)
	return err
}

// MarshalJSON is the value.
func (v Value) MarshalJSON() ([]byte, error) { return v.text, nil }

func appendJSON(dst []byte, n *yaml.Node) ([]byte, error) {
	var err error
	switch n.Kind { //nolint:exhaustive // a tree has no others
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, n.Content[i].Value), ':')
			if dst, err = appendJSON(dst, n.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, c := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, c); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	return appendScalar(dst, n)
}

func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...), nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return strconv.AppendBool(dst, b), err
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return append(dst, n.Value...), nil
		}
		var i int64
		if n.Decode(&i) == nil {
			return strconv.AppendInt(dst, i, 10), nil
		}
		var f float64
		if err := n.Decode(&f); err != nil {
			return nil, fmt.Errorf("line %d: %q is no number: %w", n.Line, n.Value, core.ErrInvalid)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) { // as rows have them
			return appendText(dst, strconv.FormatFloat(f, 'g', -1, 64)), nil
		}
		return strconv.AppendFloat(dst, f, 'g', -1, 64), nil
	}
	return appendText(dst, n.Value), nil
}

func appendText(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// parseJSON reads JSON, keeping the digits of numbers.
func parseJSON(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// same reports whether a value is what was wanted: numbers are compared by their value, times by their instant, and a
// field that is null equals one that is not there. With subset, fields of objects that are not wanted may be there.
func same(want, have any, subset bool) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		return ok && len(unlike(w, h, subset)) == 0
	case []any:
		h, ok := have.([]any)
		if !ok || len(w) != len(h) {
			return false
		}
		for i := range w {
			if !same(w[i], h[i], subset) {
				return false
			}
		}
		return true
	case json.Number:
		h, ok := have.(json.Number)
		return ok && sameNumber(w, h)
	case string:
		h, ok := have.(string)
		return ok && (w == h || sameTime(w, h))
	}
	return want == have
}

// unlike names the fields whose values are not those wanted.
func unlike(want, have map[string]any, subset bool) []string {
	var out []string
	for _, k := range names(want) {
		h := have[k]
		if text, ok := h.(string); ok && k == core.RescuedColumn { // rows hold it as a text of JSON
			if _, wantText := want[k].(string); !wantText {
				h, _ = parseJSON([]byte(text)) // what is no JSON is not what was wanted
			}
		}
		if !same(want[k], h, subset) {
			out = append(out, k)
		}
	}
	for _, k := range names(have) {
		if _, ok := want[k]; !ok && have[k] != nil && !subset {
			out = append(out, k)
		}
	}
	return out
}

// maxExponent bounds the numbers that are compared exactly: 1e999999999 would take a gigabyte.
const maxExponent = 400

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	fa, erra := a.Float64()
	fb, errb := b.Float64()
	if erra != nil || errb != nil || fa != fb || len(a) > maxExponent || len(b) > maxExponent {
		return false
	}
	ra, ok1 := new(big.Rat).SetString(string(a))
	rb, ok2 := new(big.Rat).SetString(string(b))
	return ok1 && ok2 && ra.Cmp(rb) == 0
}

func sameTime(a, b string) bool {
	ta, erra := time.Parse(time.RFC3339Nano, a)
	tb, errb := time.Parse(time.RFC3339Nano, b)
	return erra == nil && errb == nil && ta.Equal(tb)
}
