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
)

// Config has the API's settings; zero means the documented default.
type Config struct {
	Region        string        // default us-east-1
	Account       string        // of 12 digits. Default 000000000000
	Delay         time.Duration // how long streams are CREATING, UPDATING and DELETING; < 0: not at all. Default 500 ms
	ShardLimit    int           // open shards of all streams. Default 10,000
	OnDemandLimit int           // streams whose mode is ON_DEMAND. Default 50
	Log           *slog.Logger  // default: none
}

func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Account == "" {
		c.Account = "000000000000"
	}
	if c.Delay == 0 {
		c.Delay = 500 * time.Millisecond
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
		awsapi.Void("CreateStream", a.createStream),
		awsapi.Void("DeleteStream", a.deleteStream),
		awsapi.Op("DescribeStream", a.describeStream),
		awsapi.Op("DescribeStreamSummary", a.describeStreamSummary),
		awsapi.Op("ListStreams", a.listStreams),
		awsapi.Op("ListShards", a.listShards),
		awsapi.Op("RegisterStreamConsumer", a.registerStreamConsumer),
		awsapi.Void("DeregisterStreamConsumer", a.deregisterStreamConsumer),
		awsapi.Op("DescribeStreamConsumer", a.describeStreamConsumer),
		awsapi.Op("ListStreamConsumers", a.listStreamConsumers),
		awsapi.Void("SplitShard", a.splitShard),
		awsapi.Void("MergeShards", a.mergeShards),
		awsapi.Op("UpdateShardCount", a.updateShardCount),
		awsapi.Void("IncreaseStreamRetentionPeriod", a.increaseStreamRetentionPeriod),
		awsapi.Void("DecreaseStreamRetentionPeriod", a.decreaseStreamRetentionPeriod),
		awsapi.Void("UpdateMaxRecordSize", a.updateMaxRecordSize),
		awsapi.Void("AddTagsToStream", a.addTagsToStream),
		awsapi.Op("ListTagsForStream", a.listTagsForStream),
		awsapi.Void("RemoveTagsFromStream", a.removeTagsFromStream),
		awsapi.Void("TagResource", a.tagResource),
		awsapi.Void("UntagResource", a.untagResource),
		awsapi.Op("ListTagsForResource", a.listTagsForResource),
		awsapi.Void("UpdateStreamMode", a.updateStreamMode),
		awsapi.Op("UpdateStreamWarmThroughput", a.updateStreamWarmThroughput),
		awsapi.Op("DescribeLimits", a.describeLimits),
		awsapi.Op("DescribeAccountSettings", a.describeAccountSettings),
		awsapi.Op("UpdateAccountSettings", a.updateAccountSettings),
		awsapi.Op("EnableEnhancedMonitoring", a.enableEnhancedMonitoring),
		awsapi.Op("DisableEnhancedMonitoring", a.disableEnhancedMonitoring),
		awsapi.Void("PutResourcePolicy", a.putResourcePolicy),
		awsapi.Op("GetResourcePolicy", a.getResourcePolicy),
		awsapi.Void("DeleteResourcePolicy", a.deleteResourcePolicy),
		awsapi.Op("PutRecord", a.putRecord),
		awsapi.Op("PutRecords", a.putRecords),
		awsapi.Op("GetShardIterator", a.getShardIterator),
		awsapi.Op("GetRecords", a.getRecords),
		awsapi.Events("SubscribeToShard", a.subscribeToShard),
	}}
}
