//go:build linux

package conformance

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

// built is the folder of the command, once it is built.
var built string

// command builds the command, once for all tests, and returns its path.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "penstock-conformance-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "penstock")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/penstock").CombinedOutput() //nolint:gosec // a path made here
	if err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a temporary folder
	}
	os.Exit(code)
}

// serving is what the server logs when it takes requests.
var serving = regexp.MustCompile(`msg=serving endpoint=(\S+)`)

// server is a process that serves a data directory. It can be killed and started again.
type server struct {
	dir      string
	flags    []string
	endpoint string
	cmd      *exec.Cmd
	ended    chan struct{}
}

// newServer starts a server over a data directory of its own.
func newServer(t *testing.T, flags ...string) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), flags: flags}
	s.start(t, "127.0.0.1:0")
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(t *testing.T, listen string) {
	t.Helper()
	path, err := command()
	require.NoError(t, err)
	s.cmd = exec.Command(path, append([]string{"serve", "--auth", "none", "--listen", listen}, s.flags...)...) //nolint:gosec // the binary built above
	s.cmd.Dir = s.dir
	said, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	endpoint := make(chan string, 1)
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				endpoint <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, said) // a line too long for lines; the server must not wait for its reader
		_ = s.cmd.Wait()                 // killed
	}()
	select {
	case s.endpoint = <-endpoint:
	case <-s.ended:
		require.Fail(t, "the server ended at once")
	case <-time.After(time.Minute):
		require.Fail(t, "the server does not say that it serves")
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// rss is how much memory the process has, in bytes.
func (s *server) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	_, err = fmt.Sscan(string(text), &size, &resident)
	return resident * int64(os.Getpagesize()), err
}

// address is where the server listens.
func (s *server) address() string { return s.endpoint[len("http://"):] }

func (s *server) client() *kinesis.Client { return kinesistest.Client(s.endpoint, "key", "secret") }
