//go:build race

package main

// raced says that the race detector, which takes memory of its own, is part of the test binary.
const raced = true
