package raw

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/transforms/internal/decodetest"
)

func open(t require.TestingT, as string) *Decoder {
	d, err := New(Config{as})
	require.NoError(t, err)
	return d
}

func TestRecordsArePassedOn(t *testing.T) {
	records := []string{"a", "", "\xff\x00", "é\n"}
	d := open(t, "")
	s := decodetest.Widen(t, d, nil, records...)
	require.Equal(t, "data:binary", decodetest.Fields(s))
	require.Same(t, s, decodetest.Widen(t, d, s, records...))
	require.Equal(t, decodetest.Decoded{Rows: []string{`data="YQ=="`, `data=""`, `data="/wA="`, `data="w6kK"`}}, decodetest.Decode(t, d, s, records...))

	d = open(t, "text")
	s = decodetest.Widen(t, d, nil, records...)
	require.Equal(t, "data:utf8", decodetest.Fields(s))
	require.Equal(t, decodetest.Decoded{
		Rows:    []string{`data="a"`, `data=""`, `data="é\n"`},
		Refused: []string{"2 bad_utf8: the record is not UTF-8: {raw: {as: binary}} takes any"},
	}, decodetest.Decode(t, d, s, records...))
	require.Len(t, decodetest.Decode(t, d, s, "a", "b").Rows, 2)
	_, err := New(Config{"hex"})
	require.ErrorContains(t, err, `as: unknown "hex" (have binary, text)`)
}

func TestSlicesArePassedOn(t *testing.T) {
	raw := decodetest.Raw(memory.DefaultAllocator, "a", "b", "c")
	defer raw.Release()
	part := raw.WithRows(raw.Rows.NewSlice(1, 3))
	defer part.Release()
	for _, as := range []string{"binary", "text"} {
		d := open(t, as)
		s, err := d.Widen(nil, part, nil)
		require.NoError(t, err)
		b, _, err := d.Decode(t.Context(), part, s, &connectors.Verdicts{})
		require.NoError(t, err)
		require.EqualValues(t, 2, b.NumRows())
		require.EqualValues(t, 1, b.Handles().Value(0))
		want := map[string]string{"binary": "Yw==", "text": "c"}[as]
		require.Equal(t, want, b.Rows.Column(core.HiddenColumns).ValueStr(1))
		b.Release()
	}
}

func TestDeclaredTypes(t *testing.T) {
	declared := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "data", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	d := open(t, "")
	s := decodetest.Widen(t, d, declared, "1", "x")
	require.Equal(t, "n:utf8 data:int64 _rescued:utf8", decodetest.Fields(s))
	require.Equal(t, []string{`data=1`, `_rescued="{\"data\":\"x\"}"`}, decodetest.Decode(t, d, s, "1", "x").Rows)
	require.Len(t, decodetest.Decode(t, d, s, "\xff").Refused, 1)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("a"), []byte("\xff"))
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, first, second []byte) {
		for _, as := range []string{"binary", "text"} {
			decodetest.Cast(t, open(t, as), string(first), string(second))
		}
	}))
}

func BenchmarkDecode(b *testing.B) {
	records := make([]string, 8192)
	for i := range records {
		records[i] = "a record of some length, as it might come from anywhere at all"
	}
	raw := decodetest.Raw(memory.DefaultAllocator, records...)
	for _, as := range []string{"binary", "text"} {
		d := open(b, as)
		schema, err := d.Widen(nil, raw, nil)
		require.NoError(b, err)
		b.Run(as, func(b *testing.B) {
			b.SetBytes(raw.Bytes)
			b.ReportAllocs()
			for b.Loop() {
				out, _, err := d.Decode(b.Context(), raw, schema, &connectors.Verdicts{})
				require.NoError(b, err)
				out.Release()
			}
		})
	}
}
