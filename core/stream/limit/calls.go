package limit

import "time"

// allowed is how many calls of an operation may be made in a second.
type allowed struct {
	calls  float64
	stream bool // of each stream; else of all together
}

// operations are those whose calls Kinesis counts, as its service model and its table of quotas say; those of records and
// of iterators are counted by shard.
var operations = map[string]allowed{
	"AddTagsToStream":               {5, false},
	"CreateStream":                  {5, false},
	"DecreaseStreamRetentionPeriod": {5, true},
	"DeleteResourcePolicy":          {5, false},
	"DeleteStream":                  {5, false},
	"DeregisterStreamConsumer":      {5, true},
	"DescribeAccountSettings":       {5, false},
	"DescribeLimits":                {1, false},
	"DescribeStream":                {10, false},
	"DescribeStreamConsumer":        {20, true},
	"DescribeStreamSummary":         {20, false},
	"DisableEnhancedMonitoring":     {5, true},
	"EnableEnhancedMonitoring":      {5, true},
	"GetResourcePolicy":             {5, false},
	"IncreaseStreamRetentionPeriod": {5, true},
	"ListShards":                    {1000, true},
	"ListStreamConsumers":           {5, true},
	"ListStreams":                   {5, false},
	"ListTagsForStream":             {5, false},
	"MergeShards":                   {5, false},
	"PutResourcePolicy":             {5, false},
	"RegisterStreamConsumer":        {5, false},
	"RemoveTagsFromStream":          {5, false},
	"SplitShard":                    {5, false},
	"UpdateAccountSettings":         {5, false},
	"UpdateShardCount":              {10, false},
	"UpdateStreamWarmThroughput":    {5, false},
}

// callKey is an operation, and the stream that it is about where each has its own share.
type callKey struct{ operation, stream string }

// Counts reports whether calls of an operation are counted.
func (l *Limiter) Counts(operation string) bool {
	_, ok := operations[operation]
	return ok && l != nil
}

// Call takes one call of an operation about a stream, whatever that is called. ok is false where it had its share of this
// second; ofStream says whether that was the stream's or everybody's.
func (l *Limiter) Call(operation, stream string) (ofStream, ok bool) {
	if !l.Counts(operation) {
		return false, true
	}
	limit := operations[operation]
	key := callKey{operation: operation}
	if limit.stream {
		key.stream = stream
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	b := l.calls[key]
	if b == nil {
		l.sweep(now)
		full := newBucket(limit.calls*l.factor, now)
		b = &full
		l.calls[key] = b
	}
	b.fill(now)
	if ok = b.has(1); ok {
		b.use(1)
	}
	return limit.stream, ok
}
