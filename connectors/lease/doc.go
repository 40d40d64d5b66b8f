// Package lease decides who owns the consumption of a shard, over any store with multi-key compare-and-swap.
//
// A lease is a row with an owner, an epoch and a counter. Renewal bumps the counter; a lease whose counter has not
// moved for the failover time, on the observer's own monotonic clock, may be taken, which raises the epoch. Renewal
// runs beside delivery and never waits for it, so a slow sink makes lag and never loses a lease. Leases are a matter of
// liveness alone: what keeps a former owner from doing harm is that every plan is committed with Check in its
// transaction.
package lease
