// Package servetest runs penstock serve as a process of its own, for tests of what clients meet.
package servetest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
)

// built is the folder of what is built, once there is one.
var built string

var folder = sync.OnceValues(func() (string, error) {
	var err error
	built, err = os.MkdirTemp("", "penstock-serve-")
	return built, err
})

var build = sync.OnceValues(func() (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "penstock")
	return path, compile(path)
})

// Command is the path of the command, which is built once for all tests of a package.
func Command(t *testing.T) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	return path
}

// Main runs a package's tests and takes away what was built for them. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a temporary folder
	}
	return code
}

// Server is a process that serves a data directory. It can be killed and started again.
type Server struct {
	Dir      string // where it runs, with its data directory
	Endpoint string // http://127.0.0.1:port; https:// with --tls-self-signed
	command  string
	env      []string // nil: the test's
	flags    []string
	cmd      *exec.Cmd
	ended    chan struct{}
}

// New starts a server over a data directory of its own, which lasts as long as the test.
func New(t *testing.T, flags ...string) *Server {
	t.Helper()
	s := &Server{Dir: t.TempDir(), command: Command(t), flags: flags}
	s.start(t, "127.0.0.1:0")
	t.Cleanup(s.Kill)
	return s
}

// Restart starts a server that was killed, at the address that it had.
func (s *Server) Restart(t *testing.T) {
	t.Helper()
	s.start(t, s.Address())
}

// serving is what the server logs when it takes requests.
var serving = regexp.MustCompile(`msg=serving endpoint=(\S+)`)

func (s *Server) start(t *testing.T, listen string) {
	t.Helper()
	s.cmd = exec.Command(s.command, append([]string{"serve", "--auth", "none", "--listen", listen}, s.flags...)...) //nolint:gosec,noctx // the binary built above, which Kill ends
	s.cmd.Dir, s.cmd.Env = s.Dir, s.env
	said, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	endpoint := make(chan string, 1)
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			t.Log("server: " + lines.Text())
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				endpoint <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, said) // a line too long for lines; the server must not wait for its reader
		_ = s.cmd.Wait()                 // killed
	}()
	select {
	case s.Endpoint = <-endpoint:
	case <-s.ended:
		require.Fail(t, "the server ended at once")
	case <-time.After(time.Minute):
		require.Fail(t, "the server does not say that it serves")
	}
}

// Kill ends the process as a crash would, and waits until it has.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// Ends waits until the process has ended by itself, and returns its exit code.
func (s *Server) Ends(t *testing.T) int {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		require.Fail(t, "the server goes on")
	}
	return s.cmd.ProcessState.ExitCode()
}

// PID is the id of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Address is where the server listens.
func (s *Server) Address() string {
	_, address, _ := strings.Cut(s.Endpoint, "://")
	return address
}

// CA is the file that clients of a server with --tls-self-signed have to trust.
func (s *Server) CA() string { return filepath.Join(s.Dir, "penstock-data", "tls-ca.pem") }

// Client is AWS's SDK for Go at the server, whose CA it trusts. It tries once.
func (s *Server) Client(t *testing.T) *kinesis.Client {
	t.Helper()
	return s.ClientOf(t, "key", "secret")
}

// ClientOf is Client with a key, for a server that asks for one: --auth may be another than none.
func (s *Server) ClientOf(t *testing.T, accessKey, secret string) *kinesis.Client {
	t.Helper()
	if !strings.HasPrefix(s.Endpoint, "https") {
		return kinesistest.Client(s.Endpoint, accessKey, secret)
	}
	text, err := os.ReadFile(s.CA())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	return kinesistest.Client(s.Endpoint, accessKey, secret, kinesistest.Trust(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
}
