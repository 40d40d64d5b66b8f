// Package dynamodb is a lease.Store in tables of DynamoDB, of which one is the lease table of an application of the Kinesis
// Client Library: its checkpoints are the pipeline's, and the pipeline's are its.
//
// # Rows
//
// A table has the lease rows, as KCL has them: one item a shard. Two rows of a pipeline are parts of that item, the shard's
// lease and its progress, so that one change of the item moves both KCL's checkpoint and ours. What KCL does not have
// stands in attributes of our own beside its, which it keeps. All other rows are in a second table, named like the first with
// -penstock behind it, since KCL takes every item of its table that it does not know for a lease.
//
//	attribute of a lease       | of KCL | what it is
//	leaseOwner, leaseCounter   | yes    | who owns the shard; the counter moves with each write of the lease
//	checkpoint, its sub number | yes    | how far the shard got, in the words of KCL
//	parentShardId, entityType  | yes    | set where we make the item
//	penstockLease              |        | the value of the lease's row, as it was written
//	penstockLeaseVersion       |        | its version
//	penstockLeaseOwner         |        | the owner, and
//	penstockLeaseCounter       |        | the counter, that were written with it
//	penstockProgress           |        | the value of the row of the shard's progress
//	penstockProgressVersion    |        | its version
//	penstockProgressOf         |        | the pipeline, its incarnation and its source
//	penstockCheckpoint         |        | the checkpoint, and
//	penstockSubSequenceNumber  |        | its sub number, that were written with it
//
//	attribute of another row   | what it is
//	part                       | hash key: the first two parts of the key, such as pipelines/orders
//	key                        | range key: the whole key
//	version                    | see below
//	value, packed              | the value, as it is or compressed with zstd
//
// While owner and counter are what was written with a lease, its row is what was written. Where they are not, KCL has
// changed them, and the row is made of what the item says: of nobody, to be had by anybody, or of somebody else, to be
// left alone while it moves. So it is with the checkpoint: where KCL has moved it, the progress says where it begins.
//
// # Versions
//
// A version is a time in microseconds with some random bits, later than every version that the store has seen. So it rises
// with the writes of a row, and a row that was deleted does not get one again that it had. A row that is made of what KCL
// wrote has a hash of that as its version. To check one the store demands that the attributes are what they were when it
// last saw them.
package dynamodb
