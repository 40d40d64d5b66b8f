package connectors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/scratch"
)

// WorkerConfig is what a worker needs to run one pipeline.
type WorkerConfig struct {
	Pipeline    string
	Program     *Program
	OpenProgram func(ctx context.Context, spec []byte) (*Program, error) // for plans that an earlier spec left open
	OpenSource  func(ctx context.Context, spec []byte) (Source, error)   // so too, where it read something else
	Source      Source
	Start       Start
	DeadLetters DeadLetters
	Store       lease.Store
	Lease       lease.Config

	Buffer         BufferConfig
	TargetFileSize ByteSize       // encoded; an output that reaches it closes the flush. 0: no target
	Memory         *memory.Budget // shared by the pipelines of a process; nil: no bound but the buffer's
	Scratch        *scratch.Space // room on disk for rows that memory has none for; nil: none
	Drain          time.Duration
	ShardSync      time.Duration // how often new shards are looked for. Default 1s, or 5s where others use the store
	UntilCaughtUp  bool          // take each shard's tip at start, deliver through it, return
	Adopt          bool          // go on although the destination holds output of another incarnation
	Events         *Events
}

// Worker runs one pipeline: it takes leases, reads, decodes, sends rows through the stages, plans flushes, publishes
// them and moves the checkpoints.
type Worker struct {
	cfg         WorkerConfig
	keys        keys
	table       lease.Store // the store, without patience
	incarnation string
	leases      *lease.Manager
	memory      *memory.Holder
	planner     *planner
	schemas     *schemas
	futile      futile
	without     guards
	earlier     earlier
	told        string                               // what Events.Pause was told last
	tips        map[core.ShardID]core.SequenceNumber // where shards ended when the worker first listed them
}

// NewWorker returns a worker that has done nothing yet.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	cfg.Buffer = cfg.Buffer.WithDefaults()
	if err := cfg.Buffer.Validate(); err != nil {
		return nil, err
	}
	if cfg.Events == nil {
		cfg.Events = &Events{}
	}
	if cfg.ShardSync <= 0 {
		cfg.ShardSync = time.Second
		if !cfg.Lease.Exclusive {
			cfg.ShardSync = 5 * time.Second
		}
	}
	if cfg.Drain <= 0 {
		cfg.Drain = 10 * time.Second
	}
	w := &Worker{cfg: cfg, keys: keys{cfg.Pipeline}, table: cfg.Store, memory: cfg.Memory.Holder()}
	w.cfg.Store = patient{cfg.Store, w}
	return w, nil
}

// maxReaders bounds the shards of a finite source that are read at once; those of a stream are all read.
func maxReaders() int { return max(2, runtime.GOMAXPROCS(0)) }

// Run runs the pipeline until its source ends, it has caught up (UntilCaughtUp) or ctx ends: then what is buffered is
// flushed within the drain time and Run returns nil. While the pipeline is paused it waits; where it would end by itself, it
// returns ErrPaused. Errors that no retry can cure end it; nothing is lost then, and a later run goes on from the checkpoints.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.closeEarlier(context.WithoutCancel(ctx))) }()
	for again := false; !again || ctx.Err() == nil; again = true {
		if err := w.open(ctx); err != nil {
			return err
		}
		if err := w.finish(ctx); ctx.Err() != nil {
			return nil // the next run finishes it
		} else if err != nil {
			return err
		}
		if err := w.awaitResume(ctx); ctx.Err() != nil {
			return nil
		} else if errors.Is(err, errReset) {
			continue
		} else if err != nil {
			return err
		}
		if err := w.runIncarnation(ctx); !errors.Is(err, ErrPaused) && !errors.Is(err, errReset) {
			return err
		}
	}
	return nil
}

// runIncarnation runs the pipeline under leases. Its error is ErrPaused or errReset where it is to be run anew.
func (w *Worker) runIncarnation(ctx context.Context) error {
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	renewed := make(chan struct{})
	go func() {
		w.leases.Run(renewing)
		close(renewed)
	}()
	defer func() {
		stop()
		<-renewed
		w.leave(ctx)
	}()
	for {
		err := w.session(ctx)
		if !errors.Is(err, lease.ErrLost) && !errors.Is(err, errMoved) {
			return err
		}
		// Another worker moved on in some shard. What was staged is dropped and read again from the checkpoints.
		if core.Pause(ctx, firstWait) != nil {
			return nil
		}
	}
}

// leave gives up all leases, also when ctx has ended.
func (w *Worker) leave(ctx context.Context) {
	held := w.leases.Held()
	if err := w.leases.Leave(context.WithoutCancel(ctx)); err != nil {
		w.cfg.Events.retry("release leases", 1, 0, err) // they run out by themselves
	}
	for _, l := range held {
		w.cfg.Events.lease(core.ShardID(l.Name()), "released")
	}
}

// open reads or makes the pipeline's row, and the schemas.
func (w *Worker) open(ctx context.Context) error {
	for {
		row, st, err := loadRow[State](ctx, w.cfg.Store, w.keys.state())
		if err != nil {
			return err
		}
		if st.Incarnation != "" && st.Spec == w.cfg.Program.Spec {
			return w.opened(ctx, st)
		}
		if st.Incarnation == "" {
			if err := w.adopt(ctx); err != nil {
				return err
			}
			st.Incarnation = newIncarnation()
		}
		st.Spec = w.cfg.Program.Spec
		_, err = w.cfg.Store.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}},
			Writes: []control.Write{jsonRow(row.Key, st), {Key: SpecKey(st.Spec), Value: w.cfg.Program.SpecText}},
		})
		if err != nil && !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) {
			return fmt.Errorf("open pipeline %s: %w", w.cfg.Pipeline, err)
		}
	}
}

func (w *Worker) opened(ctx context.Context, st State) error {
	w.incarnation = st.Incarnation
	shared := w.cfg.Lease
	shared.Prefix = w.keys.leases(w.incarnation, w.cfg.Source.ID())
	w.leases = lease.NewManager(w.table, shared) // renewals do not wait
	w.planner = &planner{store: w.cfg.Store, keys: w.keys, incarnation: st.Incarnation, source: w.cfg.Source, without: w.without}
	w.schemas = &schemas{
		store: w.cfg.Store, keys: w.keys, incarnation: st.Incarnation, program: w.cfg.Program, events: w.cfg.Events,
		busy: make(chan struct{}, 1), all: map[int64]*bound{},
	}
	return w.schemas.open(ctx)
}

// adopt refuses a destination that holds output of an earlier incarnation: the new one would write everything again
// beside it.
func (w *Worker) adopt(ctx context.Context) error {
	a, ok := w.cfg.Program.Sink.(Adopter)
	if !ok || w.cfg.Adopt {
		return nil
	}
	found, err := a.Incarnations(ctx, w.cfg.Pipeline)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return Permanent(fmt.Errorf("pipeline %s: %w (%v): its records would be there twice. Choose another prefix or name, or pass --adopt",
			w.cfg.Pipeline, ErrForeignOutput, found))
	}
	return nil
}
