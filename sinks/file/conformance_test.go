package file_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/sinks/internal/lake"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
)

func TestTheSinkKeepsItsContract(t *testing.T) {
	for name, layout := range map[string]lake.Layout{
		"parquet":             {},
		"parquet by city":     {Prefix: "city=!{partitionKeyFromQuery:city}/", PartitionKeys: map[string]string{"city": "id"}},
		"ndjson by the hour":  {Prefix: "!{timestamp:HH}/", Format: lake.Format{NDJSON: &ndjson.Config{}}},
		"ndjson as gzip":      {Format: lake.Format{NDJSON: &ndjson.Config{Compression: "gzip"}}},
		"parquet, small ones": {Format: lake.Format{Parquet: &parquet.Config{RowGroupRows: 16, Compression: "snappy"}}},
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Target {
				dir := t.TempDir()
				return sinktest.Target{
					Open: func(t *testing.T) connectors.Sink {
						s, err := file.Open(t.Context(), file.Config{Path: dir, Layout: layout})
						require.NoError(t, err)
						return s
					},
					Rows: func(t *testing.T) []string { return laketest.Rows(t, tree(t, dir)) },
				}
			})
		})
	}
}

// tree is every file below dir, by its path there.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	root := os.DirFS(dir)
	out := map[string][]byte{}
	require.NoError(t, fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, name)
		out[name] = b
		return err
	}))
	return out
}
