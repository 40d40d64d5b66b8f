//go:build unix

package workers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// try runs a command to its end, whatever comes of it.
func (f *fleet) try(args ...string) (out string, ok bool) {
	f.t.Helper()
	text, err := f.command(args...).CombinedOutput()
	return string(text), err == nil
}

// standing are the shards of the pipeline, as describe has them.
func (f *fleet) standing(state string) (out []struct {
	Shard, Owner, Checkpoint, Problem string
	Totals                            struct{ Written int }
	PausedAt                          string `json:"paused_at"`
},
) {
	f.t.Helper()
	cmd := f.command("--json", "pipelines", "describe", "p", "--state", state)
	text, err := cmd.Output()
	require.NoError(f.t, err, "%s", text)
	e := struct{ Result any }{&out}
	require.NoError(f.t, json.Unmarshal(text, &e))
	return out
}

// TestPipelinesAreLookedAtAndTurnedFromAnywhere pauses, resets and resumes a pipeline that workers share, looks at it and at its
// letters, and fills another sink from it, from a process that is none of its workers.
func TestPipelinesAreLookedAtAndTurnedFromAnywhere(t *testing.T) {
	servers.Need(t, "server and workers")
	for _, where := range []string{"server", "postgres"} {
		t.Run(where, func(t *testing.T) {
			server := servetest.New(t, "--state-delay", "0s")
			state := server.Endpoint
			if where == "postgres" {
				state = servers.PostgresFor(t).URL
			}
			c := server.Client(t)
			_, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(4)})
			require.NoError(t, err)
			n := 0
			put := func(count int, data string) {
				t.Helper()
				for range count {
					n++
					text := fmt.Sprintf(data, n)
					_, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("clicks"), Records: []types.PutRecordsRequestEntry{{Data: []byte(text), PartitionKey: &text}}})
					require.NoError(t, err)
				}
			}
			const row = `{"id":"%[1]d","key":"%[1]d","n":1}`
			dir := t.TempDir()
			lake := filepath.Join(dir, "lake")
			f := newFleet(t, dir, fmt.Sprintf(`version: 1
name: p
source: {kinesis: {stream: clicks, endpoint: '%s', access_key: key, secret_key: '${SECRET}'}, decode: {json: {}}}
buffer: {max_age: 1s}
sink: %s
`, server.Endpoint, folder(lake).sink()), state, folder(lake))
			arrive := func(want int) {
				t.Helper()
				require.Eventually(t, func() bool { return linesIn(t, lake) == want }, 2*time.Minute, 200*time.Millisecond, "%d, not %d: %s", linesIn(t, lake), want, f.logs())
			}
			put(99, row)
			put(1, `{"id":%d`)
			f.add()
			f.add()
			arrive(99)
			require.Eventually(t, func() bool {
				owners := map[string]bool{}
				for _, s := range f.standing(state) {
					owners[s.Owner] = true
				}
				return len(owners) == 2 && !owners[""]
			}, time.Minute, 500*time.Millisecond)
			for _, s := range f.standing(state) {
				require.Empty(t, s.Problem)
			}
			require.Equal(t, "p\n", f.run("pipelines", "list", "--state", state))
			if where == "server" {
				require.Contains(t, f.run("dlq", "list", "p.dead", "--state", state), "bad_json")
				require.Contains(t, f.run("dlq", "show", "p.dead", "1", "--state", state), `{"id":100`)
			}

			out, ok := f.try("pipelines", "reset", "p", "--to", "trim_horizon", "--yes", "--state", state, "--failover", "4s")
			require.False(t, ok, out)
			require.Contains(t, out, "is running in ")
			require.Contains(t, f.run("pipelines", "pause", "p", "--state", state, "--wait", "2m"), "is paused since")
			for _, s := range f.standing(state) {
				require.Empty(t, s.Owner)
				require.NotEmpty(t, s.PausedAt)
			}
			time.Sleep(10 * time.Millisecond)
			from := time.Now().UTC().Format(time.RFC3339Nano)
			time.Sleep(10 * time.Millisecond)
			put(50, row)
			time.Sleep(3 * f.failover)
			require.Equal(t, 99, linesIn(t, lake))
			f.kill(0)
			f.add()
			preview := f.run("pipelines", "reset", "p", "--to", "trim_horizon", "--state", state)
			require.Contains(t, preview, "100 records (")
			require.Contains(t, preview, "nothing was changed")
			require.Contains(t, f.run("pipelines", "reset", "p", "--to", "trim_horizon", "--yes", "--state", state), "it is paused")
			time.Sleep(3 * f.failover)
			require.Equal(t, 99, linesIn(t, lake))
			f.run("pipelines", "resume", "p", "--state", state)
			arrive(99 + 149)
			f.healthy()

			time.Sleep(10 * time.Millisecond)
			to := time.Now().UTC().Format(time.RFC3339Nano)
			into := "version: 1\nname: again\nsink: {file: {path: ./again, format: {ndjson: {}}}}\n"
			require.NoError(t, os.WriteFile(filepath.Join(f.dir, "again.yaml"), []byte(into), 0o600))
			f.run("pipelines", "backfill", "p", "--from", from, "--to", to, "--into", "again.yaml", "--state", state)
			f.run("pipelines", "backfill", "p", "--from", from, "--to", to, "--into", "again.yaml", "--state", state)
			require.Equal(t, 50, linesIn(t, filepath.Join(f.dir, "again")))
			require.Contains(t, f.run("verify", "again.yaml", "--state", state), "verify again: clean")
			for len(f.all) > 0 {
				f.stop(0)
			}
			require.Contains(t, f.run("verify", "p.yaml", "--state", state), "verify p: clean")
		})
	}
}

// linesIn counts the lines of the files in a folder.
func linesIn(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	require.NoError(t, err)
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // of the test
		require.NoError(t, err)
		n += strings.Count(string(text), "\n")
	}
	return n
}
