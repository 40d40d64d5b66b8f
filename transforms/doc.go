// Package transforms holds one package per decoder and per stage of a pipeline. They know columns and rows; they know
// neither sinks nor YAML, and none imports another.
package transforms
