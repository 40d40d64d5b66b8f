package file

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/fuzztest"
)

var rfc4180 = connectors.Framing{CSV: true, Delimiter: ',', Quote: '"'}

func withHeader(f connectors.Framing) connectors.Framing {
	f.Header = true
	return f
}

// split is the records of a text, and where they begin.
func split(t require.TestingT, in io.Reader, format string, f connectors.Framing) (records []string, places []int64) {
	r := NewRecords(in, Config{Format: format}, f)
	for {
		record, at, err := r.Next()
		if errors.Is(err, io.EOF) {
			require.NoError(t, r.Close())
			return records, places
		}
		require.NoError(t, err)
		records, places = append(records, string(record)), append(places, at)
	}
}

func TestTextsAreSplitIntoRecords(t *testing.T) {
	for name, c := range map[string]struct {
		format  string
		framing connectors.Framing
		text    string
		want    []string
	}{
		"lines":                             {"", connectors.Framing{}, "\xef\xbb\xbfa\r\n\nb c\n\"d", []string{"a", "b c", `"d`}},
		"CSV":                               {"", rfc4180, "a,b\n\"1\n2\",\"x\"\"\ny\"\r\n\n3,\"4\"\n", []string{"a,b", "\"1\n2\",\"x\"\"\ny\"", `3,"4"`}},
		"CSV with its header":               {"", withHeader(rfc4180), "\xef\xbb\xbfa,\"b\n\"\r\n1,2\n3,4", []string{"a,\"b\n\"\n1,2", "a,\"b\n\"\n3,4"}},
		"a header alone":                    {"", withHeader(rfc4180), "a,b\n", nil},
		"nothing at all":                    {"", withHeader(rfc4180), "", nil},
		"a quote within a field is none":    {"", rfc4180, "5\" disk,1\n6\" disk,2\n", []string{`5" disk,1`, `6" disk,2`}},
		"a quote that is never closed":      {"", rfc4180, "1,\"a\n2,b\n", []string{"1,\"a\n2,b"}},
		"other delimiters and quotes":       {"", connectors.Framing{CSV: true, Delimiter: ';', Quote: '\''}, "1;'a\n'\n\"2\n", []string{"1;'a\n'", `"2`}},
		"CSV as lines":                      {formatLines, withHeader(rfc4180), "a\n\"1\n", []string{"a", `"1`}},
		"an array over lines":               {formatJSON, connectors.Framing{}, "[\n  {\"a\": [1, {\"b\": \"]}\\\"\"}]},\n  {\n\"c\": 2 } , 3, \"x,\", [4, [5]], null ]\n", []string{`{"a": [1, {"b": "]}\""}]}`, "{\n\"c\": 2 }", "3", `"x,"`, "[4, [5]]", "null"}},
		"several arrays, objects and blank": {formatJSON, connectors.Framing{}, `[] [{"a":1}] {"b":2}{"c":3} [[1],[2]]`, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`, "[1]", "[2]"}},
		"what is no JSON":                   {formatJSON, connectors.Framing{}, `[{"a":1}, oops, {"b":2}`, []string{`{"a":1}`, "oops", `{"b":2}`}},
		"an object that is cut":             {formatJSON, connectors.Framing{}, "[{\"a\":1},{\"b\":", []string{`{"a":1}`, `{"b":`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := split(t, strings.NewReader(c.text), c.format, c.framing)
			require.Equal(t, c.want, got)
			got, _ = split(t, iotest.OneByteReader(strings.NewReader(c.text)), c.format, c.framing)
			require.Equal(t, c.want, got, "read byte by byte")
			for _, compress := range []func(io.Writer) io.WriteCloser{
				func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
				func(w io.Writer) io.WriteCloser { zw, _ := zstd.NewWriter(w); return zw },
			} {
				var buf bytes.Buffer
				w := compress(&buf)
				_, err := io.WriteString(w, c.text)
				require.NoError(t, errors.Join(err, w.Close()))
				got, _ = split(t, &buf, c.format, c.framing)
				require.Equal(t, c.want, got)
			}
		})
	}
}

// TestRecordsAreReadOnFromAny: reading on after a record gives what comes after it, in every format and compression, and
// the header with it.
func TestRecordsAreReadOnFromAny(t *testing.T) {
	var rows, array strings.Builder
	rows.WriteString("id,\"te\nxt\"\r\n")
	array.WriteString("[")
	for i := range 300 {
		fmt.Fprintf(&rows, "%d,\"a\"\"\n%s\"\n", i, strings.Repeat("x\n", i%7))
		fmt.Fprintf(&array, "%s\n {\"id\": %d, \"l\": [\"]\", [{}]]}", map[bool]string{true: ","}[i > 0], i)
	}
	array.WriteString("\n]\n")
	for name, c := range map[string]struct {
		ext, format string
		framing     connectors.Framing
		text        string
	}{
		"CSV": {".csv", "", withHeader(rfc4180), rows.String()}, "CSV compressed": {".csv.gz", "", withHeader(rfc4180), rows.String()},
		"array": {".json", formatJSON, connectors.Framing{}, array.String()}, "array compressed": {".json.zst", formatJSON, connectors.Framing{}, array.String()},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "a"+c.ext)
			write(t, file, c.text)
			want, places := split(t, strings.NewReader(c.text), c.format, c.framing)
			require.Len(t, want, 300)
			s, err := New(Config{Paths: []string{file}, Format: c.format}, c.framing, table(t), "p", nil)
			require.NoError(t, err)
			shards, err := s.Shards(t.Context())
			require.NoError(t, err)
			all, seqs := readShard(t, s, shards[0].ID, "", -1)
			require.Equal(t, want, all)
			for i, seq := range seqs {
				require.Equal(t, core.SequenceNumber(fmt.Sprint(places[i])), seq)
				rest, _ := readShard(t, s, shards[0].ID, seq, -1)
				require.Equal(t, append([]string{}, want[i+1:]...), append([]string{}, rest...))
			}
		})
	}
}

// TestAGrownFileGoesOn: what was appended to a CSV file has the header of the file, and to an array is still one.
func TestAGrownFileGoesOn(t *testing.T) {
	read := func(s *Source, n int) []string {
		shards, err := s.Shards(t.Context())
		require.NoError(t, err)
		records, _ := readShard(t, s, shards[n].ID, "", -1)
		return records
	}
	for name, c := range map[string]struct {
		format        string
		framing       connectors.Framing
		first, second string
		want          []string
	}{
		"CSV":   {"", withHeader(rfc4180), "h\n1\n", "2\n", []string{"h\n2"}},
		"array": {formatJSON, connectors.Framing{}, `[{"a":1}`, `,{"a":2}]`, []string{`{"a":2}`}},
	} {
		file, store := filepath.Join(t.TempDir(), "a"), table(t)
		open := func(store *control.Store) *Source {
			s, err := New(Config{Paths: []string{file}, Format: c.format}, c.framing, store, "p", nil)
			require.NoError(t, err)
			return s
		}
		write(t, file, c.first)
		require.Len(t, read(open(store), 0), 1, name)
		write(t, file, c.second)
		require.Equal(t, c.want, read(open(store), 1), name)
	}
}

func TestAFollowedCSVFileIsReadAsItGrows(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.csv")
	write(t, name, "a,")
	s, err := New(Config{Paths: []string{name}, Follow: true}, withHeader(rfc4180), table(t), "p", nil)
	require.NoError(t, err)
	shards, err := s.Shards(t.Context())
	require.NoError(t, err)
	go func() {
		for _, more := range []string{"b\n1,\"x", "\ny\"", "\n2,", "z\n"} {
			if f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0o600); err == nil { //nolint:gosec // a test's own input
				_, _ = f.WriteString(more)
				_ = f.Close()
			}
		}
	}()
	records, _ := readShard(t, s, shards[0].ID, "", 2)
	require.Equal(t, []string{"a,b\n1,\"x\ny\"", "a,b\n2,z"}, records)
}

func TestConfigIsChecked(t *testing.T) {
	for want, c := range map[string]Config{
		"unknown \"jsonl\" (have csv, json_array, lines)": {Paths: []string{"a"}, Format: "jsonl"},
		"'-' is standard input, which stands alone":       {Paths: []string{"-", "a"}},
		"leave other paths and follow out":                {Paths: []string{"-"}, Follow: true},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
	require.NoError(t, Config{Paths: []string{"-"}, Format: "csv"}.Validate())
}

// TestCSVIsSplitAsTheStandardLibraryDoes: each record of what encoding/csv writes is one that it reads alone.
func TestCSVIsSplitAsTheStandardLibraryDoes(t *testing.T) {
	cell := rapid.StringOf(rapid.SampledFrom([]rune("ab\"\n,é")))
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 3), 1, 6).Draw(t, "rows")
		var sb strings.Builder
		w := csv.NewWriter(&sb)
		require.NoError(t, w.WriteAll(rows))
		records, _ := split(t, strings.NewReader(sb.String()), "", rfc4180)
		require.Len(t, records, len(rows), "%q", sb.String())
		for i, record := range records {
			got, err := csv.NewReader(strings.NewReader(record)).Read()
			require.NoError(t, err)
			require.Equal(t, rows[i], got)
		}
	})
}

// TestArraysAreSplitAsTheStandardLibraryDoes: the elements are those that encoding/json sees.
func TestArraysAreSplitAsTheStandardLibraryDoes(t *testing.T) {
	element := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.StringOf(rapid.SampledFrom([]rune("a\"\\[]{},é"))), func(s string) any { return s }),
		rapid.Map(rapid.Int(), func(n int) any { return n }), rapid.Just[any]([]any{"]", []any{}, map[string]any{"}": 1}}), rapid.Just[any](map[string]any{"a": []any{"["}}))
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOfN(element, 0, 5).Draw(t, "elements")
		b, err := json.MarshalIndent(elements, "", rapid.SampledFrom([]string{"", "  "}).Draw(t, "indent"))
		require.NoError(t, err)
		records, _ := split(t, bytes.NewReader(b), formatJSON, connectors.Framing{})
		require.Len(t, records, len(elements), "%s", b)
		for i, record := range records {
			want, err := json.Marshal(elements[i])
			require.NoError(t, err)
			require.JSONEq(t, string(want), record)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("[{\"a\":1},\n[2,\"]\"] {\"b\":", uint8(1))
	f.Add("a,b\n1,\"x\n\"\"\"\n\n2,3", uint8(2))
	f.Add("\xef\xbb\xbfa\r\nb", uint8(0))
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text string, format uint8) {
		formats := []string{formatLines, formatJSON, formatCSV}
		name := formats[int(format)%3]
		if strings.HasPrefix(text, "\x1f\x8b") || strings.HasPrefix(text, "\x28\xb5\x2f\xfd") {
			return
		}
		all, places := split(t, strings.NewReader(text), name, rfc4180)
		one, _ := split(t, iotest.OneByteReader(strings.NewReader(text)), name, rfc4180)
		require.Equal(t, all, one)
		for i, at := range places { // reading on after any is the rest
			in := NewRecords(strings.NewReader(text), Config{Format: name}, rfc4180)
			if i == 0 {
				continue
			}
			require.NoError(t, in.open())
			_, err := in.text.in.Discard(int(at - in.text.off))
			require.NoError(t, err)
			in.text.off = at
			require.NoError(t, in.split.after(&in.text))
			for _, want := range all[i+1:] {
				got, _, err := in.Next()
				require.NoError(t, err)
				require.Equal(t, want, string(got))
			}
			_, _, err = in.Next()
			require.ErrorIs(t, err, io.EOF)
		}
	}))
}

func BenchmarkRead(b *testing.B) {
	line := strings.Repeat("x", 180)
	var csvText, array strings.Builder
	csvText.WriteString("a,b,c\n")
	array.WriteString("[")
	for i := range 200_000 {
		fmt.Fprintf(&csvText, "%d,\"%s\",1.5\n", i, line)
		fmt.Fprintf(&array, "%s{\"a\":%d,\"b\":\"%s\"}", map[bool]string{true: ",\n"}[i > 0], i, line)
	}
	array.WriteString("]")
	for name, c := range map[string]struct {
		format  string
		framing connectors.Framing
		text    string
	}{
		"lines": {formatLines, connectors.Framing{}, csvText.String()}, "csv": {"", withHeader(rfc4180), csvText.String()},
		"json_array": {formatJSON, connectors.Framing{}, array.String()},
	} {
		file := filepath.Join(b.TempDir(), "a")
		write(b, file, c.text)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			source, err := New(Config{Paths: []string{file}, Format: c.format}, c.framing, control.NewScratch(), "p", nil)
			require.NoError(b, err)
			shards, err := source.Shards(b.Context())
			require.NoError(b, err)
			for b.Loop() {
				r, err := source.Read(b.Context(), shards[0].ID, "")
				require.NoError(b, err)
				rows := int64(0)
				for {
					batch, err := r.Next(b.Context())
					if errors.Is(err, io.EOF) {
						break
					}
					require.NoError(b, err)
					rows += batch.Records
					batch.Release()
				}
				require.NoError(b, r.Close())
				require.GreaterOrEqual(b, rows, int64(200_000))
			}
		})
	}
}
