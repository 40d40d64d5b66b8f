package warehouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/sinktest"
)

// real are lines of real inputs, from the beginning again when they are at their end. Every one becomes a row.
type real struct {
	lines [][]byte
	row   func(t *testing.T, line []byte) string // that a line becomes
	table string                                 // what is asked for of a row
	from  int
	rows  []string
}

// realData is the folder of the inputs: real ones where PENSTOCK_TEST_DATA names them, or else small ones of the same form.
func realData() string {
	if named := os.Getenv("PENSTOCK_TEST_DATA"); named != "" {
		return named
	}
	return filepath.Join("..", "testdata")
}

func linesOf(t *testing.T, names ...string) (out [][]byte) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(realData(), name))
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			out = append(out, bytes.TrimSpace(line))
		}
	}
	return out
}

// newJSON are flat and nested documents.
func newJSON(t *testing.T) *real {
	t.Helper()
	return &real{
		lines: linesOf(t, "nginx_status.ndjson", "flights.ndjson"), table: "row_to_json(t)::text",
		row: func(t *testing.T, line []byte) string { return canonical(t, string(line)) },
	}
}

// newAccessLog are the lines of an access log, of which those columns are compared that need no unescaping.
func newAccessLog(t *testing.T) *real {
	t.Helper()
	combined := regexp.MustCompile(`^(\S+) \S+ .+? \[([^\]]+)\] "(?:[^"\\]|\\.)*" (\d+) (\d+|-) `)
	return &real{
		lines: linesOf(t, "apache_access.log"), table: `concat_ws(' ', client_ip, extract(epoch FROM "time")::bigint, status, coalesce(bytes::text, '-'))`,
		row: func(t *testing.T, line []byte) string {
			m := combined.FindSubmatch(line)
			require.NotNil(t, m, "%s", line)
			at, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(m[2]))
			require.NoError(t, err)
			return fmt.Sprintf("%s %d %s %s", m[1], at.Unix(), m[3], m[4])
		},
	}
}

func (*real) ddl(string) string { return "" } // it is made

func (r *real) query(table string) string { return "SELECT " + r.table + " FROM " + table + " t" }

func (r *real) next(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	for range n {
		line := r.lines[r.from%len(r.lines)]
		r.from++
		out.Write(append(line, '\n'))
		r.rows = append(r.rows, r.row(t, line))
	}
	return out.Bytes()
}

func (r *real) want() []string { return slices.Sorted(slices.Values(r.rows)) }

func (*real) letters() []string { return nil }

// canonical is a JSON object without nulls, its keys in order and its numbers in one form.
func canonical(t *testing.T, line string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), line)
	out, err := json.Marshal(numbered(sinktest.WithoutNulls(v)))
	require.NoError(t, err)
	return string(out)
}

// numbered has every number in the form of a fraction.
func numbered(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, ok := new(big.Rat).SetString(v.String()); ok {
			return f.RatString()
		}
	case map[string]any:
		for k, e := range v {
			v[k] = numbered(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbered(e)
		}
	}
	return v
}
