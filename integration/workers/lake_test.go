//go:build unix

package workers

import (
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/integration/servers"
)

// lake is where the workers write. Objects are never changed, so each is read once.
type lake interface {
	sink() string                                               // of the pipeline
	secret() string                                             // that it has in LAKE_SECRET
	fresh(t *testing.T, seen map[string]bool) map[string]string // the names and contents that were not seen yet
}

// folder is a lake of NDJSON files.
type folder string

func (d folder) sink() string { return "{file: {path: '" + string(d) + "', format: {ndjson: {}}}}" }

func (folder) secret() string { return "" }

func (d folder) fresh(t *testing.T, seen map[string]bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || seen[path] || strings.Contains(path, "_penstock") {
			return err
		}
		seen[path] = true
		text, err := os.ReadFile(path) //nolint:gosec // of the test
		out[path] = string(text)
		return err
	})
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return out
}

// bucket is a lake of Parquet.
type bucket struct{ *servers.S3 }

func newBucket(t *testing.T) bucket {
	t.Helper()
	s := servers.S3For(t, "minio")
	require.NoError(t, s.Bucket(t.Context(), "lake"))
	return bucket{s}
}

func (b bucket) sink() string {
	return "{s3: {endpoint: '" + b.Endpoint + "', bucket: lake, access_key: " + b.AccessKey + ", secret_key: '${LAKE_SECRET}', format: {parquet: {}}}}"
}

func (b bucket) secret() string { return b.SecretKey }

func (b bucket) fresh(t *testing.T, seen map[string]bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	for o := range b.Client.ListObjects(t.Context(), "lake", minio.ListObjectsOptions{Recursive: true}) {
		require.NoError(t, o.Err)
		if seen[o.Key] || strings.HasPrefix(o.Key, "_penstock/") {
			continue
		}
		seen[o.Key] = true
		r, err := b.Client.GetObject(t.Context(), "lake", o.Key, minio.GetObjectOptions{})
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err, o.Key)
		out[o.Key] = string(content)
	}
	return out
}

// arrivals counts the rows of a lake by their id.
type arrivals struct {
	lake lake
	seen map[string]bool
	rows map[string]int
}

func watch(l lake) *arrivals { return &arrivals{l, map[string]bool{}, map[string]int{}} }

// look takes what has come since, and checks that the rows of one key are in order within a file.
func (a *arrivals) look(t *testing.T) map[string]int {
	t.Helper()
	for name, content := range a.lake.fresh(t, a.seen) {
		last := map[string]int{}
		for _, row := range laketest.RowsOf(t, name, []byte(content)) {
			var v struct {
				ID, Key string
				N       int
			}
			require.NoError(t, json.Unmarshal([]byte(row), &v), row)
			require.GreaterOrEqual(t, v.N, last[v.Key], "%s: rows of key %s are out of order", name, v.Key)
			last[v.Key] = v.N
			a.rows[v.ID]++
		}
	}
	return a.rows
}
