package kinesisapi

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/stream/limit"
)

// Config has the API's settings; zero means the documented default.
type Config struct {
	Region        string         // default us-east-1
	Account       string         // of 12 digits. Default 000000000000
	Delay         time.Duration  // how long streams are CREATING, UPDATING and DELETING; < 0: not at all. Default 500 ms
	ShardLimit    int            // open shards of all streams. Default 10,000
	OnDemandLimit int            // streams whose mode is ON_DEMAND. Default 50
	Log           *slog.Logger   // default: none
	Limits        *limit.Limiter // what callers are held to. Default: nothing
	Events        Events
}

func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Account == "" {
		c.Account = "000000000000"
	}
	switch {
	case c.Delay == 0:
		c.Delay = 500 * time.Millisecond
	case c.Delay < 0:
		c.Delay = 0
	}
	if c.ShardLimit == 0 {
		c.ShardLimit = stream.MaxShards
	}
	if c.OnDemandLimit == 0 {
		c.OnDemandLimit = 50
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Events = c.Events.withDefaults()
	return c
}

// Validate says what of the settings is wrong.
func (c Config) Validate() error {
	c = c.withDefaults()
	if len(c.Account) != 12 || !digits(c.Account) {
		return fmt.Errorf("an account id has 12 digits, not %q", c.Account)
	}
	return nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// API is the operations of Kinesis Data Streams. It is safe for concurrent use.
type API struct {
	streams *stream.Store
	cfg     Config
	tokens  *sealer
	scaling sync.Map // ids of the streams that are scaled in the background

	subscribers subscribers
}

// New returns the API of the streams in a store. The key that it seals iterators with stands in the control store, so
// they outlive a restart.
func New(ctx context.Context, streams *stream.Store, store *control.Store, cfg Config) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	tokens, err := newSealer(ctx, store)
	if err != nil {
		return nil, err
	}
	return &API{streams: streams, cfg: cfg.withDefaults(), tokens: tokens}, nil
}

// Service is the table of the operations.
func (a *API) Service() awsapi.Service {
	return awsapi.Service{Name: "kinesis", Target: "Kinesis_20131202", Operations: []awsapi.Operation{
		void(a, "CreateStream", a.createStream),
		void(a, "DeleteStream", a.deleteStream),
		op(a, "DescribeStream", a.describeStream),
		op(a, "DescribeStreamSummary", a.describeStreamSummary),
		op(a, "ListStreams", a.listStreams),
		opAbout(a, "ListShards", a.aboutShards, a.listShards),
		op(a, "RegisterStreamConsumer", a.registerStreamConsumer),
		voidAbout(a, "DeregisterStreamConsumer", func(in *deregisterStreamConsumerInput) string { return a.aboutConsumer(in.names(), in.ConsumerName) }, a.deregisterStreamConsumer),
		opAbout(a, "DescribeStreamConsumer", func(in *describeStreamConsumerInput) string { return a.aboutConsumer(in.names(), in.ConsumerName) }, a.describeStreamConsumer),
		op(a, "ListStreamConsumers", a.listStreamConsumers),
		void(a, "SplitShard", a.splitShard),
		void(a, "MergeShards", a.mergeShards),
		op(a, "UpdateShardCount", a.updateShardCount),
		void(a, "IncreaseStreamRetentionPeriod", a.increaseStreamRetentionPeriod),
		void(a, "DecreaseStreamRetentionPeriod", a.decreaseStreamRetentionPeriod),
		void(a, "UpdateMaxRecordSize", a.updateMaxRecordSize),
		void(a, "AddTagsToStream", a.addTagsToStream),
		op(a, "ListTagsForStream", a.listTagsForStream),
		void(a, "RemoveTagsFromStream", a.removeTagsFromStream),
		void(a, "TagResource", a.tagResource),
		void(a, "UntagResource", a.untagResource),
		op(a, "ListTagsForResource", a.listTagsForResource),
		void(a, "UpdateStreamMode", a.updateStreamMode),
		op(a, "UpdateStreamWarmThroughput", a.updateStreamWarmThroughput),
		op(a, "DescribeLimits", a.describeLimits),
		op(a, "DescribeAccountSettings", a.describeAccountSettings),
		op(a, "UpdateAccountSettings", a.updateAccountSettings),
		op(a, "EnableEnhancedMonitoring", a.enableEnhancedMonitoring),
		op(a, "DisableEnhancedMonitoring", a.disableEnhancedMonitoring),
		void(a, "PutResourcePolicy", a.putResourcePolicy),
		op(a, "GetResourcePolicy", a.getResourcePolicy),
		void(a, "DeleteResourcePolicy", a.deleteResourcePolicy),
		void(a, "StartStreamEncryption", a.startStreamEncryption),
		void(a, "StopStreamEncryption", a.stopStreamEncryption),
		op(a, "PutRecord", a.putRecord),
		op(a, "PutRecords", a.putRecords),
		op(a, "GetShardIterator", a.getShardIterator),
		op(a, "GetRecords", a.getRecords),
		events(a, "SubscribeToShard", a.subscribeToShard),
	}}
}
