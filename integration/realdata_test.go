package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/oracle"
	"github.com/penstock/penstock/integration/servers"
)

// realData is the folder of the inputs: real ones where PENSTOCK_TEST_DATA names them, or else small ones of the same
// form.
func realData(t *testing.T) string {
	t.Helper()
	dir := "testdata"
	if named := os.Getenv("PENSTOCK_TEST_DATA"); named != "" {
		dir = named
	}
	abs, err := filepath.Abs(dir)
	require.NoError(t, err)
	return abs
}

// compare runs a script of ./oracle, which reads the bucket and the input by itself and holds them against each other.
func compare(t *testing.T, s *servers.S3, script string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), oracle.Need(t), append([]string{filepath.Join("oracle", script)}, args...)...) //nolint:gosec // the repository's own scripts
	cmd.Env = append(os.Environ(), "S3_ENDPOINT="+s.Endpoint, "S3_ACCESS_KEY="+s.AccessKey, "S3_SECRET="+s.SecretKey, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}

// TestRealJSONInABucketIsWhatPythonReads archives real nested and flat JSON as Parquet, twice, and has pyarrow read it.
func TestRealJSONInABucketIsWhatPythonReads(t *testing.T) {
	for _, name := range servers.S3Names() {
		t.Run(name, func(t *testing.T) {
			server := servers.S3For(t, name)
			for kind, c := range map[string]struct{ file, stages, layout string }{
				"nginx":   {"nginx_status.ndjson", "[{parse_timestamp: {column: timestamp, format: epoch_ms}}]", "prefix: 'lake/dt=!{timestamp:yyyy-MM-dd}/', partition_by: timestamp"},
				"flights": {"flights.ndjson", "[{compute: {hour: 'int(time)'}}]", "prefix: 'lake/hour=!{partitionKeyFromQuery:hour}/', partition_keys: {hour: hour}"},
			} {
				t.Run(kind, func(t *testing.T) {
					u := newUser(t, "S3_SECRET="+server.SecretKey)
					b, input := bucket(t, server), filepath.Join(realData(t), c.file)
					file := u.write(t, "p.yaml", fmt.Sprintf(`version: 1
name: real
source: {file: {paths: [%q]}, decode: {json: {}}}
stages: %s
buffer: {max_records: 25000}
sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', %s, format: {parquet: {compression: zstd}}}}
`, input, c.stages, server.Endpoint, b, server.AccessKey, c.layout))
					for range 2 { // the second run adds nothing
						u.run(t, "run", file)
					}
					require.Contains(t, u.run(t, "verify", file), "clean")
					compare(t, server, "ndjson.py", input, b, "lake/", kind)
				})
			}
		})
	}
}

// TestARealAccessLogInABucketIsWhatPythonReads puts a real access log into a stream of four shards and archives it by
// the day, in flushes of a part of it, twice.
func TestARealAccessLogInABucketIsWhatPythonReads(t *testing.T) {
	for _, name := range servers.S3Names() {
		t.Run(name, func(t *testing.T) {
			server := servers.S3For(t, name)
			u := newUser(t, "S3_SECRET="+server.SecretKey)
			b, input := bucket(t, server), filepath.Join(realData(t), "apache_access.log")
			text, err := os.ReadFile(input)
			require.NoError(t, err)
			u.run(t, "streams", "create", "log", "--shards", "4")
			code, _, errOut := u.try(t, text, "put", "log")
			require.Zero(t, code, errOut)
			file := u.write(t, "p.yaml", fmt.Sprintf(`version: 1
name: access-log
source: {stream: log, decode: {logline: combined}}
stages:
  - filter: 'status != 304'
  - compute: {hour: 'timestamp_trunc(time, "hour")', kib: 'bytes / 1024'}
  - hash: {columns: [client_ip], algorithm: sha256}
buffer: {max_records: 4000}
sink: {s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: '${S3_SECRET}', prefix: 'lake/dt=!{timestamp:yyyy-MM-dd}/', partition_by: time, format: {parquet: {compression: zstd}}}}
`, server.Endpoint, b, server.AccessKey))
			for range 2 { // the second run adds nothing
				u.run(t, "run", file, "--until-caught-up")
			}
			require.Contains(t, u.run(t, "verify", file), "clean")
			compare(t, server, "access_log.py", input, b, "lake/")
		})
	}
}
