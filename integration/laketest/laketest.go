// Package laketest reads the objects of a lake back, with readers that are not the ones of the product: Parquet by
// Arrow's own implementation. It is not used by the product.
package laketest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// TB is a test of the standard library, or a run of a property.
type TB interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// Rows are the rows of the objects of a lake, by name, as JSON objects. What lies under _penstock/ is no data.
func Rows(t TB, objects map[string][]byte) []string {
	t.Helper()
	out := []string{}
	for name, content := range objects {
		if !strings.HasPrefix(name, "_penstock/") {
			out = append(out, RowsOf(t, name, content)...)
		}
	}
	slices.Sort(out)
	return out
}

// RowsOf are the rows of one object, in their order.
func RowsOf(t TB, name string, content []byte) []string {
	t.Helper()
	if strings.HasSuffix(name, ".parquet") {
		return parquetRows(t, name, content)
	}
	return ndjsonRows(t, name, content)
}

func parquetRows(t TB, name string, content []byte) []string {
	t.Helper()
	f, err := file.NewParquetReader(bytes.NewReader(content), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	require.NoError(t, err, name)
	defer f.Close() //nolint:errcheck // it was only read
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1024}, memory.DefaultAllocator)
	require.NoError(t, err, name)
	table, err := r.ReadTable(t.Context())
	require.NoError(t, err, name)
	defer table.Release()
	tr := array.NewTableReader(table, 1024)
	defer tr.Release()
	var out []string
	for tr.Next() {
		var text strings.Builder
		require.NoError(t, array.RecordToJSON(tr.Record(), &text), name)
		out = append(out, strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")...)
	}
	require.NoError(t, tr.Err(), name)
	return out
}

func ndjsonRows(t TB, name string, content []byte) []string {
	t.Helper()
	var in io.Reader = bytes.NewReader(content)
	switch {
	case strings.HasSuffix(name, ".gz"):
		zr, err := gzip.NewReader(in)
		require.NoError(t, err, name)
		in = zr
	case strings.HasSuffix(name, ".zst"):
		zr, err := zstd.NewReader(in)
		require.NoError(t, err, name)
		defer zr.Close()
		in = zr
	}
	text, err := io.ReadAll(in)
	require.NoError(t, err, name)
	var out []string
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.TrimSuffix(line, "\n"))
	}
	return out
}

// Differ counts what two sorted multisets have that the other lacks.
func Differ(want, have []string) (missing, extra int) {
	for len(want) > 0 && len(have) > 0 {
		switch strings.Compare(want[0], have[0]) {
		case 0:
			want, have = want[1:], have[1:]
		case -1:
			missing, want = missing+1, want[1:]
		default:
			extra, have = extra+1, have[1:]
		}
	}
	return missing + len(want), extra + len(have)
}
