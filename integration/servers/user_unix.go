//go:build unix

package servers

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// nobody is the user that servers run as which refuse to run as root.
const nobody = "nobody"

// unprivileged makes a command run as nobody where this process is root, in a group of its own.
func unprivileged(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid, gid, ok := nobodyID(); ok {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
}

// give makes a folder that of the user that unprivileged commands run as, and lets it through to there.
func give(dir, through string) error {
	uid, gid, ok := nobodyID()
	if !ok {
		return nil
	}
	if err := os.Chmod(through, 0o711); err != nil { //nolint:gosec // a test's folder
		return err
	}
	return os.Chown(dir, int(uid), int(gid))
}

func nobodyID() (uid, gid uint32, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup(nobody)
	if err != nil {
		return 0, 0, false
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, false
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), err == nil
}

// killGroup ends a command of unprivileged and all that it started.
func killGroup(c *exec.Cmd) { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) } // it may have ended
