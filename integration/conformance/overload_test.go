//go:build linux

package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/stream/limit"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

const (
	throughput = "ProvisionedThroughputExceededException"
	quick      = 50 * time.Millisecond // within which nearly all refusals come
	times      = 10                    // what is taken is offered
)

// overloadFor is how long an overload lasts; with PENSTOCK_OVERLOAD times and rates are held against what is promised, which
// needs a machine that is not busy with other things.
func overloadFor(t *testing.T) (d time.Duration, timed bool) {
	t.Helper()
	text := os.Getenv("PENSTOCK_OVERLOAD")
	if text == "" {
		return 10 * time.Second, false
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d, true
}

// overloaded is a server that is offered too much, and whose memory is watched.
type overloaded struct {
	*servetest.Server
	sdk  *kinesis.Client
	most atomic.Int64
}

func overload(t *testing.T, flags ...string) *overloaded {
	t.Helper()
	servers.Need(t, "penstock")
	o := &overloaded{Server: servetest.New(t, append(flags, "--state-delay", "0s")...)}
	o.sdk = kinesistest.Client(o.Endpoint, "key", "secret", func(t *http.Transport) { t.MaxIdleConnsPerHost = 1000 })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for core.Pause(ctx, 20*time.Millisecond) == nil {
			if now, err := rss(o.PID()); err == nil {
				o.most.Store(max(o.most.Load(), now))
			}
		}
	}()
	allowed := int64(memory.Default)
	if _, timed := overloadFor(t); !timed {
		allowed += allowed / 10 // a collector that does not get the processor is late
	}
	t.Cleanup(func() {
		stop()
		<-done
		t.Logf("rss=%d MiB at most", o.most.Load()>>20)
		if o.most.Load() > allowed {
			t.Errorf("the server has %d MiB, and %d are allowed", o.most.Load()>>20, allowed>>20)
		}
	})
	return o
}

func (o *overloaded) create(t *testing.T, name string, shards int32) {
	t.Helper()
	_, err := o.sdk.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	require.NoError(t, err)
}

// batch is a request of n records whose keys are spread over all shards.
func batch(name string, n, size int) *kinesis.PutRecordsInput {
	in := &kinesis.PutRecordsInput{StreamName: &name}
	data := make([]byte, size)
	for range n {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprintf("%08x", rand.Uint32())), Data: data}) //nolint:gosec // a test's
	}
	return in
}

// told is what calls of a kind were answered.
type told struct {
	mu     sync.Mutex       // guards what follows
	used   map[string]int64 // of a shard's limit
	wrong  map[string]int64 // codes other than the one that there may be, and how often
	refuse []time.Duration  // how long answers took that refused something
}

func (v *told) add(shard string, n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used[shard] += n
}

// refused notes an answer that refused something, or all.
func (v *told) refused(took time.Duration, codes ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse = append(v.refuse, took)
	for _, c := range codes {
		if c != throughput {
			v.wrong[c]++
		}
	}
}

// call is something that is done too often to shards that have a limit.
type call struct {
	name   string
	rate   int     // calls a second
	limit  float64 // a second, of a shard
	beyond float64 // of a limit that is known to be used up only afterwards
	shards int
	do     func(context.Context, *told) error
	told
}

// press calls at its rate, as long as the answers keep up with it: at most so many calls wait for one.
func (c *call) press(ctx context.Context) error {
	c.used, c.wrong = map[string]int64{}, map[string]int64{}
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	slots := make(chan struct{}, 16)
	tick := time.NewTicker(time.Second / time.Duration(c.rate))
	defer tick.Stop()
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := c.do(context.WithoutCancel(ctx), &c.told); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
}

// check holds what was used against the limit: there is a second's worth to begin with. It returns the least part of its
// limit that a shard took, and how long all but a hundredth of the refusals took.
func (c *call) check(t *testing.T, took time.Duration) (least float64, p99 time.Duration) {
	t.Helper()
	slices.Sort(c.refuse)
	require.NotEmpty(t, c.refuse, "%s: nothing was refused", c.name)
	p99, least = c.refuse[len(c.refuse)*99/100], 1
	for _, n := range c.used {
		require.LessOrEqual(t, float64(n), c.limit*(took.Seconds()+1)+c.beyond, c.name)
		least = min(least, float64(n)/(c.limit*took.Seconds()))
	}
	t.Logf("%s: shards=%d least_share_of_limit=%.3f refusals=%d p50=%s p99=%s", c.name, len(c.used), least, len(c.refuse), c.refuse[len(c.refuse)/2], p99)
	require.Empty(t, c.wrong, c.name)
	require.Len(t, c.used, c.shards, c.name)
	return least, p99
}

// putMany puts a batch.
func (o *overloaded) putMany(name string, n, size int, cost func(types.PutRecordsRequestEntry) int64) func(context.Context, *told) error {
	return func(ctx context.Context, v *told) error {
		in, began := batch(name, n, size), time.Now()
		out, err := o.sdk.PutRecords(ctx, in)
		took := time.Since(began)
		if err != nil {
			return fmt.Errorf("put records: %w", err)
		}
		var codes []string
		for i, r := range out.Records {
			if r.ErrorCode == nil {
				v.add(*r.ShardId, cost(in.Records[i]))
			} else {
				codes = append(codes, *r.ErrorCode)
			}
		}
		if len(codes) != int(*out.FailedRecordCount) {
			return fmt.Errorf("%d records failed, and %d are said to have", len(codes), *out.FailedRecordCount)
		}
		if len(codes) > 0 {
			v.refused(took, codes...)
		}
		return nil
	}
}

// putOne puts a record.
func (o *overloaded) putOne(name string) func(context.Context, *told) error {
	return func(ctx context.Context, v *told) error {
		r, began := batch(name, 1, 10).Records[0], time.Now()
		out, err := o.sdk.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: r.PartitionKey, Data: r.Data})
		if err == nil {
			v.add(*out.ShardId, 1)
			return nil
		}
		v.refused(time.Since(began), code(err))
		return nil
	}
}

// get reads a shard from its beginning, again and again.
func (o *overloaded) get(name string, cost func(*kinesis.GetRecordsOutput) int64) func(context.Context, *told) error {
	var mu sync.Mutex // guards what follows
	var it *string
	var made time.Time
	const shard = "shardId-000000000000"
	return func(ctx context.Context, v *told) error {
		mu.Lock()
		if time.Since(made) > time.Minute { // it does not last
			var err error
			if it, err = iterator(ctx, o.sdk, name, shard); err != nil {
				mu.Unlock()
				return err
			}
			made = time.Now()
		}
		mine := it
		mu.Unlock()
		began := time.Now()
		out, err := o.sdk.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: mine})
		if err != nil {
			v.refused(time.Since(began), code(err))
			return nil
		}
		v.add(shard, cost(out))
		return nil
	}
}

// TestQuotasUnderOverload offers a server ten times what shards take in a second, of each limit. What is beyond is refused
// with the exception of AWS, by PutRecords for each record, and no more is taken. PENSTOCK_OVERLOAD says for how long, such
// as 5m.
func TestQuotasUnderOverload(t *testing.T) {
	d, timed := overloadFor(t)
	o := overload(t, "--limits", "aws")
	const large, stored = 50 << 10, 2 * 19
	for name, shards := range map[string]int32{"records": 4, "bytes": 2, "calls": 1, "read": 1} {
		o.create(t, name, shards)
	}
	for range 2 {
		out, err := o.sdk.PutRecords(t.Context(), batch("read", stored/2, large))
		require.NoError(t, err)
		require.Zero(t, *out.FailedRecordCount)
		require.NoError(t, core.Pause(t.Context(), 2*time.Second))
	}
	many, one := o.putMany("records", 500, 20, func(types.PutRecordsRequestEntry) int64 { return 1 }), o.putOne("records")
	calls := []*call{
		{name: "records", rate: times*4*limit.WriteRecords/500 + 20, limit: limit.WriteRecords, shards: 4, do: func(ctx context.Context, v *told) error {
			if rand.IntN(5) == 0 { //nolint:gosec // a test's
				return one(ctx, v)
			}
			return many(ctx, v)
		}},
		{name: "bytes", rate: times * 2, limit: limit.WriteBytes, shards: 2, do: o.putMany("bytes", 20, large, func(r types.PutRecordsRequestEntry) int64 {
			return int64(len(*r.PartitionKey) + len(r.Data))
		})},
		{name: "reads", rate: times * limit.ReadCalls, limit: limit.ReadCalls, shards: 1, do: o.get("calls", func(*kinesis.GetRecordsOutput) int64 { return 1 })},
		{name: "bytes read", rate: times, limit: limit.ReadBytes, beyond: stored * (large + 100), shards: 1, do: o.get("read", func(out *kinesis.GetRecordsOutput) (n int64) {
			for _, r := range out.Records {
				n += int64(len(*r.PartitionKey) + len(r.Data))
			}
			return n
		})},
	}
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	var g errgroup.Group
	began := time.Now()
	for _, c := range calls {
		g.Go(func() error { return c.press(ctx) })
	}
	require.NoError(t, g.Wait())
	took := time.Since(began)
	least, p99 := 1.0, time.Duration(0)
	for _, c := range calls {
		share, slow := c.check(t, took)
		least, p99 = min(least, share), max(p99, slow)
	}
	t.Logf("campaign=overload quotas seconds=%.0f rss_mib=%d beyond=0 wrong=0", took.Seconds(), o.most.Load()>>20)
	if timed {
		require.GreaterOrEqual(t, least, 0.9)
		require.Less(t, p99, quick)
	}
}

// TestMoreThanTheMachineTakes has ten times the clients put that a server is fully used by, all requests of a MiB: it takes
// as much as before, and no more memory than it may have.
func TestMoreThanTheMachineTakes(t *testing.T) {
	d, timed := overloadFor(t)
	o := overload(t)
	const few, windows = 16, 5
	window := d / (2 * windows)
	var peak, beset []float64
	for i := range windows {
		peak = append(peak, o.window(t, fmt.Sprintf("few-%d", i), few, window/4))
		beset = append(beset, o.window(t, fmt.Sprintf("many-%d", i), times*few, window))
	}
	t.Logf("MiB/s of %d clients: %.1f, of %d: %.1f", few, peak, times*few, beset)
	slices.Sort(peak)
	slices.Sort(beset)
	share := beset[windows/2] / peak[windows/2]
	t.Logf("campaign=overload machine windows=%d share_of_peak=%.2f rss_mib=%d", windows, share, o.most.Load()>>20)
	if timed {
		require.GreaterOrEqual(t, share, 0.9)
	}
}

// window has clients put to a stream of its own, each one request after another, and returns the MiB a second that were
// acknowledged. What is not, is refused by a status that clients try again, or cut: the refusal came before the request was
// sent, and the client's transport failed to send what nobody reads any more, which clients try again too.
func (o *overloaded) window(t *testing.T, name string, clients int, d time.Duration) float64 {
	t.Helper()
	o.create(t, name, 4)
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	in := batch(name, 500, 2<<10)
	var acked, refused, cut atomic.Int64
	var g errgroup.Group
	began := time.Now()
	for range clients {
		g.Go(func() error {
			for ctx.Err() == nil {
				out, err := o.sdk.PutRecords(t.Context(), in)
				var status interface{ HTTPStatusCode() int }
				switch {
				case err == nil:
					if *out.FailedRecordCount > 0 {
						return fmt.Errorf("%d records failed", *out.FailedRecordCount)
					}
					acked.Add(1)
				case !errors.As(err, &status):
					return err
				case status.HTTPStatusCode() == http.StatusServiceUnavailable, code(err) == throughput:
					refused.Add(1)
				case status.HTTPStatusCode() == 0:
					cut.Add(1)
				default:
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	took := time.Since(began)
	_, err := o.sdk.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: &name})
	require.NoError(t, err)
	require.Positive(t, acked.Load())
	t.Logf("%s: acknowledged=%d refused=%d cut=%d", name, acked.Load(), refused.Load(), cut.Load())
	return float64(acked.Load()) * 500 * (2 << 10) / (1 << 20) / took.Seconds()
}
