package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// RunOptions say how a pipeline is run; zero means the documented default.
type RunOptions struct {
	UntilCaughtUp bool          // deliver what each shard holds now, then end
	Adopt         bool          // go on although the destination holds output of an earlier incarnation
	State         *State        // shared with other workers; nil: the node's own
	Await         bool          // wait for a stream that is not there, also where it was deleted
	Drain         time.Duration // how long what is buffered may take when ctx ends. Default 10s
	Events        *connectors.Events
	Env           func(string) (string, bool) // for specs that an open plan needs
	Stdin         io.Reader                   // of a pipeline whose source is '-'
}

// Run runs a pipeline on the node until its source ends, it has caught up, or ctx ends and what was buffered is flushed.
func (n *Node) Run(ctx context.Context, r *Registry, s *Spec, opts RunOptions) error {
	const step = "find the stream"
	for attempt := 1; ; attempt++ {
		err := n.run(ctx, r, s, opts)
		if !opts.Await || !errors.Is(err, stream.ErrNotFound) || ctx.Err() != nil {
			return err
		}
		if opts.Events != nil && opts.Events.Retry != nil {
			opts.Events.Retry(step, attempt, probeEvery, err)
		}
		if core.Pause(ctx, probeEvery) != nil {
			return nil //nolint:nilerr // it was asked to end while it waited
		}
	}
}

func (n *Node) run(ctx context.Context, r *Registry, s *Spec, opts RunOptions) (err error) {
	if err := n.begin(s.Name); err != nil {
		return err
	}
	defer n.end(s.Name)
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, connectors.ErrNotDrained) && !errors.Is(err, errLog) {
			err = nil // it was asked to end before there was anything to flush
		}
	}()
	defer func() { err = s.Conceal(err) }()
	opts.Events = connectors.Join(s.concealed(opts.Events), &connectors.Events{Pause: func(state string) { n.attend(s.Name, state != connectors.Paused) }})
	program, err := r.Program(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Sink.Close(context.WithoutCancel(ctx))) }()
	if err := probe(ctx, program, s, opts); err != nil {
		return err
	}
	if sw, ok := program.Sink.(connectors.Sweeper); ok {
		_ = sw.Sweep(ctx, s.Name, time.Now().Add(-connectors.SweepAfter)) // it takes space, but is in nobody's way; the next run sweeps again
	}
	source, err := n.source(ctx, s, program, opts)
	if err != nil {
		return fmt.Errorf("pipeline %s: %w", s.Name, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	at, err := n.placeOf(ctx, s, opts)
	if err != nil {
		return fmt.Errorf("pipeline %s: %w", s.Name, err)
	}
	finite, ok := source.(connectors.Finite)
	cfg := connectors.WorkerConfig{
		Pipeline: s.Name, Program: program, Source: source, Start: s.Source.Start, DeadLetters: at.letters, Store: at.store,
		OpenProgram: func(ctx context.Context, text []byte) (*connectors.Program, error) {
			return r.Stored(ctx, text, opts.Env)
		},
		OpenSource: func(ctx context.Context, text []byte) (connectors.Source, error) {
			return n.storedSource(ctx, r, text, opts)
		},
		Lease: at.lease, Buffer: s.Buffer, Drain: opts.Drain, Adopt: opts.Adopt, Events: opts.Events, Memory: n.memory, Scratch: n.scratch,
		UntilCaughtUp: opts.UntilCaughtUp && (!ok || !finite.Finite()),
	}
	if t, ok := s.Sink.Config.(interface{ Target() connectors.ByteSize }); ok {
		cfg.TargetFileSize = t.Target()
	}
	w, err := connectors.NewWorker(cfg)
	if err != nil {
		return err
	}
	err = n.work(ctx, w)
	if in, ok := source.(*stdinSource); ok && err == nil && ctx.Err() == nil {
		err = n.endStdin(ctx, in)
	}
	return err
}

// work runs a worker for as long as the log does.
func (n *Node) work(ctx context.Context, w *connectors.Worker) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-n.Failed():
			cancel(errLog)
		case <-ctx.Done():
		}
	}()
	err := w.Run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errLog) {
		err = errors.Join(cause, err)
	}
	return err
}

// Check opens what a spec names and asks its destination whether it takes rows, without changing anything. Where opts let
// the pipeline wait for its destination, that is left to Run.
func (n *Node) Check(ctx context.Context, r *Registry, s *Spec, opts RunOptions) (err error) {
	defer func() { err = s.Conceal(err) }()
	program, err := r.Program(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Sink.Close(context.WithoutCancel(ctx))) }()
	if s.Source.Stream != "" && !opts.Await {
		if _, err := n.source(ctx, s, program, RunOptions{State: opts.State, UntilCaughtUp: true}); err != nil {
			return fmt.Errorf("pipeline %s: %w", s.Name, err)
		}
	}
	if s.endless() && !opts.UntilCaughtUp {
		return nil
	}
	return probe(ctx, program, s, opts)
}

// probeEvery is how often a destination that does not answer is asked again.
const probeEvery = 5 * time.Second

// probe asks the destination of a pipeline whether it takes rows. A pipeline that is to run until it is stopped waits for
// a destination that does not answer, such as a server that starts after it; what no time cures ends it at once.
func probe(ctx context.Context, program *connectors.Program, s *Spec, opts RunOptions) error {
	p, ok := program.Sink.(connectors.Prober)
	if !ok {
		return nil
	}
	const step = "reach the destination"
	for attempt := 1; ; attempt++ {
		err := p.Probe(ctx)
		if err == nil {
			if attempt > 1 && opts.Events != nil && opts.Events.Recovered != nil {
				opts.Events.Recovered(step)
			}
			return nil
		}
		if opts.UntilCaughtUp || !s.endless() || connectors.IsPermanent(err) || ctx.Err() != nil {
			return fmt.Errorf("pipeline %s: %w", s.Name, err)
		}
		if opts.Events != nil && opts.Events.Retry != nil {
			opts.Events.Retry(step, attempt, probeEvery, err)
		}
		if err := core.Pause(ctx, probeEvery); err != nil {
			return err
		}
	}
}

// endless reports whether the source has no end of its own.
func (s *Spec) endless() bool {
	switch {
	case !s.Source.End.IsZero():
		return false
	case s.Source.File != nil:
		return s.Source.File.Follow
	case s.Source.Generate != nil:
		return s.Source.Generate.Count == 0
	}
	return true
}

// ErrRunning says that a pipeline of that name runs in this process. Stop it first.
var ErrRunning = errors.New("is running")

// begin notes that a pipeline runs; only one of a name can.
func (n *Node) begin(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, runs := n.running[name]; runs {
		return fmt.Errorf("pipeline %s %w in process %d already", name, ErrRunning, os.Getpid())
	}
	n.running[name] = true
	return nil
}

// attend notes whether a pipeline that runs does anything.
func (n *Node) attend(name string, does bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, runs := n.running[name]; runs {
		n.running[name] = does
	}
}

func (n *Node) end(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.running, name)
}

// Idle returns ErrRunning while a pipeline runs: what would pull the ground from under it has to wait until it is stopped, or
// paused and has delivered what it had read.
func (n *Node) Idle(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running[name] {
		return fmt.Errorf("pipeline %s %w in process %d: stop it first, or pause it and wait until it has delivered what it read", name, ErrRunning, os.Getpid())
	}
	return nil
}

var errLog = errors.New("the log failed and cannot tell what is durable: start penstock again")

// storedSource opens what a spec that was stored reads, for plans that it left open. Of standard input, that is what was put
// into its stream.
func (n *Node) storedSource(ctx context.Context, r *Registry, text []byte, opts RunOptions) (connectors.Source, error) {
	s, err := r.Load("stored pipeline", text, opts.Env)
	if err != nil {
		return nil, err
	}
	if s.Source.File != nil && s.Source.File.IsStdin() {
		s.Source.File, s.Source.Stream = nil, stdinStream(s.Name)
	}
	program, err := r.Program(ctx, s)
	if err != nil {
		return nil, err
	}
	source, err := n.source(ctx, s, program, opts)
	return source, errors.Join(err, program.Sink.Close(ctx))
}
