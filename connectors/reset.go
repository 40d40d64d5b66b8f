package connectors

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
)

// ResetTo says where a reset puts checkpoints: of every shard where Start does, or, of the shards in After alone, behind a
// record.
type ResetTo struct {
	Start Start
	After map[core.ShardID]core.SequenceNumber
}

// Amount is a number of records, and of bytes of their keys and data.
type Amount struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

// ResetShard is what a reset does to one shard.
type ResetShard struct {
	Source     string              `json:"source"`
	Shard      core.ShardID        `json:"shard"`
	Checkpoint core.SequenceNumber `json:"checkpoint"` // that stands now
	To         core.SequenceNumber `json:"to"`         // that will stand; empty: the beginning
	Again      Amount              `json:"again"`      // was delivered and will be read again
	Skipped    Amount              `json:"skipped"`    // was not delivered and never will be
}

// Reset is a new incarnation of a pipeline, as it would begin. Nothing is changed until it is committed.
type Reset struct {
	Pipeline    string       `json:"pipeline"`
	Incarnation string       `json:"incarnation"` // that ends
	Shards      []ResetShard `json:"shards"`
	Open        []Plan       `json:"open_plans"` // given up: what they wrote may be there, and is not known as delivered

	store lease.Store
	txn   control.Txn
}

// ErrResetMoved says that the pipeline moved on since the reset was prepared. Prepare it anew.
var ErrResetMoved = errors.New("the pipeline moved on meanwhile")

// PrepareReset says what a reset of a pipeline over source would do, and counts it by reading. ok is false where the pipeline
// never ran.
func PrepareReset(ctx context.Context, store lease.Store, source Source, pipeline string, to ResetTo) (r *Reset, ok bool, err error) {
	k := keys{pipeline}
	row, st, err := loadRow[State](ctx, store, k.state())
	if err != nil || row.Version == 0 {
		return nil, false, err
	}
	r = &Reset{Pipeline: pipeline, Incarnation: st.Incarnation, Shards: []ResetShard{}, Open: []Plan{}, store: store}
	plans, err := OpenPlans(ctx, store, pipeline)
	if err != nil {
		return nil, true, err
	}
	r.Open = append(r.Open, plans...)
	if err := r.remove(ctx, k); err != nil {
		return nil, true, err
	}
	next := State{Incarnation: newIncarnation(), Spec: st.Spec, PausedAt: st.PausedAt}
	r.txn.Checks = append(r.txn.Checks, control.Check{Key: row.Key, Version: row.Version})
	r.txn.Writes = append(r.txn.Writes, jsonRow(row.Key, next))
	begins, err := r.begin(ctx, source, to)
	for _, p := range begins {
		r.txn.Writes = append(r.txn.Writes, jsonRow(k.shard(next.Incarnation, p.Source, p.Shard), p))
	}
	return r, true, err
}

// remove adds to the transaction that the rows of the present incarnation go, as they are now.
func (r *Reset) remove(ctx context.Context, k keys) error {
	var old []control.Row
	for _, prefix := range []string{k.all(r.Incarnation), SourceRows(r.Pipeline)} {
		rows, err := r.store.List(ctx, prefix)
		if err != nil {
			return err
		}
		old = append(old, rows...)
	}
	for _, row := range old {
		r.txn.Checks = append(r.txn.Checks, control.Check{Key: row.Key, Version: row.Version})
		r.txn.Writes = append(r.txn.Writes, control.Write{Key: row.Key})
		if n, ok := strings.CutPrefix(row.Key, k.all(r.Incarnation)+"plans/"); ok {
			number, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				return fmt.Errorf("read row %s: %w", row.Key, err)
			}
			r.txn.Writes = append(r.txn.Writes, stream.Unpin(k.pin(r.Incarnation, number)))
		}
	}
	return nil
}

// begin says what becomes of each shard, and returns the rows that the new incarnation begins with. Of a source that is no
// stream there are none: whatever it finds is new to it.
func (r *Reset) begin(ctx context.Context, source Source, to ResetTo) ([]Progress, error) {
	was, err := ListProgress(ctx, r.store, r.Pipeline)
	if err != nil {
		return nil, err
	}
	_, files := source.(Noting)
	if _, ok := source.(Expiring); files || !ok {
		return nil, r.anew(was, to, files)
	}
	shards, err := source.Shards(ctx)
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	if len(to.After) > 0 {
		return r.move(ctx, source, shards, was, to.After)
	}
	have := map[core.ShardID]Progress{}
	for _, p := range was {
		if p.Source == source.ID() {
			have[p.Shard] = p
		}
	}
	var out []Progress
	for _, s := range shards {
		at, err := source.Resolve(ctx, s.ID, to.Start)
		if err != nil {
			return nil, fmt.Errorf("find the start of %s: %w", s.ID, err)
		}
		out = append(out, Progress{Source: source.ID(), Shard: s.ID, Checkpoint: at, ProofFrom: at})
		if err := r.weigh(ctx, source, s, have[s.ID], at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// anew is a reset of what is no stream, such as files, which are read from their beginnings.
func (r *Reset) anew(was []Progress, to ResetTo, files bool) error {
	if len(to.After) > 0 || to.Start.Kind != StartTrimHorizon && to.Start.Kind != "" {
		return fmt.Errorf("only a stream can be read again from another place than its beginning, trim_horizon: %w", core.ErrInvalid)
	}
	for _, p := range was {
		bytes := int64(0)
		if files {
			bytes, _ = strconv.ParseInt(string(p.Checkpoint), 10, 64) // how far the file was read
		}
		r.Shards = append(r.Shards, ResetShard{
			Source: p.Source, Shard: p.Shard, Checkpoint: p.Checkpoint, Again: Amount{p.Totals.Records, bytes},
		})
	}
	return nil
}

// move puts the checkpoints of some shards behind a record; the others stay where they are.
func (r *Reset) move(ctx context.Context, source Source, shards []Shard, was []Progress, to map[core.ShardID]core.SequenceNumber) ([]Progress, error) {
	listed := map[core.ShardID]Shard{}
	for _, s := range shards {
		listed[s.ID] = s
	}
	var out []Progress
	moved := 0
	for _, p := range was {
		next := Progress{Source: p.Source, Shard: p.Shard, Checkpoint: p.Checkpoint, ProofFrom: p.Checkpoint, Ended: p.Ended}
		if seq, ok := to[p.Shard]; ok && p.Source == source.ID() {
			s, ok := listed[p.Shard]
			if !ok {
				return nil, fmt.Errorf("%s is gone: %w", p.Shard, core.ErrInvalid)
			}
			at, err := source.Resolve(ctx, p.Shard, Start{Kind: StartAfter, After: seq})
			if err != nil {
				return nil, err
			}
			next.Checkpoint, next.ProofFrom, next.Ended = at, at, false
			if err := r.weigh(ctx, source, s, p, at); err != nil {
				return nil, err
			}
			moved++
		}
		out = append(out, next)
	}
	if moved < len(to) {
		return nil, fmt.Errorf("of the %d shards to move, the pipeline has %d: penstock pipelines describe names those it has: %w", len(to), moved, core.ErrInvalid)
	}
	return out, nil
}

// weigh counts what lies between a shard's checkpoint and where it is put.
func (r *Reset) weigh(ctx context.Context, source Source, s Shard, was Progress, to core.SequenceNumber) (err error) {
	out := ResetShard{Source: source.ID(), Shard: s.ID, Checkpoint: was.Checkpoint, To: to}
	if was.Shard != "" {
		if out.Again, err = amount(ctx, source, s, to, was.Checkpoint, false); err != nil {
			return fmt.Errorf("count what is read again of %s: %w", s.ID, err)
		}
		if out.Again.Records == 0 && to != "" {
			if out.Skipped, err = amount(ctx, source, s, was.Checkpoint, to, true); err != nil {
				return fmt.Errorf("count what is passed over of %s: %w", s.ID, err)
			}
		}
	}
	r.Shards = append(r.Shards, out)
	return nil
}

// amount is what there is of a shard after one sequence number through another. A number that is none of a record's is a time
// that nothing has reached: everything that is there is before it, and where it is a checkpoint, nothing was read.
func amount(ctx context.Context, source Source, s Shard, after, until core.SequenceNumber, everything bool) (a Amount, err error) {
	if until == "" || len(after) == len(until) && after.Compare(until) >= 0 {
		return a, nil
	}
	err = ReadThere(ctx, source, s, after, func(b core.Batch) (bool, error) {
		if len(until) != len(b.Span.Last) {
			if everything {
				a.Records, a.Bytes = a.Records+b.Records, a.Bytes+b.Bytes
			}
			return everything, nil
		}
		part := through(b, until)
		defer part.Release()
		a.Records, a.Bytes = a.Records+part.Records, a.Bytes+part.Bytes
		return b.Span.Last.Compare(until) < 0, nil
	})
	return a, err
}

// Commit makes the reset happen. Its error is ErrResetMoved where a worker has done anything since it was prepared.
func (r *Reset) Commit(ctx context.Context) error {
	_, err := r.store.Commit(ctx, r.txn)
	if errors.Is(err, control.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrResetMoved, err)
	}
	return err
}
