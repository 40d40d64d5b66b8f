package logline

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/transforms/internal/decodetest"
)

func open(t require.TestingT, format string) *Decoder {
	d, err := New(Config{format})
	require.NoError(t, err)
	return d
}

const first = `192.0.2.7 - frank [10/Oct/2025:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326`

func TestLinesBecomeColumns(t *testing.T) {
	const who = `::1 - - [10/Oct/2025:13:55:36 +0000] `
	for name, c := range map[string]struct{ line, want string }{
		"common fields": {
			first + ` "-" "curl/8"`,
			`client_ip="192.0.2.7" user="frank" time="2025-10-10 20:55:36Z" method="GET" path="/a.gif?x=1" protocol="HTTP/1.0" status=200 bytes=2326 user_agent="curl/8"`,
		},
		"IPv6 and dashes": {
			`2001:db8::1 - - [29/Feb/2024:23:59:59 +0000] "-" 408 - "-" "-"`,
			`client_ip="2001:db8::1" time="2024-02-29 23:59:59Z" status=408`,
		},
		"a user of two words, and an identity": {
			`h.example id ann lee [01/Jan/1970:00:00:00 +0000] "HEAD * HTTP/2" 304 0 "-" "x"`,
			`client_ip="h.example" ident="id" user="ann lee" time="1970-01-01 00:00:00Z" method="HEAD" path="*" protocol="HTTP/2" status=304 bytes=0 user_agent="x"`,
		},
		"a user with a bracket": {
			`h - a [b] [01/Jan/1970:00:00:00 +0530] "-" 400 0 "-" "-"`,
			`client_ip="h" user="a [b]" time="1969-12-31 18:30:00Z" status=400 bytes=0`,
		},
		"escaped quotes and backslashes": {
			who + `"GET /a\"b HTTP/1.1" 200 1 "https://e/?q=\"" "a\\ (\"q\")"`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" method="GET" path="/a\"b" protocol="HTTP/1.1" status=200 bytes=1 referrer="https://e/?q=\"" user_agent="a\\ (\"q\")"`,
		},
		"escaped UTF-8 becomes text, other bytes stay escaped": {
			who + `"GET /\xc3\xa9\xe4\x22 HTTP/1.1" 200 1 "\xE2\x82\xAC\t" "\x7f\x"`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" method="GET" path="/é\\xe4\"" protocol="HTTP/1.1" status=200 bytes=1 referrer="€\\t" user_agent="\\x7f\\x"`,
		},
		"binary junk is a request": {
			who + `"\x16\x03\x01\x02" 400 226 "-" "-"`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" request="\\x16\\x03\\x01\\x02" status=400 bytes=226`,
		},
		"a request of two parts, or of none": {
			who + `"GET /" 200 1 "" "-"`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" request="GET /" status=200 bytes=1 referrer=""`,
		},
		"a path with spaces": {
			who + `"GET /a b c HTTP/1.1" 404 1 "-" "-"`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" method="GET" path="/a b c" protocol="HTTP/1.1" status=404 bytes=1`,
		},
		"quotes that nobody escaped": {
			who + `"GET /"x HTTP/1.1" 200 1 "-" "the "best" agent"`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" method="GET" path="/\"x" protocol="HTTP/1.1" status=200 bytes=1 user_agent="the \"best" _rescued="{\"rest\":\"agent\\\"\"}"`,
		},
		"a line that was cut": {
			who + `"GET / HTTP/1.1" 200 1 "-" "Mozilla/5.0 (comp`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" method="GET" path="/" protocol="HTTP/1.1" status=200 bytes=1 user_agent="Mozilla/5.0 (comp"`,
		},
		"what follows is kept": {
			who + `"GET / HTTP/1.1" 000 1 "-" "-" "203.0.113.5" 0.004`,
			`client_ip="::1" time="2025-10-10 13:55:36Z" method="GET" path="/" protocol="HTTP/1.1" status=0 bytes=1 _rescued="{\"rest\":\"\\\"203.0.113.5\\\" 0.004\"}"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, "")
			s := decodetest.Widen(t, d, nil, c.line)
			got := decodetest.Decode(t, d, s, c.line)
			require.Empty(t, got.Refused)
			require.Equal(t, []string{c.want}, got.Rows)
			decodetest.Cast(t, d, first+` "-" "-"`, c.line)
		})
	}
}

func TestOtherLinesAreRefusedAndSayWhere(t *testing.T) {
	const who = `::1 - - [10/Oct/2025:13:55:36 +0000] `
	for line, want := range map[string]string{
		"":                       "0 empty: byte 0: the record is empty",
		"\n":                     "0 empty: byte 0: the record is empty",
		"hello":                  "0 bad_logline: byte 0: no client address with a space after it",
		" - -":                   "0 bad_logline: byte 0: no client address with a space after it",
		"::1 ":                   "0 bad_logline: byte 4: no identity with a space after it",
		"::1 - - x":              "0 bad_logline: byte 6: no user with a time after it, such as [17/May/2015:10:05:03 +0000]",
		`{"json": "is no line"}`: "0 bad_logline: byte 13: no user with a time after it, such as [17/May/2015:10:05:03 +0000]",
		`::1 - - [31/Feb/2025:13:55:36 +0000] "-" 200 1 "-" "-"`: "0 bad_logline: byte 6: no user with a time after it, such as [17/May/2015:10:05:03 +0000]",
		who + `GET / 200 1`:                         "0 bad_logline: byte 37: the quote before the request is missing",
		who + `"GET / HTTP/1.1`:                     "0 bad_logline: byte 52: the status is neither a number nor a dash",
		who + `"GET / HTTP/1.1" OK 1`:               "0 bad_logline: byte 54: the status is neither a number nor a dash",
		who + `"GET / HTTP/1.1" 200`:                "0 bad_logline: byte 57: the number of bytes is neither a number nor a dash",
		who + `"-" 200 99999999999999999999 "-"`:    "0 bad_logline: byte 45: the number of bytes is too long a number",
		who + `"-" 200 1`:                           "0 bad_logline: byte 46: the referrer is missing: a line of the common format is decoded by logline: common",
		who + `"-" 200 1 "-"`:                       "0 bad_logline: byte 50: the user agent is missing: a line of the common format is decoded by logline: common",
		who + `"-" 200 1 x "-"`:                     "0 bad_logline: byte 47: the quote before the referrer is missing",
		who + "\"-\" 200 1 \"\xff\" \"-\"":          "0 bad_utf8: byte 48: the line is not UTF-8",
		who + `"-" 200 1 "-" "-"` + "\nsecond line": "0 bad_logline: byte 62: no identity with a space after it",
	} {
		d := open(t, combined)
		got := decodetest.Decode(t, d, decodetest.Widen(t, d, nil, line), line)
		require.Equal(t, []string{want}, got.Refused, "%q", line)
		require.Empty(t, got.Rows)
	}
}

func TestTheSchemaIsAlwaysTheSame(t *testing.T) {
	const want = "client_ip:utf8 ident:utf8 user:utf8 time:timestamp[us, tz=UTC] method:utf8 path:utf8 protocol:utf8 request:utf8 status:int64 bytes:int64"
	d := open(t, common)
	s := decodetest.Widen(t, d, nil, first, "junk")
	require.Equal(t, want, decodetest.Fields(s))
	require.Same(t, s, decodetest.Widen(t, d, s, first))
	require.Equal(t, want+" referrer:utf8 user_agent:utf8", decodetest.Fields(decodetest.Widen(t, open(t, ""), nil)))
	require.True(t, decodetest.Decode(t, d, s, first+` "-" "-"`).Drift)
	require.Equal(t, want+" _rescued:utf8", decodetest.Fields(decodetest.Widen(t, d, s, first+` "-" "-"`)))
}

func TestDeclaredTypes(t *testing.T) {
	field := func(name string, typ arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: typ, Nullable: true}
	}
	declared := arrow.NewSchema([]arrow.Field{
		field("status", arrow.BinaryTypes.String), field("time", &arrow.TimestampType{Unit: arrow.Second}),
		field("bytes", arrow.PrimitiveTypes.Int32), field("mine", arrow.BinaryTypes.String), field("method", arrow.PrimitiveTypes.Int64),
	}, nil)
	d := open(t, common)
	s := decodetest.Widen(t, d, declared, first)
	require.Equal(t, "status:utf8 time:timestamp[s] bytes:int32 mine:utf8 method:int64 client_ip:utf8 ident:utf8 user:utf8 path:utf8 protocol:utf8 request:utf8 _rescued:utf8",
		decodetest.Fields(s))
	require.Equal(t, []string{
		`status="200" time="2025-10-10 20:55:36Z" bytes=2326 client_ip="192.0.2.7" user="frank" path="/a.gif?x=1" protocol="HTTP/1.0" _rescued="{\"method\":\"GET\"}"`,
		`status="000" time="2025-10-10 20:55:36Z" client_ip="h" request="x" _rescued="{\"bytes\":\"5000000000\"}"`,
	}, decodetest.Decode(t, d, s, first, `h - - [10/Oct/2025:13:55:36 -0700] "x" 000 5000000000`).Rows)
	raw := decodetest.Raw(memory.DefaultAllocator, first)
	_, _, err := d.Decode(t.Context(), raw, arrow.NewSchema([]arrow.Field{field("path", arrow.ListOf(arrow.BinaryTypes.String))}, nil), &connectors.Verdicts{})
	require.ErrorContains(t, err, "column path: no text is a list")
}

func TestSeveralLinesInARecord(t *testing.T) {
	d := open(t, common)
	got := decodetest.Decode(t, d, decodetest.Widen(t, d, nil), first+"\r\n\n"+first+"\n", first, "x", first+"\n"+first+"\nx")
	require.Len(t, got.Rows, 3)
	require.Len(t, got.Refused, 2)
}

// oracle parses lines in another way: with a regular expression, time.Parse and strconv.
var oracle = regexp.MustCompile(`^(\S+) (\S+) (.+?) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"?$`)

var (
	oracleRequest = regexp.MustCompile(`^([A-Z]+) (.+) (HTTP/\d\.\d)$`)
	oracleEscapes = regexp.MustCompile(`(?:\\x[0-9a-f]{2})+|\\.`)
)

func oracleText(s string) any {
	if s == "-" {
		return nil
	}
	return oracleEscapes.ReplaceAllStringFunc(s, func(e string) string {
		if text, err := strconv.Unquote(`"` + e + `"`); err == nil && text == strings.ToValidUTF8(text, "") && text >= " " {
			return text
		}
		return e
	})
}

func oracleRow(t *testing.T, text string) []any {
	m := oracle.FindStringSubmatch(text)
	require.NotNil(t, m, text)
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[4])
	require.NoError(t, err)
	row := []any{oracleText(m[1]), oracleText(m[2]), oracleText(m[3]), arrow.Timestamp(at.UnixMicro()), nil, nil, nil, nil}
	if r := oracleRequest.FindStringSubmatch(m[5]); r != nil {
		row[4], row[5], row[6] = r[1], oracleText(r[2]), r[3]
	} else {
		row[7] = oracleText(m[5])
	}
	for _, s := range []string{m[6], m[7]} {
		if s == "-" {
			row = append(row, nil)
			continue
		}
		n, err := strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		row = append(row, n)
	}
	return append(row, oracleText(m[8]), oracleText(m[9]))
}

// realLogs are the access logs at hand: our own, and a real one where PENSTOCK_TEST_DATA says where.
func realLogs(t testing.TB) map[string][]string {
	files := map[string]string{"our own": filepath.Join("..", "..", "integration", "testdata", "apache_access.log")}
	if dir := os.Getenv("PENSTOCK_TEST_DATA"); dir != "" {
		files["real"] = filepath.Join(dir, "apache_access.log")
	} else {
		require.NotEqual(t, "1", os.Getenv("REQUIRE_INTEGRATION"), "PENSTOCK_TEST_DATA is unset")
	}
	out := map[string][]string{}
	for name, file := range files {
		f, err := os.Open(file) //nolint:gosec // a test's own input
		require.NoError(t, err)
		for sc := bufio.NewScanner(f); sc.Scan(); {
			out[name] = append(out[name], sc.Text())
		}
		require.NoError(t, f.Close())
	}
	return out
}

func TestRealLogsAreAsAnotherParserSeesThem(t *testing.T) {
	for name, lines := range realLogs(t) {
		t.Run(name, func(t *testing.T) {
			d := open(t, combined)
			raw := decodetest.Raw(memory.DefaultAllocator, lines...)
			defer raw.Release()
			s, err := d.Widen(nil, raw, nil)
			require.NoError(t, err)
			require.False(t, s.HasField(core.RescuedColumn))
			v := &connectors.Verdicts{}
			b, drift, err := d.Decode(t.Context(), raw, s, v)
			require.NoError(t, err)
			defer b.Release()
			require.Empty(t, v.Refused)
			require.False(t, drift)
			require.EqualValues(t, len(lines), b.NumRows())
			for i, text := range lines {
				var row []any
				for _, col := range b.Rows.Columns()[core.HiddenColumns:] {
					row = append(row, valueOf(col, i))
				}
				require.Equal(t, oracleRow(t, text), row, text)
			}
		})
	}
}

func valueOf(col arrow.Array, i int) any {
	if col.IsNull(i) {
		return nil
	}
	switch col := col.(type) {
	case *array.Int64:
		return col.Value(i)
	case *array.Timestamp:
		return col.Value(i)
	}
	return col.ValueStr(i)
}

func TestTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	for year := 0; year <= 9999; year += 61 {
		for month := range 12 {
			for _, day := range []int{0, 1, 28, 29, 30, 31, 32} {
				text := fmt.Sprintf("%02d/%s/%04d:23:59:58 -0130", day, time.Month(month + 1).String()[:3], year)
				want, err := time.Parse("02/Jan/2006:15:04:05 -0700", text)
				got, ok := parseTime([]byte(text))
				require.Equal(t, err == nil, ok, text)
				if ok {
					require.Equal(t, want.UnixMicro(), got, text)
				}
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(first, ` "-" "a\"\xc3\xa9"`, true)
	f.Add(first, ` "r" "cut`, true)
	f.Add(first+"\n"+first, "\r\n", false)
	f.Add(`::1 - a b [29/Feb/2023:00:00:00 +9959] "\x16\x03" 000 - "-" "-" rest`, "", true)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, head, tail string, both bool) {
		d := open(t, common)
		if both {
			d = open(t, combined)
		}
		decodetest.Cast(t, d, first+` "-" "-"`, head+tail, first)
		decodetest.Cast(t, d, head+tail, first)
	}))
}

func BenchmarkDecode(b *testing.B) {
	for name, lines := range realLogs(b) {
		lines = lines[:min(len(lines), 8192)]
		d := open(b, combined)
		raw := decodetest.Raw(memory.DefaultAllocator, lines...)
		schema, err := d.Widen(nil, raw, nil)
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
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
