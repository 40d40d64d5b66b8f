// Package decodetest checks decoders. It is not used by the product.
package decodetest

import (
	"context"
	stdjson "encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Raw is a batch of the given records: handles count from 0, record n has the key key-n and arrived at second 1+n.
func Raw(mem memory.Allocator, records ...string) core.Batch {
	b := array.NewRecordBuilder(mem, core.RawSchema())
	defer b.Release()
	out := core.Batch{Shard: "s", Records: int64(len(records))}
	for i, r := range records {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1000 * (1 + i)))
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprint("key-", i))
		b.Field(4).(*array.BinaryBuilder).Append([]byte(r))
		out.Bytes += int64(len(r))
	}
	out.Rows = b.NewRecord()
	return out
}

// Widen is the schema that holds have and the records.
func Widen(t require.TestingT, d connectors.Decoder, have *arrow.Schema, records ...string) *arrow.Schema {
	raw := Raw(memory.DefaultAllocator, records...)
	defer raw.Release()
	s, err := d.Widen(have, raw, nil)
	require.NoError(t, err)
	return s
}

// Fields is a schema as name:type.
func Fields(s *arrow.Schema) string {
	var out []string
	for _, f := range s.Fields() {
		out = append(out, f.Name+":"+f.Type.String())
	}
	return strings.Join(out, " ")
}

// Decoded is what became of records.
type Decoded struct {
	Rows    []string // name=JSON, for each value that is not null
	Refused []string // handle, code and reason
	Drift   bool
}

// Decode decodes records under a schema, and checks that what is decoded is a batch of that schema that owns nothing but
// its rows.
func Decode(t require.TestingT, d connectors.Decoder, s *arrow.Schema, records ...string) Decoded {
	var out Decoded
	visit(t, d, s, records, func(b core.Batch, v *connectors.Verdicts, drift bool) {
		for i := range int(b.NumRows()) {
			var cols []string
			for c := core.HiddenColumns; c < int(b.Rows.NumCols()); c++ {
				if col := b.Rows.Column(c); col.IsValid(i) {
					text, err := stdjson.Marshal(col.GetOneForMarshal(i))
					require.NoError(t, err)
					cols = append(cols, b.Rows.ColumnName(c)+"="+string(text))
				}
			}
			out.Rows = append(out.Rows, strings.Join(cols, " "))
		}
		for _, r := range v.Refused {
			out.Refused = append(out.Refused, fmt.Sprintf("%d %s: %s", r.Handle, r.Code, r.Reason))
		}
		out.Drift = drift
	})
	return out
}

func visit(t require.TestingT, d connectors.Decoder, s *arrow.Schema, records []string, f func(core.Batch, *connectors.Verdicts, bool)) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	raw := Raw(mem, records...)
	v := &connectors.Verdicts{}
	b, drift, err := d.Decode(context.Background(), raw, s, v)
	require.NoError(t, err)
	require.True(t, b.Rows.Schema().Equal(core.SchemaOf(s.Fields()...)))
	for i := range int(b.NumRows()) {
		at := b.Handles().Value(i)
		require.Equal(t, fmt.Sprint("key-", at), b.Keys().Value(i))
		require.Equal(t, arrow.Timestamp(1000*(1+at)), b.Arrivals().Value(i))
	}
	f(b, v, drift)
	b.Release()
	raw.Release()
	require.Zero(t, mem.CurrentAlloc(), "rows are not released")
}

// Cast checks what widening promises: of the records, decoding under the schema of the first alone and casting is
// decoding under the schema of all of them, under which nothing drifts and which widens no further.
func Cast(t require.TestingT, d connectors.Decoder, records ...string) {
	narrow := Widen(t, d, nil, records[:1]...)
	wide := Widen(t, d, narrow, records...)
	require.Same(t, wide, Widen(t, d, wide, records...), "widening twice changes the schema again")
	var before, after []map[string]string
	var refused [2][]connectors.Refusal
	visit(t, d, narrow, records, func(b core.Batch, v *connectors.Verdicts, drift bool) {
		before, refused[0] = texts(t, b), v.Refused
		require.Equal(t, drift, narrow != wide, "the schema widens without drift, or drifts without being wider: %s", wide)
		if drift { // without _rescued a field may be missing
			before = nil
		}
	})
	if narrow.HasField(core.RescuedColumn) {
		visit(t, d, narrow, records, func(b core.Batch, _ *connectors.Verdicts, _ bool) { before = texts(t, b) })
	}
	visit(t, d, wide, records, func(b core.Batch, v *connectors.Verdicts, drift bool) {
		after, refused[1] = texts(t, b), v.Refused
		require.False(t, drift, "a schema that was just widened drifts: %s", wide)
	})
	require.Equal(t, refused[0], refused[1])
	if before != nil {
		require.Equal(t, before, after)
	}
}

// texts are the rows by field, the rescued ones in their places; numbers are written alike whatever their type.
func texts(t require.TestingT, b core.Batch) []map[string]string {
	out := make([]map[string]string, b.NumRows())
	for i := range out {
		row := map[string]string{}
		for c := core.HiddenColumns; c < int(b.Rows.NumCols()); c++ {
			col, name := b.Rows.Column(c), b.Rows.ColumnName(c)
			switch col := col.(type) {
			case *array.String:
				if name == core.RescuedColumn && col.IsValid(i) {
					left := map[string]string{}
					require.NoError(t, stdjson.Unmarshal([]byte(col.Value(i)), &left))
					for k, v := range left {
						row[k] = number(v)
					}
					continue
				}
				if col.IsValid(i) {
					row[name] = number(col.Value(i))
				}
			default:
				if col.IsValid(i) {
					row[name] = number(col.ValueStr(i))
				}
			}
		}
		out[i] = row
	}
	return out
}

// number writes a number in one way.
func number(s string) string {
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strings.ToLower(s) // TRUE and true
}
