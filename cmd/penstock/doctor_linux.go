package main

import (
	"bufio"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFiles is how many files the process may have open.
func openFiles() (int64, bool) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return int64(min(l.Cur, math.MaxInt64)), true //nolint:gosec // bounded
}

// machineMemory is how much memory the machine has, or the control group allows.
func machineMemory() (bytes int64, what string, ok bool) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, "", false
	}
	defer f.Close() //nolint:errcheck // it was read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "MemTotal:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			bytes, ok = kib<<10, err == nil
		}
	}
	what = "the machine's memory"
	if limit, there := groupLimit(); there && (limit < bytes || !ok) {
		return limit, "what the container may have", true
	}
	return bytes, what, ok
}

// groupLimit is what the control groups that the process is in allow.
func groupLimit() (bytes int64, ok bool) {
	text, err := os.ReadFile("/proc/self/cgroup")
	_, path, found := strings.Cut(string(text), "0::")
	if err != nil || !found {
		return 0, false
	}
	bytes = math.MaxInt64
	for path, _, _ = strings.Cut(path, "\n"); ; path = filepath.Dir(path) {
		limit, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max")) //nolint:gosec // the kernel's own file
		if n, perr := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && perr == nil {
			bytes, ok = min(bytes, n), true
		}
		if path == "/" || path == "." {
			return bytes, ok
		}
	}
}

// kinds are file systems that are not what they seem.
var kinds = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb",
	unix.SMB2_SUPER_MAGIC: "smb", unix.CIFS_SUPER_MAGIC: "smb", unix.FUSE_SUPER_MAGIC: "fuse",
}

// fileSystem is how much is free where a folder is, and what kind of file system that is, as far as it matters.
func fileSystem(dir string) (free int64, kind string, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, "", false
	}
	return int64(st.Bavail) * st.Bsize, kinds[st.Type], true //nolint:gosec // bytes of a disk
}

// ownerOf is the user who owns a file.
func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// allocated is how much space a file has on the disk.
func allocated(name string) (bytes int64, ok bool) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return 0, os.IsNotExist(err)
	}
	return st.Blocks * 512, true
}
