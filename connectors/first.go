package connectors

import (
	"context"
	"slices"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// firstStart is the commit of where the shards of the first start begin. A store that takes fewer of them at once gets
// several transactions, and a mark from the first to the last of them: what is left begins where the pipeline's start puts
// it, also after a crash.
type firstStart struct {
	most int  // shards of the next transaction
	left bool // shards are left for another one
	row  control.Row
}

func (w *Worker) firstStart(ctx context.Context, shards []Shard, have map[core.ShardID]Progress) (f firstStart, err error) {
	f.most = len(shards)
	missing := 0
	for _, s := range shards {
		if _, ok := have[s.ID]; !ok {
			missing++
		}
	}
	most := mostShards(w.cfg.Store)
	if missing == 0 || most == maxSpans {
		return f, nil
	}
	f.most, f.left = most, missing > most
	key := w.keys.starting(w.incarnation, w.cfg.Source.ID())
	if f.row, _, err = w.cfg.Store.Get(ctx, key); err == nil {
		f.row.Key = key
	}
	return f, err
}

// marked reports whether a first start is under way.
func (f firstStart) marked() bool { return f.row.Version != 0 }

// mark adds the mark to the first transaction, and its removal to the last.
func (f firstStart) mark(t *control.Txn) {
	if f.left == f.marked() {
		return
	}
	write := control.Write{Key: f.row.Key}
	if f.left {
		write.Value = []byte("{}")
	}
	t.Checks = append(t.Checks, control.Check{Key: f.row.Key, Version: f.row.Version})
	t.Writes = append(t.Writes, write)
}

// passed are the shards that other software was done with, and has no row of any more: those of which a child has one. In
// a store of our own, parents have rows before their children do.
func passed(shards []Shard, have map[core.ShardID]Progress) map[core.ShardID]bool {
	out := map[core.ShardID]bool{}
	for _, s := range slices.Backward(shards) { // children come after their parents
		if _, ok := have[s.ID]; !ok && !out[s.ID] {
			continue
		}
		for _, parent := range s.Parents {
			if _, ok := have[parent]; !ok {
				out[parent] = true
			}
		}
	}
	return out
}
