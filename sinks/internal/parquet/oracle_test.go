package parquet_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/oracle"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

// TestOthersReadTheSameRows: pyarrow and DuckDB read every type, and real pages of events, as the NDJSON writer wrote
// them.
func TestOthersReadTheSameRows(t *testing.T) {
	python := oracle.Need(t)
	events, _ := clicks(t, 3, 8192)
	for _, codec := range []string{"zstd", "snappy", "gzip", "none"} {
		for name, recs := range map[string][]arrow.Record{
			"every type": {variety(everyType(), 2, 3000)}, "events": events, "a dictionary given up": {growing(5), growing(290_000)},
		} {
			if codec != "zstd" && name != "every type" {
				continue
			}
			t.Run(codec+"/"+name, func(t *testing.T) {
				file, lines := filepath.Join(t.TempDir(), "a.parquet"), filepath.Join(t.TempDir(), "a.ndjson")
				var columns, text bytes.Buffer
				w, err := parquet.New(&columns, recs[0].Schema(), parquet.Config{Compression: codec, RowGroupRows: 280_000})
				require.NoError(t, err)
				l, err := ndjson.New(&text, ndjson.Config{})
				require.NoError(t, err)
				for _, r := range recs {
					require.NoError(t, w.Write(r, nil))
					require.NoError(t, l.Write(r, nil))
				}
				require.NoError(t, w.Close())
				require.NoError(t, l.Close())
				require.NoError(t, os.WriteFile(file, columns.Bytes(), 0o600))
				require.NoError(t, os.WriteFile(lines, text.Bytes(), 0o600))
				said, err := oracle.CheckParquet(t.Context(), python, file, lines)
				require.NoError(t, err)
				t.Log("\n" + said)
			})
		}
	}
}
