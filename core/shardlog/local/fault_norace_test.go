//go:build !race

package local

// slow says that the race detector is on, under which a slice of the campaigns must do.
const slow = false
