package columns

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
)

// Extend is the Widen of a decoder that makes the same columns of every record: schema with those of them that it lacks.
// _rescued joins them when leavesOver says that some record has what they cannot hold.
func Extend(schema *arrow.Schema, made []arrow.Field, leavesOver func(next *arrow.Schema) (bool, error)) (*arrow.Schema, error) {
	have, rescued := Split(schema)
	out := slices.Clone(have)
	for _, m := range made {
		if !slices.ContainsFunc(have, func(f arrow.Field) bool { return f.Name == m.Name }) {
			out = append(out, m)
		}
	}
	next := Join(schema, out, rescued != nil)
	if rescued != nil {
		return next, nil
	}
	over, err := leavesOver(next)
	if err != nil || !over {
		return next, err
	}
	return Join(schema, out, true), nil
}
