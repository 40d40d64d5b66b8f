package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/consumer"
	"github.com/penstock/penstock/connectors/kpl/kpltest"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// open makes a data directory with a stream.
func open(t *testing.T, shards int) (*pipelines.Node, *stream.Stream) {
	t.Helper()
	n, err := pipelines.OpenNode(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	_, err = n.Streams.Create(t.Context(), "s", stream.Settings{Shards: shards})
	require.NoError(t, err)
	s, err := n.Streams.Open(t.Context(), "s")
	require.NoError(t, err)
	return n, s
}

// fill puts records n, n+1 and so on.
func fill(t *testing.T, s *stream.Stream, from, to int) {
	t.Helper()
	for i := from; i < to; i += 100 {
		var batch []stream.Record
		for k := i; k < min(to, i+100); k++ {
			batch = append(batch, stream.Record{Key: fmt.Sprint("key-", k%10), Data: []byte(strconv.Itoa(k))})
		}
		out, err := s.Put(t.Context(), batch)
		require.NoError(t, err)
		for _, r := range out {
			require.NoError(t, r.Err)
		}
	}
}

// table is a database that has rows and, in one transaction with them, through which record of each shard they go.
type table struct {
	mu      sync.Mutex // guards all
	rows    map[int]int
	last    map[string]int // of each key
	through map[string]core.SequenceNumber
	again   int // batches that were there
	by      map[string]int
}

func newTable() *table {
	return &table{rows: map[int]int{}, last: map[string]int{}, through: map[string]core.SequenceNumber{}, by: map[string]int{}}
}

// add is what docs/consumer.md says how to do.
func (d *table) add(who string, b consumer.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, known := d.through[b.Key()]
	if known && at == b.Through {
		d.again++
		return nil
	}
	if known && at != b.From {
		return fmt.Errorf("%s stands at %s, the batch begins at %s", b.Key(), at, b.From)
	}
	n := 0
	for r := range b.Records() {
		v, err := strconv.Atoi(string(r.Data))
		if err != nil {
			return err
		}
		if last, ok := d.last[r.Key]; ok && last >= v {
			return connectors.Permanent(fmt.Errorf("%d of %s comes after %d", v, r.Key, last))
		}
		d.last[r.Key] = v
		d.rows[v]++
		n++
	}
	if n != b.Len() {
		return connectors.Permanent(fmt.Errorf("%d records, Len says %d", n, b.Len()))
	}
	d.through[b.Key()] = b.Through
	d.by[who] += n
	return nil
}

// whole fails the test unless the rows 0 to n-1 are there once each.
func (d *table) whole(t *testing.T, n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Len(t, d.rows, n)
	for v, times := range d.rows {
		require.Equal(t, 1, times, v)
	}
}

func (d *table) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.rows)
}

func config(n *pipelines.Node, s *stream.Stream, process func(context.Context, consumer.Batch) error) consumer.Config {
	return consumer.Config{
		Name: "c", Source: streamsource.New(s), Store: n.Control, UntilCaughtUp: true, Lease: lease.Config{Exclusive: true}, Process: process,
	}
}

func run(t *testing.T, c consumer.Config) error {
	t.Helper()
	w, err := consumer.New(c)
	require.NoError(t, err)
	return w.Run(t.Context())
}

// TestOrderSurvivesSplitsAndMerges: what came to a parent is done before its children's first batch.
func TestOrderSurvivesSplitsAndMerges(t *testing.T) {
	n, s := open(t, 1)
	fill(t, s, 0, 1000)
	children, err := s.Split(t.Context(), core.NewShardID(0), nil)
	require.NoError(t, err)
	fill(t, s, 1000, 2000)
	_, err = s.Merge(t.Context(), children[0].ID, children[1].ID)
	require.NoError(t, err)
	fill(t, s, 2000, 3000)
	d := newTable()
	var order []core.ShardID
	c := config(n, s, func(_ context.Context, b consumer.Batch) error {
		order = append(order, b.Shard)
		return d.add("", b)
	})
	c.Batch.MaxRecords = 300
	require.NoError(t, run(t, c))
	d.whole(t, 3000)
	require.Equal(t, core.NewShardID(0), order[0])
	require.Equal(t, core.NewShardID(3), order[len(order)-1])
}

// TestABatchComesAgainAsItWas stops a consumer in the middle of a batch: the next one, which would read more at once, is
// given that batch first, unchanged.
func TestABatchComesAgainAsItWas(t *testing.T) {
	n, s := open(t, 1)
	fill(t, s, 0, 500)
	var first, second []consumer.Batch
	var values [2][]string
	note := func(k int, b consumer.Batch) {
		for r := range b.Records() {
			values[k] = append(values[k], string(r.Data))
		}
		b.Arrow = nil // borrowed
		if k == 0 {
			first = append(first, b)
		} else {
			second = append(second, b)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	c := config(n, s, func(ctx context.Context, b consumer.Batch) error {
		note(0, b)
		stop()
		<-ctx.Done()
		return ctx.Err()
	})
	c.Drain = 100 * time.Millisecond
	w, err := consumer.New(c)
	require.NoError(t, err)
	require.ErrorIs(t, w.Run(ctx), connectors.ErrNotDrained)

	fill(t, s, 500, 1000)
	require.NoError(t, run(t, config(n, s, func(_ context.Context, b consumer.Batch) error {
		note(1, b)
		return nil
	})))
	require.Len(t, first, 1)
	require.Equal(t, first[0], second[0])
	require.Equal(t, values[0], values[1][:len(values[0])])
	require.Len(t, values[1], 1000)
	require.Equal(t, first[0].Through, second[1].From)
}

// TestWhatIsDoneOfABatchOfSeveralShardsIsNotDoneAgain: the error of one shard has that one tried again.
func TestWhatIsDoneOfSeveralShardsIsNotDoneAgain(t *testing.T) {
	n, s := open(t, 4)
	fill(t, s, 0, 1000)
	d := newTable()
	failed := map[core.ShardID]int{}
	var mu sync.Mutex
	c := config(n, s, func(_ context.Context, b consumer.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		if failed[b.Shard]++; b.Shard == core.NewShardID(2) && failed[b.Shard] < 3 {
			return errors.New("not now")
		}
		return d.add("", b)
	})
	c.Parallel = 4
	retried := 0
	c.Events = &connectors.Events{Retry: func(string, int, time.Duration, error) { retried++ }}
	require.NoError(t, run(t, c))
	d.whole(t, 1000)
	require.Zero(t, d.again)
	require.Equal(t, 2, retried)

	require.ErrorContains(t, run(t, func() consumer.Config {
		fill(t, s, 1000, 1100)
		return config(n, s, func(context.Context, consumer.Batch) error { return connectors.Permanent(errors.New("never")) })
	}()), "never")
	require.NoError(t, run(t, config(n, s, func(_ context.Context, b consumer.Batch) error { return d.add("", b) })))
	d.whole(t, 1100)
}

// TestWorkersShareShards has a second worker come and the first one go while records come in.
func TestWorkersShareShards(t *testing.T) {
	n, s := open(t, 4)
	d := newTable()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	work := func(who string) (leave func()) {
		wctx, leave := context.WithCancel(ctx)
		c := config(n, s, func(_ context.Context, b consumer.Batch) error { return d.add(who, b) })
		c.UntilCaughtUp, c.Lease = false, lease.Config{Failover: 2 * time.Second}
		c.Batch.MaxAge = connectors.Duration(100 * time.Millisecond)
		w, err := consumer.New(c)
		require.NoError(t, err)
		all.Go(func() {
			if err := w.Run(wctx); err != nil {
				t.Error(err)
			}
		})
		return leave
	}
	leave := work("a")
	total := 0
	more := func(enough func() bool) {
		t.Helper()
		for until := time.Now().Add(time.Minute); !enough(); {
			require.True(t, time.Now().Before(until), "%v", d.by)
			fill(t, s, total, total+100)
			total += 100
			time.Sleep(50 * time.Millisecond)
		}
	}
	did := func(who string) int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.by[who]
	}
	more(func() bool { return did("a") > 0 })
	work("b")
	more(func() bool { return did("b") > 0 })
	leave()
	was := did("b")
	more(func() bool { return did("b") > was+100 })
	require.Eventually(t, func() bool { return d.count() == total }, time.Minute, 50*time.Millisecond)
	stop()
	all.Wait()
	d.whole(t, total)
	require.Equal(t, []string{"a", "b"}, slices.Sorted(maps.Keys(d.by)))
}

// TestPackedRecordsAreTakenApart, and numbered within their record, unless that is not wanted.
func TestPackedRecordsAreTakenApart(t *testing.T) {
	n, s := open(t, 1)
	packed := kpltest.Pack(kpltest.User{Key: "a", Data: "1"}, kpltest.User{Key: "b", Data: "2"})
	_, err := s.Put(t.Context(), []stream.Record{{Key: "k", Data: packed}})
	require.NoError(t, err)
	var got []consumer.Record
	note := func(_ context.Context, b consumer.Batch) error {
		for r := range b.Records() {
			got = append(got, consumer.Record{Sub: r.Sub, Key: r.Key, Data: slices.Clone(r.Data)})
		}
		return nil
	}
	require.NoError(t, run(t, config(n, s, note)))
	require.Equal(t, []consumer.Record{{Key: "a", Data: []byte("1")}, {Sub: 1, Key: "b", Data: []byte("2")}}, got)

	got = nil
	c := config(n, s, note)
	c.Name, c.Deaggregate = "whole", connectors.UnpackNone
	require.NoError(t, run(t, c))
	require.Equal(t, []consumer.Record{{Key: "k", Data: packed}}, got)
}

func TestAWrongConfigurationIsSaid(t *testing.T) {
	_, err := consumer.New(consumer.Config{Name: "No", Parallel: -1})
	require.ErrorIs(t, err, core.ErrInvalid)
	require.ErrorContains(t, err, `name "No"`)
	require.ErrorContains(t, err, "want a Source")
	require.ErrorContains(t, err, "Parallel")
}

// TestABatchIsNeverPassedOver: Process looks something up in another stream, of which records have expired; the next try would do.
func TestABatchIsNeverPassedOver(t *testing.T) {
	n, s := open(t, 1)
	fill(t, s, 0, 100)
	d, tries := newTable(), 0
	err := run(t, config(n, s, func(_ context.Context, b consumer.Batch) error {
		if tries++; tries == 1 {
			return fmt.Errorf("look up in the other stream: %w", shardlog.ErrTrimmed)
		}
		return d.add("a", b)
	}))
	require.NoError(t, err)
	d.whole(t, 100)
}
