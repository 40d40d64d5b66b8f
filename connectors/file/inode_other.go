//go:build !unix

package file

import "os"

// inode names a file of this machine, whatever its path; here nothing does.
func inode(os.FileInfo) string { return "" }
