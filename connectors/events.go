package connectors

import (
	"context"
	"slices"
	"time"

	"github.com/penstock/penstock/core"
)

// Events are told what a worker does, as it does it. Logs, metrics, progress and tests hang from it. Any func may be
// nil; they are called from several goroutines and must return quickly.
type Events struct {
	Lease      func(shard core.ShardID, state string)                             // held, lost, released
	Pause      func(state string)                                                 // Pausing, Paused, Resumed
	Schema     func(version int64, columns int)                                   // a new schema was committed
	Noticed    func(what string)                                                  // something of the source that people should know
	Advice     func(what string)                                                  // the decoder's, on the first records
	Absent     func(columns []Absent)                                             // columns that the pipeline names, and no record had yet: they are null
	Futile     func(rows int64, first Refusal)                                    // every row so far was refused at one place for one reason; once
	Refused    func(err error)                                                    // a stage cannot run with new fields; they are rescued
	Asked      func(shard core.ShardID)                                           // a reader asks for the next batch; it waits at the shard's tip until Read
	Behind     func(shard core.ShardID, age time.Duration)                        // the source says how far its reader is behind the shard's end
	Read       func(b core.Batch, lag time.Duration)                              // a batch was read and went through the stages
	Stale      func(pipeline string)                                              // the schema grew within a flush, which is rebuilt
	Planned    func(p Plan)                                                       // a plan was committed, by this worker
	Resumed    func(p Plan)                                                       // an open plan was found, and is finished
	Lost       func(l Loss)                                                       // records went before they were delivered
	Strays     func(shard core.ShardID, n int64)                                  // user records that are another shard's were passed over
	Retry      func(what string, attempt int, wait time.Duration, err error)      // a step failed and is tried again
	Recovered  func(what string)                                                  // a step that was tried again succeeded
	Checkpoint func(p Plan, took time.Duration)                                   // a plan is done and the checkpoints moved
	Moved      func(shard core.ShardID, through core.SequenceNumber, rows Counts) // a checkpoint moved without a plan
}

func (e *Events) lease(s core.ShardID, state string) {
	if e.Lease != nil {
		e.Lease(s, state)
	}
}

func (e *Events) pause(state string) {
	if e.Pause != nil {
		e.Pause(state)
	}
}

func (e *Events) schema(version int64, columns int) {
	if e.Schema != nil {
		e.Schema(version, columns)
	}
}

func (e *Events) futile(rows int64, first Refusal) {
	if e.Futile != nil {
		e.Futile(rows, first)
	}
}

// Notice tells of something of the source that people should know. e may be nil.
func (e *Events) Notice(what string) {
	if e != nil && e.Noticed != nil {
		e.Noticed(what)
	}
}

func (e *Events) advice(what string) {
	if e.Advice != nil && what != "" {
		e.Advice(what)
	}
}

func (e *Events) absent(columns []Absent) {
	if e.Absent != nil && len(columns) > 0 {
		e.Absent(columns)
	}
}

func (e *Events) refused(err error) {
	if e.Refused != nil {
		e.Refused(err)
	}
}

func (e *Events) asked(s core.ShardID) {
	if e.Asked != nil {
		e.Asked(s)
	}
}

func (e *Events) behind(s core.ShardID, age time.Duration) {
	if e.Behind != nil {
		e.Behind(s, age)
	}
}

func (e *Events) read(b core.Batch, lag time.Duration) {
	if e.Read != nil {
		e.Read(b, lag)
	}
}

func (e *Events) stale(pipeline string) {
	if e.Stale != nil {
		e.Stale(pipeline)
	}
}

func (e *Events) planned(p Plan) {
	if e.Planned != nil {
		e.Planned(p)
	}
}

func (e *Events) resumed(p Plan) {
	if e.Resumed != nil {
		e.Resumed(p)
	}
}

func (e *Events) lost(l Loss) {
	if e.Lost != nil {
		e.Lost(l)
	}
}

func (e *Events) strays(s core.ShardID, n int64) {
	if e.Strays != nil {
		e.Strays(s, n)
	}
}

func (e *Events) retry(what string, attempt int, wait time.Duration, err error) {
	if e.Retry != nil {
		e.Retry(what, attempt, wait, err)
	}
}

func (e *Events) recovered(what string) {
	if e.Recovered != nil {
		e.Recovered(what)
	}
}

func (e *Events) checkpoint(p Plan, took time.Duration) {
	if e.Checkpoint != nil {
		e.Checkpoint(p, took)
	}
}

func (e *Events) moved(s core.ShardID, through core.SequenceNumber, c Counts) {
	if e.Moved != nil {
		e.Moved(s, through, c)
	}
}

// Join returns events that tell each of list, in order; those that are nil are left out.
func Join(list ...*Events) *Events {
	list = slices.DeleteFunc(slices.Clone(list), func(e *Events) bool { return e == nil })
	return &Events{
		Lease:      func(s core.ShardID, state string) { each(list, func(e *Events) { e.lease(s, state) }) },
		Pause:      func(state string) { each(list, func(e *Events) { e.pause(state) }) },
		Schema:     func(v int64, n int) { each(list, func(e *Events) { e.schema(v, n) }) },
		Refused:    func(err error) { each(list, func(e *Events) { e.refused(err) }) },
		Futile:     func(n int64, r Refusal) { each(list, func(e *Events) { e.futile(n, r) }) },
		Noticed:    func(what string) { each(list, func(e *Events) { e.Notice(what) }) },
		Advice:     func(what string) { each(list, func(e *Events) { e.advice(what) }) },
		Absent:     func(c []Absent) { each(list, func(e *Events) { e.absent(c) }) },
		Asked:      func(s core.ShardID) { each(list, func(e *Events) { e.asked(s) }) },
		Behind:     func(s core.ShardID, age time.Duration) { each(list, func(e *Events) { e.behind(s, age) }) },
		Read:       func(b core.Batch, lag time.Duration) { each(list, func(e *Events) { e.read(b, lag) }) },
		Stale:      func(name string) { each(list, func(e *Events) { e.stale(name) }) },
		Planned:    func(p Plan) { each(list, func(e *Events) { e.planned(p) }) },
		Resumed:    func(p Plan) { each(list, func(e *Events) { e.resumed(p) }) },
		Lost:       func(l Loss) { each(list, func(e *Events) { e.lost(l) }) },
		Strays:     func(s core.ShardID, n int64) { each(list, func(e *Events) { e.strays(s, n) }) },
		Checkpoint: func(p Plan, took time.Duration) { each(list, func(e *Events) { e.checkpoint(p, took) }) },
		Retry: func(what string, attempt int, wait time.Duration, err error) {
			each(list, func(e *Events) { e.retry(what, attempt, wait, err) })
		},
		Recovered: func(what string) { each(list, func(e *Events) { e.recovered(what) }) },
		Moved: func(s core.ShardID, through core.SequenceNumber, c Counts) {
			each(list, func(e *Events) { e.moved(s, through, c) })
		},
	}
}

func each(list []*Events, tell func(*Events)) {
	for _, e := range list {
		tell(e)
	}
}

type stepKey struct{}

// WithSteps returns a context under which Step calls f. Fault tests use it to stop a process at a named step.
func WithSteps(ctx context.Context, f func(step string)) context.Context {
	return context.WithValue(ctx, stepKey{}, f)
}

// Step announces that a step between the close of a flush and the move of its checkpoints is reached: flush-closed,
// plan-committed, dead-letters-put, decided, written, outputs-written, manifest-written, published, done. It does nothing
// unless the context came from WithSteps.
func Step(ctx context.Context, step string) {
	if f, ok := ctx.Value(stepKey{}).(func(string)); ok {
		f(step)
	}
}
