//go:build unix

package main

import (
	"runtime"
	"syscall"
)

// processorTime is how many seconds this process has spent on processors.
func processorTime() float64 {
	u := usage()
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peakMemory is the most memory that this process has had.
func peakMemory() int64 {
	u := usage()
	if runtime.GOOS == "darwin" {
		return u.Maxrss
	}
	return u.Maxrss << 10
}

func usage() syscall.Rusage {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for this process
	return u
}
