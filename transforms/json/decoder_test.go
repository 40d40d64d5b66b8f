package json

import (
	"bufio"
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
)

// raw is a raw batch of the given records.
func raw(records ...string) core.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, core.RawSchema())
	defer b.Release()
	out := core.Batch{Shard: "s", Records: int64(len(records))}
	for i, r := range records {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.Int32Builder).Append(0)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1000 + i))
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprint("key-", i))
		b.Field(4).(*array.BinaryBuilder).Append([]byte(r))
	}
	out.Rows = b.NewRecord()
	return out
}

func infer(t require.TestingT, have *arrow.Schema, records ...string) *arrow.Schema {
	d, err := New(Config{})
	require.NoError(t, err)
	s, err := d.Widen(have, raw(records...), nil)
	require.NoError(t, err)
	return s
}

// show is the rows as JSON, without hidden columns, and the codes of what was refused.
func show(t require.TestingT, s *arrow.Schema, records ...string) (rows, refused []string, drift bool) {
	d, err := New(Config{})
	require.NoError(t, err)
	v := &connectors.Verdicts{}
	b, drift, err := d.Decode(nil, raw(records...), s, v) //nolint:staticcheck // it is pure
	require.NoError(t, err)
	defer b.Release()
	for i := range int(b.NumRows()) {
		var cols []string
		for c := core.HiddenColumns; c < int(b.Rows.NumCols()); c++ {
			if col := b.Rows.Column(c); col.IsValid(i) {
				text, err := stdjson.Marshal(col.GetOneForMarshal(i))
				require.NoError(t, err)
				cols = append(cols, b.Rows.ColumnName(c)+"="+string(text))
			}
		}
		rows = append(rows, strings.Join(cols, " "))
	}
	for _, r := range v.Refused {
		refused = append(refused, fmt.Sprint(r.Handle, " ", r.Code))
	}
	return rows, refused, drift
}

func fieldsOf(s *arrow.Schema) string {
	var out []string
	for _, f := range s.Fields() {
		out = append(out, f.Name+":"+f.Type.String())
	}
	return strings.Join(out, " ")
}

func TestSchemasAreInferred(t *testing.T) {
	for name, c := range map[string]struct {
		records []string
		want    string
	}{
		"kinds":                     {[]string{`{"b":true,"i":1,"f":1.5,"s":"x","n":null}`}, "b:bool i:int64 f:float64 s:utf8"},
		"integers beside doubles":   {[]string{`{"a":1}`, `{"a":1.5}`}, "a:float64"},
		"too wide to be doubles":    {[]string{`{"a":9007199254740993}`, `{"a":1.5}`}, "a:int64 _rescued:utf8"},
		"beyond int64":              {[]string{`{"a":1,"b":9223372036854775808}`}, "a:int64 _rescued:utf8"},
		"next to 0":                 {[]string{`{"a":0.5}`, `{"a":1e-400}`, `{"a":1.2345678e-320}`, `{"a":0.0e-999}`}, "a:float64 _rescued:utf8"},
		"nested":                    {[]string{`{"g":{"c":"DE","p":[1,2]}}`, `{"g":{"x":1.5}}`}, "g:struct<c: utf8, p: list<item: int64, nullable>, x: float64> "},
		"the commoner kind wins":    {[]string{`{"a":1}`, `{"a":"x"}`, `{"a":"y"}`}, "a:utf8 _rescued:utf8"},
		"the first kind wins a tie": {[]string{`{"a":1}`, `{"a":"x"}`}, "a:int64 _rescued:utf8"},
		"empty ones tell nothing":   {[]string{`{"a":{},"b":[],"c":1}`}, "c:int64 _rescued:utf8"},
		"reserved names":            {[]string{`{"_rescued":1,"_penstock.handle":2,"a":1}`}, "a:int64 _rescued:utf8"},
		"no fields at all":          {[]string{`{}`, `{"a":null}`}, "_rescued:utf8"},
		"no rows":                   {[]string{`{`, `[]`}, "_rescued:utf8"},
		"names that are empty":      {[]string{`{"":1,"a":1,"g":{"":1},"h":{"":1,"x":1},"l":[{"":1}]}`}, "a:int64 h:struct<x: int64> _rescued:utf8"},
		"bad records are left out":  {[]string{`{"a":1}`, `{"b":`}, "a:int64"},
		"dates stay text":           {[]string{`{"a":"2026-01-01T00:00:00Z"}`}, "a:utf8"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, strings.TrimSpace(c.want), strings.ReplaceAll(strings.ReplaceAll(fieldsOf(infer(t, nil, c.records...)), ", nullable>", ", nullable>"), ": utf8, nullable", ": utf8"))
		})
	}
}

func TestDeepNestingIsInferredQuickly(t *testing.T) {
	lists := `{"a":` + strings.Repeat("[", maxDepth-1) + "1" + strings.Repeat("]", maxDepth-1) + "}"
	s := infer(t, nil, lists)
	require.Equal(t, maxDepth-1, strings.Count(fieldsOf(s), "list<"))
	rows, refused, _ := show(t, s, lists)
	require.Len(t, rows, 1)
	require.Empty(t, refused)
	wide := infer(t, s, strings.Replace(lists, "1", "1.5", 1))
	require.Contains(t, fieldsOf(wide), "float64")
}

func TestSchemasWidenExactly(t *testing.T) {
	s := infer(t, nil, `{"a":1,"g":{"x":1},"l":[1]}`)
	require.Same(t, s, infer(t, s, `{"a":2,"g":{"x":3},"l":[]}`))
	w := infer(t, s, `{"a":1.5,"g":{"x":2,"y":"new"},"l":[2.5],"z":true}`)
	require.Equal(t, "a:float64", fieldsOf(w)[:9])
	require.Contains(t, fieldsOf(w), "y: utf8")
	require.Contains(t, fieldsOf(w), "list<item: float64")
	require.Equal(t, "z", w.Field(w.NumFields()-1).Name)
	d, err := New(Config{})
	require.NoError(t, err)
	p, err := d.Widen(s, raw(`{"a":1.5}`), map[string]bool{"a": true})
	require.NoError(t, err)
	require.Equal(t, arrow.INT64, p.Field(0).Type.ID())
	require.Equal(t, core.RescuedColumn, p.Field(p.NumFields()-1).Name)
}

func TestWhatTheSchemaCannotHoldIsRescued(t *testing.T) {
	s := infer(t, nil, `{"a":1,"g":{"x":1},"s":"t","_rescued":0}`)
	rows, refused, drift := show(t, s,
		`{"a":1,"g":{"x":1},"s":"\u00e9\ud83d\ude00\n"}`,
		`{"a":"one","g":{"x":"y"},"s":5}`,
		`{"a":[1, 2],"s":null,"e":{},"_rescued":"mine"}`,
		`{"a":1,"a":"x","a":3,"s":5,"s":"last"}`,
		`{"s":"b","a":12345678901234567890}`,
	)
	require.Empty(t, refused)
	require.False(t, drift)
	require.Equal(t, []string{
		`a=1 g={"x":1} s="é😀\n"`,
		`_rescued="{\"a\":\"one\",\"g\":{\"x\":\"y\"},\"s\":5}"`,
		`_rescued="{\"a\":[1, 2],\"e\":{},\"_rescued\":\"mine\"}"`,
		`a=3 s="last"`,
		`s="b" _rescued="{\"a\":12345678901234567890}"`,
	}, rows)
	_, _, drift = show(t, s, `{"new":1}`)
	require.True(t, drift)
	_, _, drift = show(t, s, `{"a":1.5}`)
	require.True(t, drift)
	_, _, drift = show(t, s, `{"g":{"x":1,"y":2}}`)
	require.True(t, drift)
}

func TestOneRecordMayBeManyRows(t *testing.T) {
	s := infer(t, nil, `{"a":1}`)
	d, err := New(Config{})
	require.NoError(t, err)
	v := &connectors.Verdicts{}
	b, _, err := d.Decode(t.Context(), raw(`[{"a":1},{"a":2}]`, `{"a":3}{"a":4}`+"\n"+`{"a":5}`, `[]`), s, v)
	require.NoError(t, err)
	defer b.Release()
	require.Empty(t, v.Refused)
	require.Equal(t, []int64{0, 0, 1, 1, 1}, b.Handles().Int64Values())
	require.Equal(t, []int32{0, 1, 0, 1, 2}, b.Ords().Int32Values())
	require.Equal(t, "key-1", b.Keys().Value(4))
	require.Equal(t, arrow.Timestamp(1001), b.Arrivals().Value(2))
	require.Equal(t, []int64{1, 2, 3, 4, 5}, b.Rows.Column(4).(*array.Int64).Int64Values())
}

func TestBadRecordsAreRefusedWholeAndAlone(t *testing.T) {
	s := infer(t, nil, `{"a":1,"g":{"x":[1]}}`)
	records := []string{
		`{"a":1}`, ``, ` `, `{"a":1`, `{"a":1}{"a":`, `[{"a":1},{"a":01}]`, `5`, `"x"`, `{"a":1,}`, "{\"a\":\"\xff\"}", `{"g":{"x":[1,2}}`,
		strings.Repeat(`{"a":`, 1000) + `1` + strings.Repeat(`}`, 1000), `{"a":"\ud800"}`, `{"a":nul}`, `{"a":1} x`, `{"a":-}`, "{\"a\":\"\n\"}", `{"a":2}`,
	}
	rows, refused, _ := show(t, s, records...)
	require.Equal(t, []string{"a=1", "a=2"}, rows)
	require.Equal(t, []string{
		"1 empty", "2 empty", "3 bad_json", "4 bad_json", "5 bad_json", "6 not_object", "7 not_object", "8 bad_json", "9 bad_utf8", "10 bad_json",
		"11 too_deep", "12 bad_json", "13 bad_json", "14 bad_json", "15 bad_json", "16 bad_json",
	}, refused)
}

func TestDeclaredTypes(t *testing.T) {
	s := arrow.NewSchema([]arrow.Field{
		{Name: "t", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "d", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "i", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "b", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: core.RescuedColumn, Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	rows, _, _ := show(t, s, `{"t":"2026-01-02T03:04:05.123456+01:00","d":"2026-01-02","i":5,"b":"aGk="}`, `{"t":1431857103123,"i":3000000000,"d":"x","b":"?"}`)
	require.Equal(t, []string{
		`t="2026-01-02 02:04:05.123456Z" d="2026-01-02" i=5 b="aGk="`,
		`t="2015-05-17 10:05:03.123Z" _rescued="{\"i\":3000000000,\"d\":\"x\",\"b\":\"?\"}"`,
	}, rows)
}

// value draws JSON of any kind that encoding/json reads the same way.
func value(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(v int64) any { return v }),
		rapid.Map(rapid.IntRange(-9999, 9999), func(v int) any { return float64(v)/8 + 0.0625 }),
		rapid.Map(rapid.String(), func(v string) any { return strings.ToValidUTF8(v, "?") }),
	}
	if depth > 0 {
		leaves = append(leaves,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(v []any) any { return v }),
			rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "é", "q\""}), value(depth-1), 0, 3), func(v map[string]any) any { return v }))
	}
	return rapid.OneOf(leaves...)
}

func object() *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "long name", "é"}), value(2), 0, 5)
}

// TestNothingIsDropped: whatever the schema, the columns and the rescued fields of a row together are the record.
func TestNothingIsDropped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var records []string
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			b, err := stdjson.Marshal(object().Draw(t, "object"))
			require.NoError(t, err)
			records = append(records, string(b))
		}
		first := infer(t, nil, records[0])
		all := infer(t, first, records...)
		require.Same(t, all, infer(t, all, records...), "widening twice changes the schema again")
		d, _ := New(Config{})
		v := &connectors.Verdicts{}
		b, drift, err := d.Decode(nil, raw(records...), all, v) //nolint:staticcheck // it is pure
		require.NoError(t, err)
		defer b.Release()
		require.False(t, drift, "a schema that was just widened drifts: %s", all)
		require.Empty(t, v.Refused)
		for i, text := range records {
			var want map[string]any
			require.NoError(t, stdjson.Unmarshal([]byte(text), &want))
			require.Equal(t, prune(want), prune(restore(t, b, i)), text)
		}
	})
}

// restore is the object of a row.
func restore(t require.TestingT, b core.Batch, i int) map[string]any {
	out := map[string]any{}
	for c := core.HiddenColumns; c < int(b.Rows.NumCols()); c++ {
		col, name := b.Rows.Column(c), b.Rows.ColumnName(c)
		if col.IsNull(i) {
			continue
		}
		text, err := stdjson.Marshal(col.GetOneForMarshal(i))
		require.NoError(t, err)
		if name == core.RescuedColumn {
			text = []byte(col.ValueStr(i))
			require.NoError(t, stdjson.Unmarshal(text, &out))
			continue
		}
		var v any
		require.NoError(t, stdjson.Unmarshal(text, &v))
		out[name] = v
	}
	return out
}

// prune takes the fields that are null out of every object: absent is null.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if e != nil {
				out[k] = prune(e)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, prune(e))
		}
		return out
	}
	return v
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[{"a":[1,{"b":null}]}]`, `{"a":"\u00e9","a":-1.5e3}`, `{}{}`, "{\"a\":\"\xff\"}", `{"a":1`} {
		f.Add([]byte(s))
	}
	schema := infer(f, nil, `{"a":1,"b":{"c":[1.5]},"_rescued":1}`)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text []byte) {
		_, refused, _ := show(t, schema, string(text))
		wide := infer(t, schema, string(text))
		_, again, drift := show(t, wide, string(text))
		require.Equal(t, refused, again)
		require.False(t, drift)
		if bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) > maxDepth {
			return
		}
		dec := stdjson.NewDecoder(bytes.NewReader(text))
		dec.UseNumber() // a number that no float64 holds is none of the record's faults
		valid, n := true, 0
		for {
			var v any
			err := dec.Decode(&v)
			if err != nil {
				valid = valid && err.Error() == "EOF" && n > 0
				break
			}
			n++
			valid = valid && rowsIn(v)
		}
		if valid && len(refused) > 0 && bytes.Equal(text, bytes.ToValidUTF8(text, nil)) && !bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) {
			t.Fatalf("%q was refused: %v", text, refused)
		}
		if !valid && len(refused) == 0 {
			t.Fatalf("%q was taken", text)
		}
	}))
}

func rowsIn(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return true
	case []any:
		for _, e := range v {
			if _, ok := e.(map[string]any); !ok {
				return false
			}
		}
		return true
	}
	return false
}

func BenchmarkDecode(b *testing.B) {
	inputs := map[string][]string{}
	g, err := generator.New(generator.Config{})
	require.NoError(b, err)
	for i := range int64(8192) {
		_, data, err := g.Event(nil, i)
		require.NoError(b, err)
		inputs["clickstream"] = append(inputs["clickstream"], string(data))
	}
	if dir := os.Getenv("PENSTOCK_TEST_DATA"); dir != "" {
		for _, name := range []string{"flights", "nginx_status"} {
			f, err := os.Open(filepath.Join(dir, name+".ndjson"))
			require.NoError(b, err)
			sc := bufio.NewScanner(f)
			sc.Buffer(nil, 1<<20)
			for sc.Scan() && len(inputs[name]) < 8192 {
				inputs[name] = append(inputs[name], sc.Text())
			}
			require.NoError(b, f.Close())
		}
	}
	for name, records := range inputs {
		batch := raw(records...)
		d, _ := New(Config{})
		schema, err := d.Widen(nil, batch, nil)
		require.NoError(b, err)
		all := strings.Join(records, "\n")
		b.Run(name+"/penstock", func(b *testing.B) {
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				out, _, err := d.Decode(b.Context(), batch, schema, &connectors.Verdicts{})
				require.NoError(b, err)
				out.Release()
			}
		})
		b.Run(name+"/arrow", func(b *testing.B) {
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				r := array.NewJSONReader(strings.NewReader(all), schema, array.WithChunk(-1))
				for r.Next() {
				}
				require.NoError(b, r.Err())
				r.Release()
			}
		})
	}
}
