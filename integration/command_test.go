package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// binary builds the command, once for all tests, and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "penstock-integration-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "penstock")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/penstock").CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a temporary folder
	}
	os.Exit(code)
}

// user types commands, as a user does.
type user struct {
	dir string // where
	env []string
}

func newUser(t *testing.T, env ...string) *user {
	t.Helper()
	return &user{dir: t.TempDir(), env: env}
}

// start is a command that was typed and not waited for.
func (u *user) start(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // the binary built above
	cmd.Dir, cmd.Env = u.dir, append(os.Environ(), u.env...)
	return cmd, nil
}

// try runs a command and returns its exit code and what it printed.
func (u *user) try(t *testing.T, in []byte, args ...string) (code int, out, errOut string) {
	t.Helper()
	cmd, err := u.start(t.Context(), args...)
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// run runs a command that must succeed.
func (u *user) run(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := u.try(t, nil, args...)
	require.Zero(t, code, "penstock %v\n%s%s", args, out, errOut)
	return out
}

// write writes a file in the user's folder and returns its path.
func (u *user) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(u.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
