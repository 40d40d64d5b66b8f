//go:build linux

package conformance

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"os"
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
	"github.com/penstock/penstock/integration/servetest"
)

const (
	producers = 64
	keysEach  = 4
)

// TestOrderThroughReshards has 64 producers put through the API while the stream's shards are split and merged, and a
// reader follow parents to children: the records of a partition key come in the order in which they were put, sequence
// numbers rise in each shard and along each key, and every acknowledged record is read once. PENSTOCK_ORDER_RECORDS says
// how many records.
func TestOrderThroughReshards(t *testing.T) {
	records := 20_000
	if os.Getenv("REQUIRE_INTEGRATION") == "1" {
		records = 100_000
	}
	each := setting(t, "PENSTOCK_ORDER_RECORDS", records)/producers + 1
	reshards := max(6, each*producers/50_000)
	s := servetest.New(t, "--state-delay", "0s")
	o := &ordered{
		sdk:  kinesistest.Client(s.Endpoint, "key", "secret", func(t *http.Transport) { t.MaxIdleConnsPerHost = 2 * producers }),
		name: "ordered", acks: make([][]uint64, producers), follower: follower{reads: make([][]uint64, producers)},
	}
	for p := range producers {
		o.acks[p], o.reads[p] = make([]uint64, each), make([]uint64, each)
	}
	_, err := o.sdk.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &o.name, ShardCount: aws.Int32(2)})
	require.NoError(t, err)
	readers, reading := errgroup.WithContext(t.Context())
	o.follow(reading, readers, "shardId-000000000000")
	o.follow(reading, readers, "shardId-000000000001")
	writers, ctx := errgroup.WithContext(reading) // a reader that fails ends all
	for p := range producers {
		writers.Go(func() error { return o.produce(ctx, p) })
	}
	writers.Go(func() error { return o.reshard(ctx, reshards) })
	err = writers.Wait()
	o.over.Store(true)
	require.NoError(t, readers.Wait())
	require.NoError(t, err)
	missing, acked := o.compare()
	t.Logf("acknowledged=%d refused=%d shards=%d", acked, int64(each*producers)-acked, len(o.begun))
	t.Logf("campaign=order records=%d reshards=%d missing=%d extra=%d inversions=%d", each*producers, reshards, missing, o.extra, o.inversions+o.ackInversions.Load())
	require.Zero(t, missing)
	require.Zero(t, o.extra)
	require.Zero(t, o.inversions+o.ackInversions.Load())
	require.Positive(t, acked)
}

// ordered is a stream that is put to, and what its producers and its reader were told.
type ordered struct {
	sdk           *kinesis.Client
	name          string
	put           atomic.Int64
	acks          [][]uint64 // of each record of each producer: where it is; 0 without an acknowledgement
	ackInversions atomic.Int64
	over          atomic.Bool // nothing more is put
	follower
}

// follower is what a reader of the whole stream has seen.
type follower struct {
	mu         sync.Mutex          // guards what follows
	begun      map[string]bool     // shards
	done       map[string]bool     //
	reads      [][]uint64          // as acks
	last       map[string]keyState // by partition key
	extra      int64
	inversions int64
}

type keyState struct {
	n   int
	seq core.SequenceNumber
}

var places = maphash.MakeSeed()

// where is the place of a record in a stream, never 0.
func where(shard, seq string) uint64 { return maphash.String(places, shard+seq) | 1 }

// produce puts the records of a producer, of a few keys; their numbers rise.
func (o *ordered) produce(ctx context.Context, p int) error {
	rng := rand.New(rand.NewPCG(1, uint64(p))) //nolint:gosec // not negative
	last := map[string]core.SequenceNumber{}
	for n := 0; n < len(o.acks[p]); {
		in := &kinesis.PutRecordsInput{StreamName: &o.name}
		for range min(1+rng.IntN(500), len(o.acks[p])-n) {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{
				PartitionKey: aws.String(fmt.Sprintf("%d-%d", p, rng.IntN(keysEach))), Data: fmt.Appendf(nil, "%d %d", p, n+len(in.Records)),
			})
		}
		out, err := o.sdk.PutRecords(ctx, in)
		if err != nil {
			return fmt.Errorf("put: %w", err)
		}
		for i, r := range out.Records {
			if r.SequenceNumber == nil {
				continue
			}
			o.acks[p][n+i] = where(*r.ShardId, *r.SequenceNumber)
			key, seq := *in.Records[i].PartitionKey, core.SequenceNumber(*r.SequenceNumber)
			if seq.Compare(last[key]) <= 0 {
				o.ackInversions.Add(1)
			}
			last[key] = seq
		}
		n += len(in.Records)
		o.put.Add(int64(len(in.Records)))
	}
	return nil
}

// reshard splits and merges, spread over the puts.
func (o *ordered) reshard(ctx context.Context, times int) error {
	rng := rand.New(rand.NewPCG(1, 99))
	all := int64(len(o.acks) * len(o.acks[0]))
	for i := range times {
		for o.put.Load() < int64(i)*all/int64(times+1) {
			if err := core.Pause(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		if err := reshard(ctx, o.sdk, o.name, 12, rng); err != nil {
			return fmt.Errorf("reshard: %w", err)
		}
	}
	return nil
}

// follow begins to read a shard.
func (o *ordered) follow(ctx context.Context, g *errgroup.Group, shard string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.begun == nil {
		o.begun, o.done, o.last = map[string]bool{}, map[string]bool{}, map[string]keyState{}
	}
	if !o.begun[shard] {
		o.begun[shard] = true
		g.Go(func() error { return o.read(ctx, g, shard) })
	}
}

// read reads a shard to its end, and goes on with those of its children whose parents are all read.
func (o *ordered) read(ctx context.Context, g *errgroup.Group, shard string) error {
	it, err := iterator(ctx, o.sdk, o.name, shard)
	if err != nil {
		return fmt.Errorf("read %s: %w", shard, err)
	}
	s := shardState{shard: shard}
	for {
		over := o.over.Load()
		out, err := o.sdk.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return fmt.Errorf("read %s: %w", shard, err)
		}
		o.note(&s, out.Records)
		if it = out.NextShardIterator; it == nil {
			o.ended(ctx, g, shard, out.ChildShards)
			return nil
		}
		if len(out.Records) > 0 {
			continue
		}
		if over {
			return nil
		}
		if err := core.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func (o *ordered) ended(ctx context.Context, g *errgroup.Group, shard string, children []types.ChildShard) {
	o.mu.Lock()
	o.done[shard] = true
	var ready []string
	for _, c := range children {
		whole := true
		for _, p := range c.ParentShards {
			whole = whole && o.done[p]
		}
		if whole {
			ready = append(ready, *c.ShardId)
		}
	}
	o.mu.Unlock()
	for _, c := range ready {
		o.follow(ctx, g, c)
	}
}

// shardState is what was read last of a shard.
type shardState struct {
	shard   string
	seq     core.SequenceNumber
	arrival time.Time
}

// note checks records of a shard against those that came before.
func (f *follower) note(s *shardState, records []types.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range records {
		seq := core.SequenceNumber(*r.SequenceNumber)
		var p, n int
		if _, err := fmt.Sscan(string(r.Data), &p, &n); err != nil || p >= len(f.reads) || n >= len(f.reads[p]) || f.reads[p][n] != 0 {
			f.extra++ // never put, or read before
			continue
		}
		f.reads[p][n] = where(s.shard, *r.SequenceNumber)
		before, ok := f.last[*r.PartitionKey]
		if ok && (n <= before.n || seq.Compare(before.seq) <= 0) || seq.Compare(s.seq) <= 0 || r.ApproximateArrivalTimestamp.Before(s.arrival) {
			f.inversions++
		}
		f.last[*r.PartitionKey], s.seq, s.arrival = keyState{n, seq}, seq, *r.ApproximateArrivalTimestamp
	}
}

// compare holds what was acknowledged against what was read.
func (o *ordered) compare() (missing, acked int64) {
	for p := range o.acks {
		for n, at := range o.acks[p] {
			switch read := o.reads[p][n]; {
			case at == 0 && read != 0: // it was refused
				o.extra++
			case at != read:
				missing++
			}
			if at != 0 {
				acked++
			}
		}
	}
	return missing, acked
}
