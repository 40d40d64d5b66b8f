package s3

import (
	"context"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/lake"
)

// Sink writes objects. It is safe for concurrent use.
type Sink struct {
	cfg   Config
	store *bucket
}

var (
	_ connectors.Sink      = (*Sink)(nil)
	_ connectors.Verifier  = (*Sink)(nil)
	_ connectors.Adopter   = (*Sink)(nil)
	_ connectors.Prober    = (*Sink)(nil)
	_ connectors.Previewer = (*Sink)(nil)
	_ connectors.Sweeper   = (*Sink)(nil)
)

// Open returns a sink over the bucket. It asks the server nothing; see Probe.
func Open(ctx context.Context, cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := newClient(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Sink{cfg, newBucket(client, cfg.Bucket)}, nil
}

// Columns are those whose types matter to the layout.
func (s *Sink) Columns() []string { return s.cfg.Columns() }

// Probe asks whether the bucket is there and takes uploads. It begins one and gives it up: nothing is written.
func (s *Sink) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime/4)
	defer cancel()
	client, name := s.store.client, s.store.name
	// Not HEAD, whose answer has no body to say what is wrong.
	if _, err := client.ListObjectsV2(name, "_penstock/", "", "", "", 1); err != nil {
		return explain("look", name, err)
	}
	const probe = "_penstock/probe"
	id, err := client.NewMultipartUpload(ctx, name, probe, minio.PutObjectOptions{})
	if err != nil {
		return explain("begin an upload", name, err)
	}
	return explain("give an upload up", name, client.AbortMultipartUpload(ctx, name, probe, id))
}

// Stage opens a place for the rows of a flush.
func (s *Sink) Stage(_ context.Context, f connectors.Flush) (connectors.Staging, error) {
	return lake.Stage(s.store, s.cfg.Layout, f)
}

// Preview counts rows by the prefix that they would stand under.
func (s *Sink) Preview(f connectors.Flush, b core.Batch, v *connectors.Verdicts) (map[string]int64, error) {
	return lake.Preview(s.cfg.Layout, f, b, v)
}

// Verify proves from the manifests what the bucket holds.
func (s *Sink) Verify(ctx context.Context, pipeline string, deep bool) (connectors.VerifyReport, error) {
	return lake.Verify(ctx, s.store, s.cfg.Layout, pipeline, deep)
}

// Published reports whether the manifest of a plan is there.
func (s *Sink) Published(ctx context.Context, p connectors.Plan) (bool, error) {
	return lake.Published(ctx, s.store, p)
}

// Repeats says that rows of another incarnation are there twice.
func (*Sink) Repeats() string { return lake.Repeats }

// Incarnations are those of the pipeline that left manifests.
func (s *Sink) Incarnations(ctx context.Context, pipeline string) ([]string, error) {
	return lake.Incarnations(ctx, s.store, pipeline)
}

// Sweep gives up what flushes that never became plans left behind.
func (s *Sink) Sweep(ctx context.Context, pipeline string, before time.Time) error {
	return lake.Sweep(ctx, s.store, pipeline, before)
}

// Close gives the connections up.
func (s *Sink) Close(context.Context) error { return nil }
