package clients

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
)

// built is the folder of what tests build.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "penstock-clients-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(built) // a temporary folder
	os.Exit(code)
}

// binary builds the command, once for all tests, and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "penstock")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/penstock").CombinedOutput() //nolint:gosec // a path made here
	if err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

// serving is what the server logs when it takes requests.
var serving = regexp.MustCompile(`msg=serving endpoint=(\S+)`)

// serve starts the server over a data directory of its own, and returns its endpoint.
func serve(t *testing.T) string {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, "serve", "--auth", "none", "--listen", "127.0.0.1:0") //nolint:gosec // the binary built above
	cmd.Dir = t.TempDir()
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	endpoint, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			t.Log("server: " + lines.Text())
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				endpoint <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, said) // a line too long for lines; the server must not wait for its reader
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-read
		_ = cmd.Wait() // killed
	})
	select {
	case e := <-endpoint:
		return e
	case <-read:
		t.Fatal("the server ended at once")
	case <-time.After(time.Minute):
		t.Fatal("the server does not say that it serves")
	}
	return ""
}

// sdk is a client of AWS's SDK for Go. It tries once.
func sdk(endpoint string) *kinesis.Client { return kinesistest.Client(endpoint, "key", "secret") }
