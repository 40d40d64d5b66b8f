package consumer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
)

// Config is what a consumer needs; what is zero has the documented default.
type Config struct {
	Name    string            // under which its checkpoints stand, beside those of pipelines: 1 to 100 of a-z 0-9 . _ -
	Source  connectors.Source // what is read; it is closed by whoever opened it
	Store   lease.Store       // where its leases, checkpoints and plans stand: what all of its workers share
	Process func(ctx context.Context, b Batch) error

	Start         connectors.Start // of its first run. Default trim_horizon
	UntilCaughtUp bool             // read what each shard holds now, then end
	// Deaggregate says what becomes of records that the KPL packed user records into. Default: they are taken apart.
	Deaggregate connectors.Unpacking
	// Batch says when a shard's records are given to Process: the first limit that the worker's shards reach together.
	// Default 16MiB, 10,000 records, 1s.
	Batch    connectors.BufferConfig
	Parallel int           // calls of Process at once, each of another shard. Default 1
	Drain    time.Duration // how long a stop may take to process what was read. Default 10s
	Lease    lease.Config  // Owner: host, process and a random number. Exclusive: no other worker can have this Name now
	Events   *connectors.Events
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(what string) { errs = append(errs, fmt.Errorf("consumer: %s: %w", what, core.ErrInvalid)) }
	if !nameForm.MatchString(c.Name) {
		wrong(fmt.Sprintf("name %q is not 1 to 100 of the characters a-z 0-9 . _ - beginning with a letter or digit", c.Name))
	}
	if c.Source == nil || c.Store == nil || c.Process == nil {
		wrong("want a Source, a Store and a Process")
	}
	if c.Parallel < 0 {
		wrong("Parallel is negative")
	}
	return errors.Join(append(errs, c.Batch.Validate())...)
}

func (c Config) withDefaults() (Config, error) {
	if c.Start.Kind == "" {
		c.Start.Kind = connectors.StartTrimHorizon
	}
	if c.Deaggregate == "" {
		c.Deaggregate = connectors.UnpackOwn
	}
	if c.Batch.MaxBytes == 0 {
		c.Batch.MaxBytes = 16 << 20
	}
	if c.Batch.MaxRecords == 0 {
		c.Batch.MaxRecords = 10_000
	}
	if c.Batch.MaxAge == 0 {
		c.Batch.MaxAge = connectors.Duration(time.Second)
	}
	c.Parallel = max(c.Parallel, 1)
	if c.Lease.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			return c, err
		}
		c.Lease.Owner = fmt.Sprintf("%s-%d-%s", host, os.Getpid(), rand.Text()[:8])
	}
	return c, nil
}

// spec is what the records of a plan depend on. It is stored with the plan, whoever finishes that.
type spec struct {
	Deaggregate connectors.Unpacking `json:"deaggregate"`
	After       core.SequenceNumber  `json:"after,omitempty"`
	Sub         int64                `json:"sub_sequence,omitempty"`
}

func (c Config) spec() spec {
	s := spec{Deaggregate: c.Deaggregate}
	if c.Start.Sub != nil {
		s.After, s.Sub = c.Start.After, *c.Start.Sub
	}
	return s
}

func (s spec) text() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and a number always marshal
	}
	return b
}
