package clients

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestAsyncKinesis has a package that is not AWS's put to a stream, and read it while shards are split and merged.
func TestAsyncKinesis(t *testing.T) {
	t.Parallel()
	servers.Need(t, "async-kinesis")
	python, err := servers.Python(t.Context(), "async-kinesis==3.0.1", "aiobotocore==3.10.0", "botocore==1.43.117", "aiohttp==3.14.5")
	require.NoError(t, err)
	c := newClicks(t, 4)
	n, _ := size(t)
	file := filepath.Join(t.TempDir(), "read")
	w := startWorker(t, "async-kinesis", python, filepath.Join("python", "async_kinesis.py"), c.server.Endpoint, "clicks", file, strconv.Itoa(n))
	numbers := func() (list []int) {
		text, err := os.ReadFile(file) //nolint:gosec // a temporary folder
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		require.NoError(t, err)
		whole := text[:strings.LastIndexByte(string(text), '\n')+1]
		for line := range strings.Lines(string(whole)) {
			i, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			list = append(list, i)
		}
		return list
	}
	wait := func(records int) {
		for limit := time.Now().Add(5 * time.Minute); len(numbers()) < records; time.Sleep(100 * time.Millisecond) {
			require.True(t, time.Now().Before(limit), "only %d of %d records are read", len(numbers()), records)
			w.alive(t)
		}
	}
	wait(n) // its own
	c.put(t, n)
	c.reshard(t)
	c.put(t, n)
	wait(n + c.at)
	require.Zero(t, w.end(t))
	own, rest := map[int]bool{}, map[int]int{} // of a key, the number read last
	for i, v := range numbers() {
		if i < n {
			require.False(t, own[v] || v >= n, "%d is read twice, or was never put", v)
			own[v] = true
			continue
		}
		before, ok := rest[v%keys]
		require.True(t, !ok && v < keys || v == before+keys, "%d is read after %d", v, before)
		rest[v%keys] = v
	}
	require.Len(t, numbers(), n+c.at)
}
