package rows

import (
	"bytes"
	"encoding/json"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
)

// Rescued returns b with what its rescued fields of the given names become: what a stage does to a column holds for the
// values that the column could not hold, too. f returns the new name and value; an empty name takes the field out. The
// caller releases the batch.
func Rescued(b core.Batch, mem memory.Allocator, names []string, f func(name string, value json.RawMessage) (string, json.RawMessage)) core.Batch {
	at := b.Rows.Schema().FieldIndices(core.RescuedColumn)
	if len(at) > 0 {
		if col, ok := b.Rows.Column(at[0]).(*array.String); ok && mentions(col, names) {
			return Put(b, b.Rows.Schema(), at[0], rewrite(col, mem, names, f))
		}
	}
	b.Retain()
	return b
}

// mentions reports whether a name may be a key anywhere in the column. Most batches have nothing rescued.
func mentions(col *array.String, names []string) bool {
	if col.NullN() == col.Len() {
		return false
	}
	text := col.ValueBytes()
	if bytes.IndexByte(text, '\\') >= 0 {
		return true // a key may be written otherwise
	}
	for _, name := range names {
		if bytes.Contains(text, []byte(name)) {
			return true
		}
	}
	return false
}

func rewrite(col *array.String, mem memory.Allocator, names []string, f func(string, json.RawMessage) (string, json.RawMessage)) arrow.Array {
	out := array.NewStringBuilder(mem)
	defer out.Release()
	for i := range col.Len() {
		var fields map[string]json.RawMessage
		if col.IsNull(i) || json.Unmarshal([]byte(col.Value(i)), &fields) != nil {
			appendAsIs(out, col, i)
			continue
		}
		changed := false
		for _, name := range names {
			value, ok := fields[name]
			if !ok {
				continue
			}
			changed = true
			delete(fields, name)
			if to, v := f(name, value); to != "" {
				fields[to] = v
			}
		}
		text, err := json.Marshal(fields)
		switch {
		case !changed || err != nil:
			appendAsIs(out, col, i)
		case len(fields) == 0:
			out.AppendNull()
		default:
			out.Append(string(text))
		}
	}
	return out.NewArray()
}

func appendAsIs(out *array.StringBuilder, col *array.String, i int) {
	if col.IsNull(i) {
		out.AppendNull()
	} else {
		out.Append(col.Value(i))
	}
}

// Plain is the text of a JSON value: what stands between the quotes of a string, any other value as it is written.
func Plain(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// Quoted is text as a JSON string.
func Quoted(text string) json.RawMessage {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return b
}
