// Package stream makes streams of logs: a stream is a set of shards, each owning a range of hash keys and a log of its
// own. It routes records, gives them sequence numbers and arrival times, and reads them back as batches.
//
// The one idea: what a stream is, is one row of the control store, changed by compare-and-swap; what it holds, is in
// its shards' logs. Only this package knows how a sequence number is made up.
//
// It speaks no protocol; core/kinesisapi and the pipelines' sources translate.
package stream
