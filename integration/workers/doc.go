// Package workers has tests of several processes that share a pipeline: they are killed, frozen, stopped and added while the
// stream's shards are split and merged and the state's server goes and comes back.
package workers
