package clients

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/sigv4"
	"github.com/penstock/penstock/integration/servetest"
)

// delivers reads a stream over TLS with a pipeline, in both modes, and holds what it delivers against the user records.
func delivers(t *testing.T, server *servetest.Server, key sigv4.Key, stream string, records []record) {
	t.Helper()
	var want []string
	for _, r := range records {
		want = append(want, base64.StdEncoding.EncodeToString(r.data))
	}
	slices.Sort(want)
	for _, mode := range []string{"mode: polling", "mode: fan_out, consumer: pipeline"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "p.yaml"), fmt.Appendf(nil, `version: 1
name: p
source:
  kinesis: {stream: %s, endpoint: '%s', access_key: '${KEY}', secret_key: '${SECRET}', %s}
  decode: {raw: {}}
sink: {file: {path: ./lake, format: {ndjson: {}}}}
`, stream, server.Endpoint, mode), 0o600))
		for _, args := range [][]string{{"run", "p.yaml", "--until-caught-up"}, {"verify", "p.yaml", "--data", "penstock-data"}} {
			cmd := exec.CommandContext(t.Context(), servetest.Command(t), args...) //nolint:gosec // the binary that was built
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+server.CA(), "KEY="+key.AccessKey, "SECRET="+key.Secret.Reveal())
			said, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", said)
		}
		require.Equal(t, want, delivered(t, dir), "%s, %s", stream, mode)
	}
}

// delivered is the data of the rows in a lake but for those that warmed up, sorted.
func delivered(t *testing.T, dir string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "lake", "*.ndjson"))
	require.NoError(t, err)
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // of the test
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			var row struct{ Data []byte }
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			if string(row.Data) != "warm up" {
				out = append(out, base64.StdEncoding.EncodeToString(row.Data))
			}
		}
	}
	slices.Sort(out)
	return out
}
