// Package control is a small table of rows with multi-key compare-and-swap, folded over one log of a shardlog engine.
// Streams, shards, leases, checkpoints and flush plans live in it, so that Penstock needs no second system.
//
// The one idea: commands are appended, each node folds them in order, and conflicts are decided by the fold, so
// identically everywhere. Snapshots are written into the same log, and what stands before them is trimmed.
//
// It knows nothing of what the rows mean. It is small: the whole table is held in memory.
package control
