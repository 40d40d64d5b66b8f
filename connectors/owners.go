package connectors

import (
	"context"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
)

// Leases are who has the shards of a pipeline.
type Leases struct {
	lease.Picture
	keys        keys
	incarnation string
}

// LookAtLeases reads who has the shards of the pipeline's present incarnation.
func LookAtLeases(ctx context.Context, store lease.Store, pipeline string) (Leases, error) {
	l := Leases{keys: keys{pipeline}}
	st, ok, err := LoadState(ctx, store, pipeline)
	if err != nil || !ok {
		return l, err
	}
	l.incarnation = st.Incarnation
	l.Picture, err = lease.Look(ctx, store, l.keys.all(st.Incarnation)+"leases/")
	return l, err
}

// Owner is the worker that has a shard, or had it when it died; empty: none.
func (l Leases) Owner(source string, shard core.ShardID) string {
	return l.Owners[l.keys.leases(l.incarnation, source)+"shards/"+string(shard)]
}

// LiveHolders names workers that hold leases of the pipeline and are alive: whose rows move within the failover time. Where
// none may be, it does not wait.
func LiveHolders(ctx context.Context, store lease.Store, pipeline string, failover time.Duration) ([]string, error) {
	first, err := LookAtLeases(ctx, store, pipeline)
	for until := time.Now().Add(failover); err == nil && len(first.Holders()) > 0; {
		if err := core.Pause(ctx, failover/10); err != nil {
			return nil, err
		}
		var later Leases
		if later, err = LookAtLeases(ctx, store, pipeline); err != nil {
			return nil, err
		}
		if moved := first.Moved(later.Picture); len(moved) > 0 || time.Now().After(until) || len(later.Holders()) == 0 {
			return moved, nil
		}
	}
	return nil, err
}
