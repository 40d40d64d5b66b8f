// Package kinesisapi serves the Kinesis Data Streams API over the streams of a node.
//
// It translates, and no more: what a stream may do is decided in core/stream, how requests travel in core/awsapi. The
// shapes are generated from the public service model; the words of errors are those of the real service where they are
// known.
package kinesisapi
