//go:build !unix

package main

import (
	"runtime/metrics"
	"time"
)

var began = time.Now()

// processorTime is the wall clock where the system does not tell.
func processorTime() float64 { return time.Since(began).Seconds() }

// peakMemory is what the program has from the system.
func peakMemory() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64()) //nolint:gosec // a size
}
