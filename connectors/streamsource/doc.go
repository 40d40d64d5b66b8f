// Package streamsource reads a stream of this node as a connectors.Source.
package streamsource
