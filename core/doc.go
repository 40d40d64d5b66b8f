// Package core holds the nouns that everything in Penstock speaks of: streams, shards and their hash ranges,
// partition keys, sequence numbers, and batches, which are Arrow records of one shard's rows.
//
// It imports nothing else of Penstock, does no I/O and starts nothing. How a sequence number is made up is known to
// core/stream alone; here it is an opaque decimal that compares as an integer.
package core
