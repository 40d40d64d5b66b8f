// Package faults holds the tests that take power, processes, disks and space away from a node and look for what it
// acknowledged. A child process, which is the test binary itself, works on a real directory and tells its parent what
// was acknowledged; the parent's memory survives.
package faults
