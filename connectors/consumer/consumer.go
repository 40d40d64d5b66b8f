package consumer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core/controlapi"
)

// Consumer gives the records of a stream to a func.
type Consumer struct{ worker *connectors.Worker }

// New returns a consumer that has done nothing yet.
//
// Process is called with the batches of a shard one after the other, those of a parent before those of its children. When it
// returns nil the batch is done, by whatever it did, and the shard's checkpoint moves behind it. Its error has the batch given
// to it again, after a wait that grows to 30s, as often as it takes: a batch is never passed over, and until it is done the
// worker's other shards get one batch more at most. What no retry cures is marked with connectors.Permanent; that ends Run, and
// what cannot be processed at all is Process's to put aside. Its context ends when the time to drain has.
//
// Two workers may process one batch at the same time, if one of them was taken for dead.
func New(c Config) (*Consumer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	open := func(_ context.Context, text []byte) (*connectors.Program, error) { return c.program(text) }
	program, err := c.program(c.spec().text())
	if err != nil {
		return nil, err
	}
	w, err := connectors.NewWorker(connectors.WorkerConfig{
		Pipeline: c.Name, Program: program, OpenProgram: open,
		Source: c.Source, OpenSource: func(context.Context, []byte) (connectors.Source, error) { return kept{c.Source}, nil },
		Start: c.Start, DeadLetters: none{}, Store: c.Store, Lease: c.Lease, Buffer: c.Batch, Drain: c.Drain,
		UntilCaughtUp: c.UntilCaughtUp, Events: c.Events,
	})
	if err != nil {
		return nil, err
	}
	return &Consumer{w}, nil
}

// Run consumes until the source ends, it has caught up, or ctx ends: then what was read is processed within the drain time,
// and Run returns nil. A consumer that was paused waits. Run is for one call.
func (c *Consumer) Run(ctx context.Context) error { return c.worker.Run(ctx) }

// program is what a spec, which may be that of an earlier run, makes of records.
func (c Config) program(text []byte) (*connectors.Program, error) {
	var s spec
	if err := json.Unmarshal(text, &s); err != nil || s.Deaggregate == "" {
		return nil, connectors.Permanent(fmt.Errorf("%s is a pipeline, and no consumer: choose another name", c.Name))
	}
	sum := sha256.Sum256(text)
	return &connectors.Program{
		Spec: hex.EncodeToString(sum[:16]), SpecText: text, Decoder: records{}, Sink: &sink{c.Process, c.Parallel},
		Unpack: s.Deaggregate, Skip: connectors.Sub{Seq: s.After, Index: s.Sub},
	}, nil
}

// kept is a source that its owner closes. It is asked for a plan whose stream is not the one that is read now: by the id it
// shows that the plan's is gone.
type kept struct{ connectors.Source }

// Close does nothing.
func (kept) Close() error { return nil }

// none are the dead letters of a consumer: nothing that it does refuses a record.
type none struct{}

// Put refuses letters.
func (none) Put(context.Context, []connectors.DeadLetter) error {
	return connectors.Permanent(errors.New("a consumer has no dead letters"))
}

// Server opens a stream of a Penstock server, and where the workers of the consumer of that name share what they know: rows of
// the server. It uses the credentials that AWS's SDKs find, whose policy has to allow what docs/workers.md says. The source is
// for the caller to close.
func Server(ctx context.Context, endpoint, stream, name string) (connectors.Source, lease.Store, error) {
	cfg, err := controlapi.FindConfig(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	source, err := kinesis.Open(ctx, kinesis.Config{Stream: stream, Endpoint: endpoint, Region: cfg.Region}, kinesis.Options{})
	if err != nil {
		return nil, nil, err
	}
	return source, controlapi.NewClient(cfg, name), nil
}
