package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// stdinStream is the stream that a pipeline's standard input is put into.
func stdinStream(pipeline string) core.StreamName { return core.StreamName("_in." + pipeline) }

// stdin is standard input on its way into the stream of a pipeline. It goes on until the node is closed, also while the
// pipeline is drained to run again under another spec, or failed: what was read of it cannot be read again.
type stdin struct {
	pipeline string
	feed     *feed
}

// stdinSource is standard input as a source. It cannot be read again, so it is put into a stream, and that is the
// source: what was put survives a crash and is delivered by the next run. A run ends when standard input did and
// everything is delivered; then the stream is emptied.
type stdinSource struct {
	*streamsource.Source
	stream *stream.Stream
	feed   *feed
}

var (
	_ connectors.Source = (*stdinSource)(nil)
	_ connectors.Finite = (*stdinSource)(nil)
)

// openStdin makes the stream if it is not there, and starts to put standard input into it.
func (n *Node) openStdin(ctx context.Context, s *Spec, f connectors.Framing, in io.Reader) (*stdinSource, error) {
	if in == nil {
		return nil, fmt.Errorf("source.file.paths: there is no standard input here: %w", core.ErrInvalid)
	}
	name := stdinStream(s.Name)
	// Nothing is trimmed before it is delivered, and everything is removed then.
	_, err := n.Streams.Create(ctx, name, stream.Settings{Retention: stream.MaxRetention, MaxRecord: stream.MaxMaxRecord})
	if err != nil && !errors.Is(err, stream.ErrExists) {
		return nil, err
	}
	st, err := n.Streams.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stdin == nil {
		n.stdin = &stdin{s.Name, startFeed(st, file.NewRecords(in, *s.Source.File, f))}
	}
	if n.stdin.pipeline != s.Name {
		return nil, fmt.Errorf("source.file.paths: pipeline %s reads standard input already: run them one after another: %w", n.stdin.pipeline, core.ErrInvalid)
	}
	return &stdinSource{streamsource.New(st), st, n.stdin.feed}, nil
}

// endStdin is called when everything that was put is delivered. The stream is emptied, and what kept the rest from being
// put is returned.
func (n *Node) endStdin(ctx context.Context, s *stdinSource) error {
	n.mu.Lock()
	n.stdin = nil
	n.mu.Unlock()
	return errors.Join(s.feed.err(), s.stream.Clear(ctx))
}

// Finite: standard input ends.
func (s *stdinSource) Finite() bool { return true }

// Resolve begins with the first record that is there, whatever the start: it is there because no run delivered it.
func (s *stdinSource) Resolve(ctx context.Context, shard core.ShardID, _ connectors.Start) (core.SequenceNumber, error) {
	return s.Source.Resolve(ctx, shard, connectors.Start{Kind: connectors.StartTrimHorizon})
}

// Read returns a reader that ends when standard input has and everything was read.
func (s *stdinSource) Read(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	r, err := s.stream.Read(ctx, shard, after)
	if err != nil {
		return nil, err
	}
	return &stdinReader{Reader: r, source: s, shard: shard, read: after}, nil
}

// stdinReader reads the stream of standard input.
type stdinReader struct {
	*stream.Reader
	source *stdinSource
	shard  core.ShardID
	read   core.SequenceNumber // through it; empty is nothing
}

// Next waits for records, but not when nothing more comes.
func (r *stdinReader) Next(ctx context.Context) (core.Batch, error) {
	for {
		b, err := r.next(ctx)
		if err == nil {
			r.read = b.Span.Last
		}
		if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return b, err
		}
		// Standard input ended while this waited.
	}
}

func (r *stdinReader) next(ctx context.Context) (core.Batch, error) {
	if r.source.feed.ended.Err() == nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(r.source.feed.ended, cancel)()
		return r.Reader.Next(ctx)
	}
	last, err := r.source.stream.Last(ctx, r.shard)
	if err == nil && (last == "" || r.read != "" && last.Compare(r.read) <= 0) {
		err = connectors.ErrCaughtUp
	}
	if err != nil {
		return core.Batch{}, err
	}
	return r.Reader.Next(ctx)
}
