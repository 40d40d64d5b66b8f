//go:build linux

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servetest"
)

// alone runs a shell in a network of its own, in which the ports that the documentation names are free.
const alone = `import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH22x", b"lo", 0x41))  # SIOCSIFFLAGS: the loopback is up and running
os.execvp("bash", ["bash", "-O", "expand_aliases", "-e", *sys.argv[1:]])`

// awsCLI2 is where Debian's package has the CLI's second version, which PyPI has not.
const awsCLI2 = "/usr/bin/aws"

// TestTheWalkThroughOfTheKinesisAPI types what docs/kinesis-api.md says, word for word, for both versions of the CLI.
func TestTheWalkThroughOfTheKinesisAPI(t *testing.T) {
	py := python(t)
	for version, aws := range map[string]string{"aws-cli/1.": filepath.Join(filepath.Dir(py), "aws"), "aws-cli/2.": awsCLI2} {
		t.Run(version, func(t *testing.T) {
			said, err := exec.CommandContext(t.Context(), aws, "--version").CombinedOutput() //nolint:gosec // one of the two
			require.NoError(t, err, "the AWS CLI is missing: %s", said)
			require.Contains(t, string(said), version)
			walkThrough(t, py, aws)
		})
	}
}

func walkThrough(t *testing.T, py, aws string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "kinesis-api.md"))
	require.NoError(t, err)
	walk := regexp.MustCompile("(?s)```\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, walk)
	penstock := servetest.Command(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "walk")
	require.NoError(t, os.WriteFile(script, []byte("trap 'kill %1; wait %1' EXIT\n"+string(walk[1])+"penstock tail clicks\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--map-root-user", py, "-c", alone, script) //nolint:gosec // the tests' own
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+strings.Join([]string{filepath.Dir(penstock), filepath.Dir(aws), os.Getenv("PATH")}, ":"), "AWS_PAGER=")
	cmd.WaitDelay = time.Minute // for a server that was left running
	said, err := cmd.CombinedOutput()
	t.Logf("%s", said)
	require.NoError(t, err)
	require.Regexp(t, `"Data": "eyJuIjoxfQo="`, string(said), "get-records has what put-record put, a line with its end")
	require.Regexp(t, `"PartitionKey": "a"`, string(said))
	require.Regexp(t, `"ShardId": "shardId-000000000000"`, string(said))
	require.Regexp(t, `"MillisBehindLatest": 0`, string(said))
}
