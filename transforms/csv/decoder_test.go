package csv

import (
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/transforms/internal/decodetest"
)

func open(t require.TestingT, config string) *Decoder {
	var c Config
	require.NoError(t, yaml.Unmarshal([]byte(config), &c))
	d, err := New(c)
	require.NoError(t, err)
	return d
}

func TestSchemasAreInferred(t *testing.T) {
	for name, c := range map[string]struct {
		config  string
		records []string
		want    string
	}{
		"kinds":                      {`{columns: [b, i, f, s]}`, []string{"true,1,1.5,x", "FALSE,-2,3,1"}, "b:bool i:int64 f:float64 s:utf8"},
		"by place without names":     {``, []string{"1,a", "2,b,3"}, "column0:int64 column1:utf8 column2:int64"},
		"by the header":              {`{header: true}`, []string{"x,y\n1,2", "y,z\n2,true"}, "x:int64 y:int64 z:bool"},
		"quotes do not count":        {`{header: true}`, []string{"x,y\n\"1\",\"2.5\""}, "x:int64 y:float64"},
		"what does not come back":    {`{columns: [zip, plus, inf, hex]}`, []string{"007,+1,inf,0x1f"}, "zip:utf8 plus:utf8 inf:utf8 hex:utf8"},
		"mixed is text":              {`{columns: [a, b]}`, []string{"1,true", "x,1"}, "a:utf8 b:utf8"},
		"beyond int64 is text":       {`{columns: [a]}`, []string{"9223372036854775808"}, "a:utf8"},
		"too wide to be doubles":     {`{columns: [a]}`, []string{"9007199254740993", "1.5"}, "a:utf8"},
		"empty is null and untyped":  {`{columns: [a, b]}`, []string{",1", ",2"}, "b:int64"},
		"quoted empty is a text":     {`{columns: [a, b]}`, []string{`"",1`}, "a:utf8 b:int64"},
		"other nulls":                {`{columns: [a, b], "null": [NA, '\N']}`, []string{`NA,1`, `\N,2`, `3,`}, "a:int64 b:utf8"},
		"no nulls":                   {`{columns: [a], "null": []}`, []string{"1,x", ",x"}, "a:utf8 _rescued:utf8"},
		"more fields than names":     {`{columns: [a]}`, []string{"1", "1,2"}, "a:int64 _rescued:utf8"},
		"reserved, doubled and none": {`{header: true}`, []string{"a,a,,_rescued\n1,2,3,4"}, "a:int64 a_2:int64 column2:int64 _rescued:utf8"},
		"a byte order mark":          {`{header: true}`, []string{"\xef\xbb\xbfa\n1"}, "a:int64"},
		"bad records are left out":   {`{columns: [a, b]}`, []string{"1,\"", "2", "x,3"}, "a:utf8 b:int64"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, c.config)
			require.Equal(t, c.want, decodetest.Fields(decodetest.Widen(t, d, nil, c.records...)))
			decodetest.Cast(t, d, c.records...)
		})
	}
}

func TestSchemasWidenExactly(t *testing.T) {
	d := open(t, `{columns: [a, b, c]}`)
	s := decodetest.Widen(t, d, nil, "1,x,")
	require.Same(t, s, decodetest.Widen(t, d, s, "2,3,"))
	require.Equal(t, "a:float64 b:utf8 c:bool", decodetest.Fields(decodetest.Widen(t, d, s, "1.5,y,true")))
	require.Equal(t, "a:int64 b:utf8 _rescued:utf8", decodetest.Fields(decodetest.Widen(t, d, s, "one,y,")))
	require.Equal(t, "a:int64 b:utf8 _rescued:utf8", decodetest.Fields(decodetest.Widen(t, d, s, "1.5,,", "9007199254740993,,")))
	raw := decodetest.Raw(memory.DefaultAllocator, "1.5,x,")
	defer raw.Release()
	p, err := d.Widen(s, raw, map[string]bool{"a": true})
	require.NoError(t, err)
	require.Equal(t, "a:int64 b:utf8 _rescued:utf8", decodetest.Fields(p))
}

func TestRowsAreDecoded(t *testing.T) {
	for name, c := range map[string]struct {
		config  string
		records []string
		want    []string
	}{
		"quoted delimiters, quotes and line ends": {
			`{header: true}`,
			[]string{"a,b\n\"x,\"\"y\"\"\r\nz\",1\r\n", "a,b\n\"\",2\n'q',3"},
			[]string{`a="x,\"y\"\r\nz" b=1`, `a="" b=2`, `a="'q'" b=3`},
		},
		"tabs and other quotes": {
			`{columns: [a, b], delimiter: "\t", quote: "'"}`,
			[]string{"'it''s\t'\t\"2\"", "x\ty"},
			[]string{`a="it's\t" b="\"2\""`, `a="x" b="y"`},
		},
		"no quotes": {`{columns: [a, b], quote: ''}`, []string{`"x,1`}, []string{`a="\"x" b=1`}},
		"a quote within a field": {
			`{columns: [a, b]}`, []string{`5" disk,1`}, []string{`a="5\" disk" b=1`},
		},
		"blanks are kept": {`{columns: [a, b]}`, []string{` x , 1`}, []string{`a=" x " b=" 1"`}},
		"rescued": {
			`{columns: [a, b]}`,
			[]string{"1,2", `1,2,"3""",4`},
			[]string{`a=1 b=2`, `a=1 b=2 _rescued="{\"column2\":\"3\\\"\",\"column3\":\"4\"}"`},
		},
		"short rows have nulls where no one says how many fields there are": {``, []string{"1,2", "3"}, []string{`column0=1 column1=2`, `column0=3`}},
		"a header alone has no rows":                                        {`{header: true}`, []string{"a,b", "a,b\n", "a,b\n1,2"}, []string{`a=1 b=2`}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, c.config)
			got := decodetest.Decode(t, d, decodetest.Widen(t, d, nil, c.records...), c.records...)
			require.Equal(t, decodetest.Decoded{Rows: c.want}, got)
		})
	}
	d := open(t, `{columns: [a]}`)
	s := decodetest.Widen(t, d, decodetest.Widen(t, d, nil, "1"), "x")
	require.Equal(t, []string{`a=1`, `_rescued="{\"a\":\"x\"}"`}, decodetest.Decode(t, d, s, "1", "x").Rows)
}

func TestBadRecordsAreRefusedWholeAndAlone(t *testing.T) {
	d := open(t, `{header: true}`)
	records := []string{
		"a,b\n1,2", "", "a,b\n1", "a,b\n1,2\n3", "a,b\n1,\"x", "a,b\n1,\"x\"y", "a,b\n1,\xff", "a\xff\n1", "\n", "a,b\n3,4",
	}
	got := decodetest.Decode(t, d, decodetest.Widen(t, d, nil, records...), records...)
	require.Equal(t, []string{"a=1 b=2", "a=3 b=4"}, got.Rows)
	require.Equal(t, []string{
		"1 empty: byte 0: the record is empty: with header: true it begins with the names of the columns",
		"2 field_count: byte 0: a row has 1 fields, want 2",
		"3 field_count: byte 4: a row has 1 fields, want 2",
		"4 bad_csv: byte 2: a quote is not closed",
		"5 bad_csv: byte 5: a delimiter is missing after a closed quote",
		"6 bad_utf8: byte 2: the record is not UTF-8",
		"7 bad_utf8: byte 1 of the header: the record is not UTF-8",
		"8 empty: byte 0: the record is empty: with header: true it begins with the names of the columns",
	}, got.Refused)
}

func TestDeclaredTypes(t *testing.T) {
	field := func(name string, typ arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: typ, Nullable: true}
	}
	d := open(t, `{columns: [t, d, i, b, z, s]}`)
	declared := arrow.NewSchema([]arrow.Field{
		field("t", &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}), field("d", arrow.FixedWidthTypes.Date32),
		field("i", arrow.PrimitiveTypes.Int32), field("b", arrow.BinaryTypes.Binary), field("z", arrow.BinaryTypes.String),
	}, nil)
	records := []string{"2026-01-02T03:04:05.123456+01:00,2026-01-02,5,aé,007,x", "yesterday,2026-02-30,3000000000,,1,2"}
	raw := decodetest.Raw(memory.DefaultAllocator, records...)
	defer raw.Release()
	s, err := d.Widen(declared, raw, map[string]bool{"t": true, "d": true, "i": true, "b": true, "z": true})
	require.NoError(t, err)
	require.Equal(t, "t:timestamp[us, tz=UTC] d:date32 i:int32 b:binary z:utf8 s:utf8 _rescued:utf8", decodetest.Fields(s))
	require.Equal(t, []string{
		`t="2026-01-02 02:04:05.123456Z" d="2026-01-02" i=5 b="YcOp" z="007" s="x"`,
		`z="1" s="2" _rescued="{\"t\":\"yesterday\",\"d\":\"2026-02-30\",\"i\":\"3000000000\"}"`,
	}, decodetest.Decode(t, d, s, records...).Rows)
}

func TestConfigIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{delimiter: ';;'}`:               "delimiter: \";;\" is not one ASCII character",
		`{delimiter: "\n"}`:               "delimiter: \"\\n\" is not one ASCII character",
		`{quote: é}`:                      "quote: \"é\" is not one ASCII character, or '' for none",
		`{quote: ','}`:                    "delimiter: it is the quote too",
		`{header: true, columns: [a]}`:    "columns: with header: true the names stand in the data",
		`{columns: [a, b, a]}`:            `columns: "a" stands there twice`,
		`{columns: [a, '']}`:              "columns: the name at index 1 is empty",
		`{columns: [_penstock.ord]}`:      `columns: the name "_penstock.ord" is reserved`,
		`{columns: [a], delimiter: "\t"}`: "",
	} {
		var c Config
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		_, err := New(c)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
	var c Config
	require.ErrorContains(t, yaml.Unmarshal([]byte(`{"null": {a: b}}`), &c), "want a text or a list of texts")
}

// TestRowsAreThoseOfTheStandardLibrary: what encoding/csv writes is read as it was.
func TestRowsAreThoseOfTheStandardLibrary(t *testing.T) {
	cell := rapid.OneOf(rapid.StringOf(rapid.SampledFrom([]rune("ab\"\n\r,;é 1."))), rapid.SampledFrom([]string{"1", "-2.5", "true", ""}))
	d := open(t, `{columns: [a, b, c], "null": []}`)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 3, 3), 1, 4).Draw(t, "rows")
		var sb strings.Builder
		w := stdcsv.NewWriter(&sb)
		require.NoError(t, w.WriteAll(rows))
		want := []map[string]string{}
		for r := stdcsv.NewReader(strings.NewReader(sb.String())); ; {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			want = append(want, map[string]string{"a": row[0], "b": row[1], "c": row[2]})
		}
		schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String}, {Name: "b", Type: arrow.BinaryTypes.String}, {Name: "c", Type: arrow.BinaryTypes.String}}, nil)
		raw := decodetest.Raw(memory.DefaultAllocator, sb.String())
		defer raw.Release()
		v := &connectors.Verdicts{}
		b, _, err := d.Decode(nil, raw, schema, v) //nolint:staticcheck // it is pure
		require.NoError(t, err)
		defer b.Release()
		require.Empty(t, v.Refused)
		got := []map[string]string{}
		for i := range int(b.NumRows()) {
			got = append(got, map[string]string{})
			for c := core.HiddenColumns; c < int(b.Rows.NumCols()); c++ {
				got[i][b.Rows.ColumnName(c)] = strings.ReplaceAll(b.Rows.Column(c).ValueStr(i), "\r\n", "\n") // as encoding/csv has it
			}
		}
		require.Equal(t, want, got, "%q", sb.String())
	})
}

func TestAHeaderThatWasNotAskedForIsNoticed(t *testing.T) {
	for _, c := range []struct {
		config, text string
		noticed      bool
	}{
		{``, "id,name\n1,a\n", true},
		{``, "id|\"na,me\"\n1|a\n", false},
		{`{delimiter: '|'}`, "id|\"na,me\"\n1|a\n", true},
		{``, "name,ok\na,true\nb,\n", true},
		{``, "id,name\n1,a\nx,b\n", false}, // no column but of text
		{``, "id,name\n,a\n", false},
		{``, "name,street\na,b\n", false},
		{``, "id,id\n1,a\n", false},
		{``, "id,\n1,a\n", false},
		{``, "2024,name\n1,a\n", false},
		{``, "id,name\n", false},
		{``, "id,\"name\n", false},
		{`{header: true}`, "id,name\n1,a\n", false},
		{`{columns: [a, b]}`, "id,name\n1,a\n", false},
	} {
		raw := decodetest.Raw(memory.DefaultAllocator, c.text)
		require.Equal(t, c.noticed, open(t, c.config).Advise(raw) != "", "%s %q", c.config, c.text)
		raw.Release()
	}
	raw := decodetest.Raw(memory.DefaultAllocator, "id,name", "1,a", "2,b")
	defer raw.Release()
	require.Contains(t, open(t, ``).Advise(raw), "(id, ...): set header: true", "a record a line, as a file has them")
}

func FuzzDecode(f *testing.F) {
	f.Add("a,b\n1,2", "a,b\n1.5,\"x\n\"\"\"", uint8(0))
	f.Add("1,true\n2,false", "x,9007199254740993,\r\n", uint8(1))
	f.Add("1,2", "\xef\xbb\xbf007;\"\"", uint8(2))
	configs := []string{`{header: true}`, ``, `{columns: [a, b], delimiter: ';'}`, `{header: true, quote: '', "null": [NA]}`}
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, first, second string, config uint8) {
		d := open(t, configs[int(config)%len(configs)])
		decodetest.Cast(t, d, first, second)
		decodetest.Cast(t, d, second, first, first)
	}))
}

func BenchmarkDecode(b *testing.B) {
	var records []string
	for i := range 8192 {
		records = append(records, fmt.Sprintf("id,time,name,price,ok,note\n%d,2026-01-02T03:04:05Z,\"name, %d\",%d.25,%t,a note that is not short at all", i, i, i, i%2 == 0))
	}
	d := open(b, `{header: true}`)
	raw := decodetest.Raw(memory.DefaultAllocator, records...)
	schema, err := d.Widen(nil, raw, nil)
	require.NoError(b, err)
	b.SetBytes(raw.Bytes - 8192*int64(len("id,time,name,price,ok,note\n")))
	b.ReportAllocs()
	for b.Loop() {
		out, _, err := d.Decode(b.Context(), raw, schema, &connectors.Verdicts{})
		require.NoError(b, err)
		out.Release()
	}
}
