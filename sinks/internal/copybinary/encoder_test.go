package copybinary_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/internal/copybinary"
)

var (
	text   = arrow.BinaryTypes.String
	int64s = arrow.PrimitiveTypes.Int64
	floats = arrow.PrimitiveTypes.Float64
	micros = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
)

// pairs are types of both sides, a JSON array of values, and what PostgreSQL says of them as text; refused is the reason of
// those that do not go in.
var pairs = []struct {
	from   arrow.DataType
	to     string
	values string
	want   []string // - is null, ! a refusal with these words
}{
	{text, "text", `["", "a", "ä\n日本", null, "a\u0000b"]`, []string{"", "a", "ä\n日本", "-", "!no character U+0000"}},
	{text, "varchar(20)", `["a"]`, []string{"a"}},
	{text, "char(3)", `["a"]`, []string{"a"}},
	{arrow.BinaryTypes.LargeString, "text", `["a", null]`, []string{"a", "-"}},
	{arrow.FixedWidthTypes.Boolean, "bool", `[true, false, null]`, []string{"true", "false", "-"}},
	{arrow.FixedWidthTypes.Boolean, "text", `[true]`, []string{"true"}},
	{int64s, "bigint", `[0, -1, 9223372036854775807, -9223372036854775808, null]`, []string{"0", "-1", "9223372036854775807", "-9223372036854775808", "-"}},
	{int64s, "int", `[2147483647, -2147483648, 2147483648]`, []string{"2147483647", "-2147483648", "!2147483648 is no integer of 32 bits"}},
	{int64s, "smallint", `[32767, -32768, 32768, -32769]`, []string{"32767", "-32768", "!16 bits", "!16 bits"}},
	{int64s, "numeric(30,2)", `[12, -5, 0]`, []string{"12.00", "-5.00", "0.00"}},
	{int64s, "double precision", `[9007199254740992, 9007199254740993, 9007199254740994, -9223372036854775808]`, []string{"9.007199254740992e+15", "!no exact double", "9.007199254740994e+15", "-9.223372036854776e+18"}},
	{int64s, "real", `[16777216, 16777217]`, []string{"1.6777216e+07", "!no exact real"}},
	{int64s, "text", `[12]`, []string{"12"}},
	{arrow.PrimitiveTypes.Int8, "int", `[-128, 127]`, []string{"-128", "127"}},
	{arrow.PrimitiveTypes.Int16, "bigint", `[-32768]`, []string{"-32768"}},
	{arrow.PrimitiveTypes.Int32, "smallint", `[7]`, []string{"7"}},
	{arrow.PrimitiveTypes.Uint8, "smallint", `[255]`, []string{"255"}},
	{arrow.PrimitiveTypes.Uint16, "smallint", `[65535]`, []string{"!16 bits"}},
	{arrow.PrimitiveTypes.Uint32, "bigint", `[4294967295]`, []string{"4294967295"}},
	{arrow.PrimitiveTypes.Uint64, "numeric", `[18446744073709551615]`, []string{"18446744073709551615"}},
	{arrow.PrimitiveTypes.Uint64, "bigint", `[9223372036854775807, 18446744073709551615]`, []string{"9223372036854775807", `!"18446744073709551615" is no`}},
	{floats, "double precision", `[0.1, -0.0, 1e308, null]`, []string{"0.1", "-0", "1e+308", "-"}},
	{floats, "real", `[0.1, 1e308]`, []string{"0.1", "!too large for a real"}},
	{floats, "numeric", `[0.1, 1e21]`, []string{"0.1", "1000000000000000000000"}},
	{floats, "text", `[0.1, 3.0]`, []string{"0.1", "3"}},
	{arrow.PrimitiveTypes.Float32, "real", `[0.5]`, []string{"0.5"}},
	{&arrow.Decimal128Type{Precision: 38, Scale: 3}, "numeric", `["1234567890123456789.123", "-0.001", "0.000"]`, []string{"1234567890123456789.123", "-0.001", "0.000"}},
	{&arrow.Decimal256Type{Precision: 60, Scale: 0}, "numeric", `["123456789012345678901234567890123456789012345678901234567890"]`, []string{"123456789012345678901234567890123456789012345678901234567890"}},
	{micros, "timestamptz", `["2026-01-02 03:04:05.123456", "1969-12-31 23:59:59.999999", null]`, []string{"2026-01-02 03:04:05.123456+00", "1969-12-31 23:59:59.999999+00", "-"}},
	{micros, "timestamp", `["2026-01-02 03:04:05"]`, []string{"2026-01-02 03:04:05"}},
	{micros, "text", `["2026-01-02 03:04:05.5"]`, []string{"2026-01-02T03:04:05.5Z"}},
	{&arrow.TimestampType{Unit: arrow.Second}, "timestamptz", `["2026-01-02 03:04:05", "9999-12-31 23:59:59"]`, []string{"2026-01-02 03:04:05+00", "9999-12-31 23:59:59+00"}},
	{&arrow.TimestampType{Unit: arrow.Millisecond}, "timestamptz", `["1960-01-02 03:04:05.678"]`, []string{"1960-01-02 03:04:05.678+00"}},
	{&arrow.TimestampType{Unit: arrow.Nanosecond}, "timestamptz", `["1960-01-02 03:04:05.678901999"]`, []string{"1960-01-02 03:04:05.678901+00"}},
	{arrow.FixedWidthTypes.Date32, "date", `["2026-01-02", "1960-02-29", "1999-12-31"]`, []string{"2026-01-02", "1960-02-29", "1999-12-31"}},
	{arrow.FixedWidthTypes.Date32, "timestamptz", `["2026-01-02"]`, []string{"2026-01-02 00:00:00+00"}},
	{arrow.FixedWidthTypes.Date64, "date", `["1960-02-29"]`, []string{"1960-02-29"}},
	{arrow.FixedWidthTypes.Date32, "text", `["2026-01-02"]`, []string{"2026-01-02"}},
	{arrow.BinaryTypes.Binary, "bytea", `["AP8=", ""]`, []string{`\x00ff`, `\x`}},
	{&arrow.FixedSizeBinaryType{ByteWidth: 2}, "bytea", `["AP8="]`, []string{`\x00ff`}},
	{arrow.Null, "int", `[null]`, []string{"-"}},
	{text, "int", `["12", "-7", "x", ""]`, []string{"12", "-7", `!"x" is no integer`, `!"" is no integer`}},
	{text, "numeric(10,2)", `["12.345", "NaN", "1e2"]`, []string{"12.35", "NaN", "100.00"}},
	{text, "uuid", `["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7"]`, []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", `!"6ba7" is no uuid`}},
	{text, "inet", `["10.0.0.1", "2001:db8::/32", "10.0.0"]`, []string{"10.0.0.1/32", "2001:db8::/32", `!"10.0.0" is no inet`}},
	{text, "interval", `["1 day 02:03:04"]`, []string{"1 day 02:03:04"}},
	{text, "timestamptz", `["2026-01-02T03:04:05+02:00", "2026-01-02 03:04:05+00", "yesterday"]`, []string{"2026-01-02 01:04:05+00", "2026-01-02 03:04:05+00", `!"yesterday" is no`}},
	{text, "date", `["2026-01-02", "02.01.2026"]`, []string{"2026-01-02", "!is no date"}},
	{text, "bool", `["true", "t"]`, []string{"true", "true"}},
	{text, "jsonb", `["{\"a\": [1]}"]`, []string{`{"a": [1]}`}},
	{text, "mood", `["happy"]`, []string{"happy"}},
	{
		arrow.StructOf(arrow.Field{Name: "a", Type: int64s, Nullable: true}, arrow.Field{Name: "b", Type: text, Nullable: true}), "jsonb",
		`[{"a": 9007199254740993, "b": "x"}, {"a": null, "b": null}, null]`,
		[]string{`{"a": 9007199254740993, "b": "x"}`, "{}", "-"},
	},
	{arrow.StructOf(arrow.Field{Name: "a", Type: int64s, Nullable: true}), "text", `[{"a": 1}]`, []string{`{"a":1}`}},
	{arrow.ListOf(int64s), "bigint[]", `[[1, null, 3], [], null]`, []string{"{1,NULL,3}", "{}", "-"}},
	{arrow.ListOf(text), "text[]", `[["a,b", "\"", ""], ["a\u0000"]]`, []string{`{"a,b","\"",""}`, "!element 0: PostgreSQL stores no"}},
	{arrow.ListOf(text), "uuid[]", `[["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]]`, []string{"{6ba7b810-9dad-11d1-80b4-00c04fd430c8}"}},
	{arrow.ListOf(int64s), "int[]", `[[1, 4294967296]]`, []string{"!element 1: 4294967296 is no integer of 32 bits"}},
	{arrow.ListOf(text), "jsonb", `[["a", null]]`, []string{`["a", null]`}},
	{floats, "jsonb", `[0.5]`, []string{"0.5"}},
	{arrow.FixedWidthTypes.Boolean, "jsonb", `[true]`, []string{"true"}},
}

// TestEveryPairOfTypes copies the values of each pair into a table of PostgreSQL, which says what arrived.
func TestEveryPairOfTypes(t *testing.T) {
	c, err := pgx.Connect(t.Context(), servers.PostgresFor(t, "timezone=UTC").URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(t.Context()) }) // the server is killed
	_, err = c.Exec(t.Context(), "CREATE TYPE mood AS ENUM ('happy', 'sad')")
	require.NoError(t, err)
	for _, p := range pairs {
		t.Run(fmt.Sprintf("%s to %s", p.from, p.to), func(t *testing.T) {
			require.Equal(t, p.want, copied(t, c, p.from, p.to, p.values))
		})
	}
}

// copied makes a table of a type, copies the values and returns them as text, in their order, refusals as !reason where the
// wanted words are not known here.
func copied(t *testing.T, c *pgx.Conn, from arrow.DataType, to, values string) []string {
	t.Helper()
	_, err := c.Exec(t.Context(), "DROP TABLE IF EXISTS t; CREATE TABLE t (n bigserial, v "+to+")")
	require.NoError(t, err)
	a, _, err := array.FromJSON(memory.DefaultAllocator, from, strings.NewReader(values), array.WithUseNumber())
	require.NoError(t, err)
	defer a.Release()
	rec := array.NewRecord(arrow.NewSchema([]arrow.Field{{Name: "v", Type: from, Nullable: true}}, nil), []arrow.Array{a}, int64(a.Len()))
	defer rec.Release()
	col := copybinary.Column{Name: "v", From: "v"}
	require.NoError(t, c.QueryRow(t.Context(), "SELECT atttypid, format_type(atttypid, atttypmod), typtype = 'e' FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid WHERE attrelid = 't'::regclass AND attname = 'v'").
		Scan(&col.OID, &col.Type, &col.Text))
	e, err := copybinary.New(c.TypeMap(), rec, []copybinary.Column{col})
	require.NoError(t, err)
	out := make([]string, a.Len())
	doc, good := []byte(copybinary.Header), []int{}
	for i := range a.Len() {
		next, err := e.Append(doc, i)
		wrong := (*copybinary.ValueError)(nil)
		if errors.As(err, &wrong) {
			require.Len(t, next, len(doc))
			out[i] = "!" + wanted(t, wrong.Reason, from, to, i)
			continue
		}
		require.NoError(t, err)
		doc, good = next, append(good, i)
	}
	doc = append(doc, copybinary.Trailer...)
	_, err = c.PgConn().CopyFrom(t.Context(), bytes.NewReader(doc), "COPY t (v) FROM STDIN (FORMAT binary)")
	require.NoError(t, err)
	rows, err := c.Query(t.Context(), "SELECT v::text, v IS NULL FROM t ORDER BY n")
	require.NoError(t, err)
	k := 0
	for rows.Next() {
		var s *string
		var null bool
		require.NoError(t, rows.Scan(&s, &null))
		out[good[k]] = "-"
		if !null {
			out[good[k]] = *s
		}
		k++
	}
	require.NoError(t, rows.Err())
	require.Len(t, good, k)
	return out
}

// wanted is the part of a reason that its pair wants, if it is there.
func wanted(t *testing.T, reason string, from arrow.DataType, to string, i int) string {
	t.Helper()
	for _, p := range pairs {
		if p.from == from && p.to == to && i < len(p.want) && strings.HasPrefix(p.want[i], "!") && strings.Contains(reason, p.want[i][1:]) {
			return p.want[i][1:]
		}
	}
	return reason
}

func TestWhatNoColumnCanHoldIsSaid(t *testing.T) {
	c, err := pgx.Connect(t.Context(), servers.PostgresFor(t).URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	for _, x := range []struct {
		from arrow.DataType
		col  copybinary.Column
	}{
		{arrow.BinaryTypes.Binary, copybinary.Column{Name: "v", From: "v", OID: 25, Type: "text"}},
		{text, copybinary.Column{Name: "v", From: "v", OID: 600_000, Type: "geometry"}},
		{int64s, copybinary.Column{Name: "v", From: "v", OID: 1016, Type: "bigint[]"}},
	} {
		b := array.NewBuilder(memory.DefaultAllocator, x.from)
		a := b.NewArray()
		rec := array.NewRecord(arrow.NewSchema([]arrow.Field{{Name: "v", Type: x.from}}, nil), []arrow.Array{a}, 0)
		_, err := copybinary.New(c.TypeMap(), rec, []copybinary.Column{x.col})
		require.ErrorIs(t, err, core.ErrInvalid)
		require.ErrorContains(t, err, `column "v"`)
	}
}

// TestAValueOfAGibibyteIsRefused has one that is not in memory as long as nobody reads it.
func TestAValueOfAGibibyteIsRefused(t *testing.T) {
	const size = 1 << 30
	offsets := arrow.Int32Traits.CastToBytes([]int32{0, size, size + 1})
	letters := make([]byte, size+1)
	letters[size] = 'x'
	for _, x := range []struct {
		from arrow.DataType
		to   copybinary.Column
	}{
		{text, copybinary.Column{Name: "v", From: "v", OID: 25, Type: "text"}},
		{text, copybinary.Column{Name: "v", From: "v", OID: 3802, Type: "jsonb"}},
		{text, copybinary.Column{Name: "v", From: "v", OID: 1700, Type: "numeric"}},
		{arrow.BinaryTypes.Binary, copybinary.Column{Name: "v", From: "v", OID: 17, Type: "bytea"}},
	} {
		data := array.NewData(x.from, 2, []*memory.Buffer{nil, memory.NewBufferBytes(offsets), memory.NewBufferBytes(letters)}, nil, 0, 0)
		a := array.MakeFromData(data)
		rec := array.NewRecord(arrow.NewSchema([]arrow.Field{{Name: "v", Type: x.from}}, nil), []arrow.Array{a}, 2)
		e, err := copybinary.New(pgtype.NewMap(), rec, []copybinary.Column{x.to})
		require.NoError(t, err)
		out, err := e.Append(nil, 0)
		wrong := (*copybinary.ValueError)(nil)
		require.ErrorAs(t, err, &wrong, x.to.Type)
		require.Equal(t, "1073741824 bytes are more than PostgreSQL takes in a value (1 GiB)", wrong.Reason)
		require.Empty(t, out)
		if x.to.Type == "text" {
			out, err = e.Append(nil, 1)
			require.NoError(t, err)
			require.Equal(t, "\x00\x01\x00\x00\x00\x01x", string(out))
		}
	}
}
