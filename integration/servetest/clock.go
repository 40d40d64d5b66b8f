package servetest

import (
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Clock is the wall clock of a server. Its monotonic clock is the machine's, whatever is done to this one.
type Clock struct {
	file   *os.File
	at     time.Time // not zero: it stands
	offset time.Duration
}

// NewClocked is New of a server whose wall clock is the test's. Its command is built with another time.Now, on Linux only.
func NewClocked(t *testing.T, flags ...string) (*Server, *Clock) {
	t.Helper()
	path, err := clocked()
	require.NoError(t, err)
	s := &Server{Dir: t.TempDir(), command: path, flags: flags}
	name := filepath.Join(s.Dir, "clock")
	c := &Clock{}
	c.file, err = os.Create(name) //nolint:gosec // a temporary folder
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.file.Close() })
	c.tell(t)
	s.env = append(os.Environ(), "PENSTOCK_TEST_CLOCK="+name)
	s.start(t, "127.0.0.1:0")
	t.Cleanup(s.Kill)
	return s, c
}

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	if !c.at.IsZero() {
		return c.at
	}
	return time.Now().Round(0).Add(c.offset)
}

// Offset is how far a clock that goes is ahead of the machine's.
func (c *Clock) Offset() time.Duration { return c.offset }

// Set makes the clock go, so far ahead of the machine's.
func (c *Clock) Set(t *testing.T, offset time.Duration) {
	t.Helper()
	c.at, c.offset = time.Time{}, offset
	c.tell(t)
}

// Stop makes the clock stand where it is. Once it goes again it has gone on meanwhile.
func (c *Clock) Stop(t *testing.T) {
	t.Helper()
	c.at = c.Now()
	c.tell(t)
}

func (c *Clock) tell(t *testing.T) {
	t.Helper()
	at := int64(0)
	if !c.at.IsZero() {
		at = c.at.UnixNano()
	}
	b := binary.NativeEndian.AppendUint64(nil, uint64(at))    //nolint:gosec // as it is read
	b = binary.NativeEndian.AppendUint64(b, uint64(c.offset)) //nolint:gosec // as it is read
	_, err := c.file.WriteAt(b, 0)
	require.NoError(t, err)
}

//go:embed clock.go.txt
var clockSource []byte

// clocked builds the command with a package time whose Now asks the file of a Clock.
var clocked = sync.OnceValues(func() (string, error) {
	const now, change = "\tsec, nsec, mono := runtimeNow()\n", "\tsec, nsec = skewed(sec, nsec)\n"
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go")) //nolint:gosec // of the toolchain
	if err != nil {
		return "", err
	}
	head, body, ok := strings.Cut(string(text), "\nfunc Now() Time {\n"+now)
	if !ok {
		return "", errors.New("time.Now of this Go is another one")
	}
	dir, err := folder()
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": head + "\nfunc Now() Time {\n" + now + change + body, "clock.go": string(clockSource)} {
		replace[filepath.Join(source, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "penstock-clocked")
	return path, compile(path, "-overlay", list)
})

// compile builds the command.
func compile(path string, flags ...string) error {
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "github.com/penstock/penstock/cmd/penstock")...).CombinedOutput() //nolint:gosec,noctx // paths made here; once for all tests
	if err != nil {
		return fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return nil
}
