// Package sinks holds one package per destination. What several share is in sinks/internal; none imports another.
package sinks
