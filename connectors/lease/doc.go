// Package lease decides who owns the consumption of a shard, over any store with multi-key compare-and-swap. The policy is
// written once: a core that only looks at rows and at its own clock (policy.go, balance.go), and a Manager that reads the
// rows, asks the core, and commits what it says.
//
// # Rows
//
// Under one prefix there is a row a lease, shards/{name}, with an owner, an epoch, a counter, the worker that asks for it
// and its load, and a row a worker, workers/{name}, with a counter that the worker's beat moves. A lease may be taken when
// it has no owner, or when neither its counter nor its owner's has moved for the failover time, on the observer's own
// monotonic clock. Taking it raises its epoch, in a transaction that checks the lease's row and its owner's row, so that it
// fails if the owner has moved since.
//
// The beat is in the worker's row because all leases of a worker live and die together: one thread renews them. It makes
// the cost of renewal one write a worker, whatever it owns, and leaves the rows of leases unchanged while nothing happens,
// so that the plans that check them do not conflict with renewals. For a table that is shared with workers that look at
// the counter of each lease, such as KCL's, Config.EachLease moves those too, many in one transaction.
//
// # Rounds
//
// A worker looks at all rows five times in a failover time, with one List, and acts with as few transactions as there can
// be. One that fails because another worker was first is split, so that the rest of it happens; what nobody knows the
// outcome of is seen at the next look: a lease that the rows say is ours, and that we do not hold, is taken anew. Every
// worker computes from the rows who should have which lease, the same way, and does its own part of it. What falls to a
// worker that does not act is anybody's from the next look on.
//
// Leases move one way only: a worker that has too few writes its name into the rows of some; their owners make durable
// what they have read, and release them; who asked takes them. After Config.Patience it takes them by force. A worker that
// is slow to deliver keeps its leases as long as it beats, and beats do not wait for delivery.
//
// # Safety
//
// None of this is needed for safety. What keeps a former owner from doing harm is that every plan is committed with Check
// in its transaction.
package lease
