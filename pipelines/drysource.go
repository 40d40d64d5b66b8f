package pipelines

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
)

// DrySource opens what a spec reads so that reading it leaves no trace: files are remembered in memory only, and read to
// their present end.
func (r *Registry) DrySource(ctx context.Context, s *Spec, streams *stream.Store) (connectors.Source, error) {
	switch {
	case s.Source.File != nil && s.Source.File.IsStdin():
		return nil, fmt.Errorf("paths: standard input is read once only: put some of it into a file and read that: %w", core.ErrInvalid)
	case s.Source.File != nil:
		cfg := *s.Source.File
		cfg.Follow = false
		return r.scratchFiles(ctx, s, cfg)
	case s.Source.Generate != nil:
		g, err := generator.New(*s.Source.Generate)
		if err != nil {
			return nil, err
		}
		return generator.NewSource(g), nil
	}
	return (&Node{Streams: streams}).source(ctx, s, nil, RunOptions{})
}

// FileSource is a file in place of what a spec reads.
func (r *Registry) FileSource(ctx context.Context, s *Spec, path string) (connectors.Source, error) {
	return r.scratchFiles(ctx, s, file.Config{Paths: []string{path}})
}

// scratchFiles are files, split as the spec's decoder wants it, of which nothing is remembered.
func (r *Registry) scratchFiles(ctx context.Context, s *Spec, cfg file.Config) (connectors.Source, error) {
	d, err := r.decoders[s.Decoder.Kind].open(ctx, s.Decoder.Config)
	if err != nil {
		return nil, err
	}
	return file.New(cfg, framing(d), control.NewScratch(), s.Name)
}

// waits reports whether a reader at the end of a shard waits although it was not asked to follow.
func waits(source connectors.Source) bool {
	_, made := source.(*generator.Source)
	return !made
}

// LineSource is the first n lines of in, as a source.
func LineSource(in io.Reader, n int64) (connectors.Source, error) {
	r := bufio.NewReaderSize(io.LimitReader(in, maxDryBytes), 1<<16)
	var records []connectors.Sample
	var err error
	for line := 1; int64(len(records)) < n && err == nil; line++ {
		var text []byte
		if text, err = r.ReadBytes('\n'); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read standard input after line %d: %w", line-1, err)
		}
		if data := bytes.TrimRight(text, "\r\n"); len(data) > 0 {
			records = append(records, connectors.Sample{Key: fmt.Sprint(line), Arrival: time.Now(), Data: data})
		}
	}
	return &lineSource{connectors.Samples(records)}, nil
}

// lineSource is records in memory, as a source of one shard that is read once.
type lineSource struct{ batch core.Batch }

func (l *lineSource) ID() string   { return "lines" }
func (l *lineSource) Finite() bool { return true }
func (l *lineSource) Close() error { l.batch.Release(); return nil }

func (l *lineSource) Shards(context.Context) ([]connectors.Shard, error) {
	return []connectors.Shard{{ID: l.batch.Shard, Closed: true, Last: l.batch.Span.Last}}, nil
}

func (l *lineSource) Resolve(context.Context, core.ShardID, connectors.Start) (core.SequenceNumber, error) {
	return "", nil
}

func (l *lineSource) Read(context.Context, core.ShardID, core.SequenceNumber) (connectors.Reader, error) {
	l.batch.Retain()
	return &lineReader{batch: l.batch}, nil
}

// lineReader returns its batch once.
type lineReader struct {
	batch core.Batch
	given bool
}

func (r *lineReader) Next(context.Context) (core.Batch, error) {
	if r.given || r.batch.NumRows() == 0 {
		return core.Batch{}, io.EOF
	}
	r.given = true
	r.batch.Retain()
	return r.batch, nil
}

func (r *lineReader) Close() error { r.batch.Release(); return nil }
