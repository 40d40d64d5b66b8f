// Package consumer lets a Go program read a stream as pipelines do: with leases that any number of processes share, a
// checkpoint for each shard, parents before their children, and shards that are handed over while they are read.
//
// The one idea: a consumer is the worker of package connectors, whose sink is a func. So what it is given is a plan, which
// was committed before: after a crash, and by any other worker, the func is called again with a batch that begins and ends
// where the first one did, and holds the same records. That is at least once; who stores a batch's end beside what it made of
// the batch, in one transaction, and compares the batch's beginning with it, has it exactly once. See the examples.
package consumer
