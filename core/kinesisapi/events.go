package kinesisapi

import (
	"errors"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi"
)

// Events are told of what goes to streams and comes from them, each time in the goroutine that serves the request, so
// they have to return quickly. Requests whose stream is not there are nobody's and not told. Each may be nil.
type Events struct {
	Put       func(PutDone)       // a call of PutRecord or PutRecords
	Get       func(GetDone)       // a call of GetRecords
	Subscribe func(SubscribeDone) // a call of SubscribeToShard began, or was refused
	Sent      func(SentDone)      // an event of a subscription
}

// Done is what became of a call.
type Done struct {
	Stream   core.StreamName
	ByShard  []string // metrics that the stream has by shard
	OK       bool
	Exceeded bool // refused because of a limit of throughput
	Took     time.Duration
}

// Flow is an amount of records.
type Flow struct {
	Records, Bytes int64 // of keys and data
	Exceeded       int64 // records more, refused because of a limit of throughput
}

func (f *Flow) add(g Flow) {
	f.Records, f.Bytes, f.Exceeded = f.Records+g.Records, f.Bytes+g.Bytes, f.Exceeded+g.Exceeded
}

// PutDone is a call of PutRecord or PutRecords.
type PutDone struct {
	Done
	Many   bool // PutRecords
	Total  int64
	Failed int64 // for other reasons than limits
	Put    Flow
	Shards map[core.ShardID]Flow // of a stream with metrics by shard
}

// GetDone is a call of GetRecords.
type GetDone struct {
	Done
	Shard core.ShardID
	Got   Flow
	Age   time.Duration // of the last record; 0 at the tip
}

// SubscribeDone is the beginning of a subscription. Exceeded says that there was one already, or just now.
type SubscribeDone struct {
	Done
	Consumer string
}

// SentDone is an event of a subscription.
type SentDone struct {
	Done
	Consumer string
	Sent     Flow
	Behind   time.Duration
}

func (e Events) withDefaults() Events {
	if e.Put == nil {
		e.Put = func(PutDone) {}
	}
	if e.Get == nil {
		e.Get = func(GetDone) {}
	}
	if e.Subscribe == nil {
		e.Subscribe = func(SubscribeDone) {}
	}
	if e.Sent == nil {
		e.Sent = func(SentDone) {}
	}
	return e
}

// of begins to tell of a call of a stream.
func (d *Done) of(t target) { d.Stream, d.ByShard = t.info.Name, t.info.Metrics }

// end is what a call ended with; it reports whether that is to be told.
func (d *Done) end(c *awsapi.Call, err error) bool {
	d.Took, d.OK = time.Since(c.Began), err == nil
	var e *awsapi.Error
	d.Exceeded = errors.As(err, &e) && e.Code == codeThroughput
	return d.Stream != ""
}
