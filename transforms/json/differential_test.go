package json

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
)

// forget makes every key of c one that is never found as written, so that each field is read the long way.
func forget(c *column) {
	c.key = newKey(`"`)
	for _, k := range c.kids {
		forget(k)
	}
}

// decoded is all that comes of decoding records: the rows, what was refused and why, and whether the schema drifts.
func decoded(t require.TestingT, p *decoding, records ...string) (arrow.Record, []string, bool) {
	b := raw(records...)
	defer b.Release()
	var refused []string
	p.records(b.Rows.Column(core.HiddenColumns).(*array.Binary), func(i int, err *syntaxError) {
		refused = append(refused, fmt.Sprint(i, " ", err.code, " ", err))
	})
	rec, drift := p.record(b), p.drift
	p.reset()
	return rec, refused, drift
}

// requireSameBothWays decodes records the short and the long way, twice each, for buffers are used again.
func requireSameBothWays(t require.TestingT, schema *arrow.Schema, records ...string) {
	short, long := newDecoding(schema), newDecoding(schema)
	forget(long.top)
	for range 2 {
		a, refusedA, driftA := decoded(t, short, records...)
		b, refusedB, driftB := decoded(t, long, records...)
		require.Equal(t, refusedB, refusedA)
		require.Equal(t, driftB, driftA)
		require.True(t, array.RecordEqual(a, b), "%s\n%s\n%s", records, a, b)
		for _, c := range a.Columns() {
			if text, ok := c.(*array.String); ok {
				require.True(t, utf8.ValidString(text.String()))
			}
		}
		a.Release()
		b.Release()
	}
}

// literal draws the text of a value, odd forms and broken ones among them.
func literal() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`),
		rapid.StringMatching(`-?[0-9]{0,20}\.?[0-9]{0,3}`),
		rapid.StringMatching(`"[a-zé"\\/ ]{0,20}"`),
		rapid.Map(rapid.String(), func(s string) string { b, _ := stdjson.Marshal(s); return string(b) }),
		rapid.SampledFrom([]string{"null", "true", "false", "nul", "tru", "", "{}", "[]", `{"y":1}`, `{"x":2.5,"x":"q"}`, `[1,2.5,null]`, "\"\xff\"", "\"a\x01\"", `"\ud83d\ude00"`}),
	)
}

func TestTheShortWayGivesWhatTheLongOneDoes(t *testing.T) {
	schema := infer(t, nil, `{"i":1,"f":1.5,"s":"x","b":true,"g":{"x":1.5,"y":1},"l":[1.5],"a name of many letters":"x","_rescued":1}`)
	names := []string{"i", "f", "s", "b", "g", "l", "a name of many letters", "a name of many letter", "a name of many letters!", "new", `\u0069`}
	rapid.Check(t, func(t *rapid.T) {
		var records []string
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			var fields []string
			for range rapid.IntRange(0, 9).Draw(t, "fields") {
				colon := rapid.SampledFrom([]string{":", ":", ":", ": ", " :", ":\n "}).Draw(t, "colon")
				fields = append(fields, `"`+rapid.SampledFrom(names).Draw(t, "name")+`"`+colon+literal().Draw(t, "value"))
			}
			comma := rapid.SampledFrom([]string{",", ",", ", ", ",\n  ", " ,"}).Draw(t, "comma")
			text := "{" + strings.Join(fields, comma) + "}"
			if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
				text = text[:rapid.IntRange(0, len(text)).Draw(t, "length")]
			}
			records = append(records, text)
		}
		requireSameBothWays(t, schema, records...)
	})
}

func TestNumbersAreThoseOfStrconv(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, nil)
	p := newDecoding(schema)
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?(e-?[0-9]{1,2})?`).Draw(t, "number")
		end := rapid.SampledFrom([]string{"", " ", ` ,"z":1`}).Draw(t, "end")
		rec, refused, _ := decoded(t, p, `{"f":`+number+`,"i":`+number+end+`}`)
		defer rec.Release()
		require.Empty(t, refused)
		floats, ints := rec.Column(core.HiddenColumns).(*array.Float64), rec.Column(core.HiddenColumns+1).(*array.Int64)
		want, err := strconv.ParseFloat(number, 64)
		if err == nil && floats.IsValid(0) {
			require.Equal(t, math.Float64bits(want), math.Float64bits(floats.Value(0)), number) // the sign of 0 too
		}
		n, err := strconv.ParseInt(number, 10, 64)
		require.Equal(t, err == nil, ints.IsValid(0), number)
		if err == nil {
			require.Equal(t, n, ints.Value(0))
		}
	})
}

// TestRecordsEndWhereTheyEnd: what stands behind a record in memory is not read as its own.
func TestRecordsEndWhereTheyEnd(t *testing.T) {
	schema := infer(t, nil, `{"a":1,"s":"x"}`)
	parts := []string{`{"a":1`, `2}`, `{`, `"a":1}`, `{"a`, `":1}`, `{"s":"x`, `"}`, `{"a":`, `5}`, `{"a":1}`, `{"a":n`, `ull}`, `{"a":1.`, `5,"s":""}`}
	_, refused, _ := decoded(t, newDecoding(schema), parts...)
	require.Len(t, refused, len(parts)-1)
	requireSameBothWays(t, schema, parts...)
}

func FuzzBothWays(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":{"c":1.5},"s":"x"}`, `{"a":12345678,"s":"12345678"}` + "\n" + `{"a":1`, `[{"a":1.5e3}]`} {
		f.Add([]byte(s))
	}
	schema := infer(f, nil, `{"a":1,"b":{"c":1.5,"d":[1]},"s":"x","_rescued":1}`)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text []byte) {
		requireSameBothWays(t, schema, strings.Split(string(text), "\n")...)
		requireSameBothWays(t, schema, string(bytes.ReplaceAll(text, []byte("\n"), nil)))
	}))
}
