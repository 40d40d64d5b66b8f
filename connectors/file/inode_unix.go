//go:build unix

package file

import (
	"fmt"
	"os"
	"syscall"
)

// inode names a file of this machine, whatever its path.
func inode(info os.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	}
	return ""
}
