package lease

import "time"

// Config says how a worker takes and keeps leases.
type Config struct {
	Prefix   string        // of the rows of the leases that are shared, and of the workers that share them
	Owner    string        // names this worker; no two running workers may share it
	Failover time.Duration // how long an owner must be seen to stand still before its leases may be taken. Default 10s
	Patience time.Duration // how long a worker that asks for a lease waits before it takes it by force. Default 3 * Failover
	// EachLease has each lease's own counter renewed too: for a table that is shared with workers that look at nothing else.
	EachLease bool
	// Exclusive says that no other worker can be alive, because this process alone holds the store: leases of other
	// owners are taken at once.
	Exclusive bool
}

func (c Config) withDefaults() Config {
	if c.Failover <= 0 {
		c.Failover = 10 * time.Second
	}
	if c.Patience <= 0 {
		c.Patience = 3 * c.Failover
	}
	return c
}

// look is how often the rows are read. A death is seen so much later than it could be at most.
func (c Config) look() time.Duration { return c.Failover / 5 }

// beat is how old the last renewal becomes. One that failed is made up for at the next look, and the one after it.
func (c Config) beat() time.Duration { return 2 * c.Failover / 5 }

// guards names protections that tests switch off, each alone, to see that the simulation fails without them.
type guards struct {
	epoch    bool // a lease is ours only in the epoch in which we took it
	version  bool // a lease is taken only from the state in which it was seen
	counter  bool // an owner is dead only after it stood still for the failover time
	renewed  bool // a lease is taken only if its owner has not moved since it was seen
	ready    bool // only shards that may be read are taken
	flush    bool // a lease that another asks for is released by who reads the shard, not by the manager
	patience bool // an asker waits before it takes by force
	own      bool // a lease in our name that we do not hold is taken anew
	restore  bool // the row of a held lease that was deleted is made again
	overdue  bool // what was assigned to a worker that does not take it is taken by others
	settle   bool // leases move only if it makes things even
	tidy     bool // rows of dead workers and trimmed shards are deleted
}
