package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/deadletter"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
)

// State is where several workers, each with a node of its own, have what they share of pipelines: leases, checkpoints,
// plans and dead letters.
type State struct {
	Store func(ctx context.Context, pipeline string) (lease.Store, error)
	// Names lists the pipelines that have rows there. nil: it cannot be told.
	Names func(ctx context.Context) ([]string, error)
	// Server has the streams that source: {stream: ...} names; Stream is left empty. nil: there are none.
	Server   *kinesis.Config
	Failover time.Duration // after which what a dead worker had is taken over. Default 10s
	// EachLease is connectors/lease.Config's.
	EachLease bool
}

// place is where a pipeline has its rows and its dead letters.
type place struct {
	store   lease.Store
	lease   lease.Config
	letters connectors.DeadLetters
}

// placeOf is that of a pipeline: this node, or what it shares with others.
func (n *Node) placeOf(ctx context.Context, s *Spec, opts RunOptions) (p place, err error) {
	p.lease = lease.Config{Owner: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())}
	if opts.State == nil {
		p.store, p.lease.Exclusive = n.Control, true
		p.letters, err = deadletter.New(n.Streams, s.DeadLetter)
		return p, err
	}
	host, err := os.Hostname()
	if err != nil {
		return p, err
	}
	p.lease.Owner, p.lease.Failover = host+"-"+p.lease.Owner, opts.State.Failover
	p.lease.EachLease = opts.State.EachLease
	if p.store, err = opts.State.Store(ctx, s.Name); err != nil {
		return p, err
	}
	server, err := opts.State.server(s)
	if err != nil {
		return p, err
	}
	client, err := kinesis.NewClient(ctx, server)
	if err != nil {
		return p, err
	}
	p.letters, err = deadletter.NewKinesis(client, s.DeadLetter)
	return p, err
}

// server is where a pipeline reads, and has its dead letters.
func (st *State) server(s *Spec) (kinesis.Config, error) {
	switch {
	case s.Source.Kinesis != nil:
		return *s.Source.Kinesis, nil
	case s.Source.Stream != "" && st.Server != nil:
		c := *st.Server
		c.Stream = string(s.Source.Stream)
		return c, nil
	case s.Source.Stream != "":
		return kinesis.Config{}, fmt.Errorf("source.stream: workers that share their state read a stream of a server: use kinesis: {stream: %s, endpoint: ...}, or have the state in the server: %w", s.Source.Stream, core.ErrInvalid)
	}
	return kinesis.Config{}, fmt.Errorf("source: only streams can be shared by workers; run this pipeline without --state: %w", core.ErrInvalid)
}

// source opens what a spec reads.
func (n *Node) source(ctx context.Context, s *Spec, program *connectors.Program, opts RunOptions) (connectors.Source, error) {
	source, err := n.openSource(ctx, s, program, opts)
	if err != nil || s.Source.End.IsZero() {
		return source, err
	}
	bounded, err := connectors.Until(source, s.Source.End)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("source: %w", err), source.Close())
	}
	return bounded, nil
}

func (n *Node) openSource(ctx context.Context, s *Spec, program *connectors.Program, opts RunOptions) (connectors.Source, error) {
	if opts.State != nil {
		c, err := opts.State.server(s)
		if err != nil {
			return nil, err
		}
		return kinesis.Open(ctx, c, kinesis.Options{Events: opts.Events, Wait: !opts.UntilCaughtUp})
	}
	switch {
	case s.Source.File != nil && s.Source.File.IsStdin():
		return n.openStdin(ctx, s, framing(program.Decoder), opts.Stdin)
	case s.Source.File != nil:
		return file.New(*s.Source.File, framing(program.Decoder), n.Control, s.Name, opts.Events.Notice)
	case s.Source.Generate != nil:
		g, err := generator.New(*s.Source.Generate)
		if err != nil {
			return nil, err
		}
		return generator.NewSource(g), nil
	case s.Source.Kinesis != nil:
		return kinesis.Open(ctx, *s.Source.Kinesis, kinesis.Options{Events: opts.Events, Wait: !opts.UntilCaughtUp})
	}
	st, err := n.Streams.Open(ctx, s.Source.Stream)
	if err != nil {
		return nil, fmt.Errorf("%w: make it with penstock streams create %s", err, s.Source.Stream)
	}
	return streamsource.New(st), nil
}

// framing is how a decoder wants a text to be split.
func framing(d connectors.Decoder) connectors.Framing {
	if f, ok := d.(connectors.Framer); ok {
		return f.Framing()
	}
	return connectors.Framing{}
}
