// Package integration holds what no single package can show: the import direction, tests of the built binary, fault
// campaigns and tests against real servers.
package integration
