package kinesis

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Source is a stream of the API, as a source. It is safe for concurrent use.
type Source struct {
	cfg    Config
	client *kinesis.Client
	events *connectors.Events
	id     string
	pace   pace
	calm   calming

	listing sync.Mutex // held while the stream is asked for its shards
	mu      sync.Mutex // guards what follows
	list    []shard
	known   map[core.ShardID]shard
	kept    time.Duration // the stream's retention
	listed  time.Time     // when list was made
	asked   bool          // in the background, for a newer list
	failed  error         // that trying again does not cure, met in the background
	arn     string        // of the consumer, once it is known
	ended   context.Context
	end     context.CancelFunc
	asking  sync.WaitGroup
}

var (
	_ connectors.Source   = (*Source)(nil)
	_ connectors.Expiring = (*Source)(nil)
	_ connectors.Chaser   = (*Source)(nil)
	_ connectors.Lagging  = (*Source)(nil)
)

// Options say how a source is opened; zero means the documented default.
type Options struct {
	Events *connectors.Events // told of what is tried again. May be nil
	Wait   bool               // for a server that does not answer; else that is an error
}

// Open finds the stream, and with fan_out registers the consumer where there is none of that name.
func Open(ctx context.Context, c Config, opts Options) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := NewClient(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := client.Options().Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("read stream %s: no credentials: set access_key and secret_key (any, where the server does not ask for them), or give the AWS SDK some (environment, profile, role): %w", c.Stream, err)
	}
	return openWith(ctx, client, c, opts)
}

func openWith(ctx context.Context, client *kinesis.Client, c Config, opts Options) (*Source, error) {
	s := &Source{cfg: c, client: client, events: opts.Events, known: map[core.ShardID]shard{}, pace: pace{reads: map[core.ShardID][]time.Time{}}}
	if s.events == nil {
		s.events = &connectors.Events{}
	}
	s.ended, s.end = context.WithCancel(context.Background())
	var err error
	if opts.Wait {
		err = s.try(ctx, "reach stream "+c.Stream, s.refresh)
	} else {
		err = bounded(ctx, s.refresh)
	}
	if err == nil && c.Mode == fanOut {
		err = s.register(ctx)
	}
	if err != nil {
		s.end()
		return nil, s.about(err)
	}
	return s, nil
}

// about says which stream an error is of.
func (s *Source) about(err error) error {
	if cures.Refused(err) {
		err = cures.Permanent(err)
	}
	return fmt.Errorf("read stream %s: %w", s.cfg.Stream, err)
}

// ID is the stream's ARN and the time of its creation, so that a stream made again under its name is another source.
func (s *Source) ID() string { return s.id }

// Read returns a reader of the records after a sequence number.
func (s *Source) Read(ctx context.Context, id core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return s.open(ctx, id, after, live)
}

// Chase is Read that ends where the shard ended when it began.
func (s *Source) Chase(ctx context.Context, id core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return s.open(ctx, id, after, chase)
}

// Reread returns a reader of records that were read before. It polls whatever the mode, since a consumer has one
// subscription to a shard.
func (s *Source) Reread(ctx context.Context, id core.ShardID, after core.SequenceNumber) (connectors.Reader, error) {
	return s.open(ctx, id, after, again)
}

// purpose says what a reader is for.
type purpose int

const (
	live  purpose = iota // wait for more at the tip
	chase                // end where the shard ended when the reading began
	again                // read what was read before
)

func (s *Source) open(ctx context.Context, id core.ShardID, after core.SequenceNumber, why purpose) (connectors.Reader, error) {
	sh, err := s.shard(ctx, id)
	if err != nil {
		return nil, err
	}
	p := progress{s: s, shard: sh, at: parsePosition(after), why: why, began: time.Now()}
	if s.cfg.Mode == fanOut && why != again {
		return newSubscriber(p), nil
	}
	return &poller{progress: p}, nil
}

// Close ends what the source does in the background.
func (s *Source) Close() error {
	s.mu.Lock()
	s.end() // Shards begins nothing from here on
	s.mu.Unlock()
	s.asking.Wait()
	if c, ok := s.client.Options().HTTPClient.(*http.Client); ok {
		c.CloseIdleConnections()
	}
	return nil
}
