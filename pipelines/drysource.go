package pipelines

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
)

// DrySource opens what a spec reads so that reading it leaves no trace: files are remembered in memory only, and read to
// their present end.
func (r *Registry) DrySource(ctx context.Context, s *Spec, streams *stream.Store) (connectors.Source, error) {
	switch {
	case s.Source.File != nil && s.Source.File.IsStdin():
		return nil, fmt.Errorf("paths: standard input can be read once only: read a file instead: %w", core.ErrInvalid)
	case s.Source.File != nil:
		cfg := *s.Source.File
		cfg.Follow = false
		return r.scratchFiles(ctx, s, cfg)
	case s.Source.Kinesis != nil:
		cfg := *s.Source.Kinesis
		cfg.Mode, cfg.Consumer = "", "" // a consumer would be registered
		return kinesis.Open(ctx, cfg, kinesis.Options{})
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
	return file.New(cfg, framing(d), control.NewScratch(), s.Name, nil)
}

// waits reports whether a reader at the end of a shard waits although it was not asked to follow.
func waits(source connectors.Source) bool {
	_, made := source.(*generator.Source)
	return !made
}
