// Command bench measures the main job and each of its stages on this machine, side by side with the bare disk, with
// DuckDB and with other servers of the Kinesis API, and prints a table for the README:
//
//	go run ./integration/bench > bench.md
//
// The one idea: machines are noisy, so only ratios within one run are to be trusted. Every job runs in a process of its
// own, the jobs that are compared take turns, and what is printed are medians with their ranges: of the wall clock, and of
// the time on the processor, which other programs disturb less. It is no part of go test.
package main
