//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const toFolder = `version: 1
name: p
source: {stream: in, decode: {json: {}}}
sink: {file: {path: lake}}
`

// TestWhatIsWrongIsSaidWithItsCure makes what commonly goes wrong around a pipeline. Each is said in a line with its place
// and its cure, by the exit code that belongs to it, at once.
func TestWhatIsWrongIsSaidWithItsCure(t *testing.T) {
	for name, c := range map[string]struct {
		file string                      // the pipeline; toFolder where it is empty
		make func(t *testing.T, u *user) // what is wrong
		as   uint32                      // user that runs it
		args []string                    // run p.yaml where it is empty
		code int
		want []string
		none bool // no data directory may be made
	}{
		"a data directory of another user": {as: 65534, code: 3, want: []string{"penstock-data", "cannot be written by user 65534", "change its owner, or choose another with --data"}, make: func(t *testing.T, u *user) {
			u.run(t, "streams", "create", "in")
		}},
		"a folder of another user": {as: 65534, code: 3, want: []string{"penstock-data", "cannot be written by user 65534", "choose another with --data"}},
		"a file system that is read-only": {code: 3, want: []string{"read-only file system", "choose another with --data"}, args: []string{"streams", "create", "x", "--data", "ro/data"}, make: func(t *testing.T, u *user) {
			at := filepath.Join(u.dir, "ro")
			require.NoError(t, os.Mkdir(at, 0o755)) //nolint:gosec // a test's folder
			if err := syscall.Mount("none", at, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
				if os.Getenv("REQUIRE_INTEGRATION") == "1" {
					t.Fatal(err)
				}
				t.Skip("needs root: ", err)
			}
			t.Cleanup(func() { require.NoError(t, syscall.Unmount(at, 0)) })
		}},
		"a file for a data directory": {code: 3, want: []string{"penstock-data", "not a directory"}, make: func(t *testing.T, u *user) { u.write(t, "penstock-data", "mine") }},
		"a data directory of a later version": {code: 3, want: []string{"penstock-data has format 9, this version reads 1", "use the version of penstock that wrote it"}, make: func(t *testing.T, u *user) {
			u.run(t, "streams", "create", "in")
			require.NoError(t, os.WriteFile(filepath.Join(u.dir, "penstock-data", "FORMAT"), []byte("9\n"), 0o600))
		}},
		"no such stream":           {code: 3, want: []string{"stream in", "make it with penstock streams create in"}},
		"no such file":             {code: 2, args: []string{"run", "q.yaml"}, want: []string{"q.yaml", "no such file"}, none: true},
		"an empty file":            {code: 2, file: "\n", want: []string{"p.yaml:1:1: the file is empty: a pipeline has version, name, source and sink"}, none: true},
		"a huge file":              {code: 2, file: strings.Repeat("# data\n", 2<<20), want: []string{"p.yaml:1:1: the file has 14680064 bytes, more than 1048576"}, none: true},
		"a file that holds itself": {code: 2, file: toFolder + "stages: &a [*a]\n", want: []string{"p.yaml:", "the file nests deeper than 64"}, none: true},
		"a misspelt setting":       {code: 2, file: strings.Replace(toFolder, "decode", "decod", 1), want: []string{"p.yaml:3:", `unknown "decod"`, "did you mean decode?"}, none: true},
		"a table for a pipeline":   {code: 2, file: "a,b\n1,2\n", want: []string{"p.yaml:1:1: ", "a pipeline is a mapping"}, none: true},
		"too little memory":        {code: 2, args: []string{"run", "p.yaml", "--memory", "1KiB"}, want: []string{"--memory", "128 MiB"}, none: true},
		"a destination that is a file": {code: 3, want: []string{"lake", "not a directory"}, make: func(t *testing.T, u *user) {
			u.run(t, "streams", "create", "in")
			u.write(t, "lake", "mine")
		}},
		"a stream that is there already": {code: 3, args: []string{"streams", "create", "in"}, want: []string{"stream in", "exists"}, make: func(t *testing.T, u *user) { u.run(t, "streams", "create", "in") }},
		"a flag that is none":            {code: 2, args: []string{"run", "p.yaml", "--dada", "x"}, want: []string{"unknown flag: --dada"}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			u := publicUser(t)
			text := c.file
			if text == "" {
				text = toFolder
			}
			require.NoError(t, os.WriteFile(filepath.Join(u.dir, "p.yaml"), []byte(text), 0o644)) //nolint:gosec // another user reads it
			if c.make != nil {
				c.make(t, u)
			}
			args := c.args
			if args == nil {
				args = []string{"run", "p.yaml", "--until-caught-up"}
			}
			began := time.Now()
			code, said := runAs(t, u, c.as, args...)
			require.Equal(t, c.code, code, said)
			for _, w := range c.want {
				require.Contains(t, said, w)
			}
			require.NotContains(t, said, "goroutine ")
			require.Less(t, time.Since(began), 10*time.Second)
			if c.none {
				require.NoDirExists(t, filepath.Join(u.dir, "penstock-data"), "a start that cannot be left something behind")
			}
		})
	}
}

// publicUser is a user whose folder others may enter.
func publicUser(t *testing.T) *user {
	t.Helper()
	dir, err := os.MkdirTemp("", "penstock-said-") //nolint:usetesting // others may not enter the folder above that of t.TempDir
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // that is what it is for
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path, err := binary()
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755)) //nolint:gosec // as above
	return &user{dir: dir}
}

// runAs runs a command as another user of the system; 0 is the one of the test.
func runAs(t *testing.T, u *user, uid uint32, args ...string) (code int, said string) {
	t.Helper()
	cmd, err := u.start(t.Context(), args...)
	require.NoError(t, err)
	if uid != 0 {
		if os.Getuid() != 0 {
			if os.Getenv("REQUIRE_INTEGRATION") == "1" {
				t.Fatal("needs root to be another user")
			}
			t.Skip("needs root to be another user")
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // its exit code is looked at
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestASecondProcessIsToldWhoHasTheDirectory starts a run where another one is.
func TestASecondProcessIsToldWhoHasTheDirectory(t *testing.T) {
	u := newUser(t)
	u.write(t, "p.yaml", toFolder)
	u.run(t, "streams", "create", "in")
	cmd, err := u.start(t.Context(), "run", "p.yaml")
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		_, out, _ := u.try(t, nil, "pipelines", "list")
		return out == "p\n"
	}, 30*time.Second, 50*time.Millisecond)
	code, _, said := u.try(t, nil, "run", "p.yaml")
	require.Equal(t, 3, code, said)
	require.Contains(t, said, fmt.Sprintf("is in use by process %d (penstock run p.yaml)", cmd.Process.Pid))
	require.Contains(t, said, "choose another directory with --data")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}
