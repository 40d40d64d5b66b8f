//go:build unix

package workers

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestWorkersComeAndGo has workers over a stream, while whatever can happen to workers, networks, shards and servers happens.
// PENSTOCK_WORKER_FAULTS says how often.
func TestWorkersComeAndGo(t *testing.T) {
	servers.Need(t, "server and workers")
	faults := 7
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_WORKER_FAULTS")); err == nil {
		faults = n
	}
	for seed, c := range []struct{ source, state, sink string }{
		{"penstock", "server", "minio"}, {"penstock", "postgres", "folder"}, {"kinesis-local", "postgres", "minio"},
	} {
		t.Run(c.source+", state in "+c.state+", to "+c.sink, func(t *testing.T) {
			source := sourceFor(t, c.source)
			state, restart := source.endpoint, source.restart
			if c.state == "postgres" {
				state, restart = database(t)
			}
			dir := t.TempDir()
			lake := lake(folder(filepath.Join(dir, "lake")))
			if c.sink == "minio" {
				lake = newBucket(t)
			}
			f := newFleet(t, dir, source.pipeline(lake), state, lake)
			f.campaign(source, faults, seed, restart)
		})
	}
}

// campaign lets faults happen while records are put, and looks what became of these.
func (f *fleet) campaign(source source, faults, seed int, restart func()) {
	f.t.Helper()
	p, lake := &producer{client: source.client, acked: map[string]bool{}, doubt: map[string]bool{}}, watch(f.lake)
	for range 4 {
		f.add()
	}
	stop := p.keep(f.t)
	happened := map[string]int{}
	rng := rand.New(rand.NewPCG(uint64(seed), 7)) //nolint:gosec // faults that can be had again
	for range faults {
		happened[f.happen(source.client, rng, restart)]++
		time.Sleep(time.Duration(rng.Int64N(int64(2 * f.failover)))) // less and more than the failover time
		f.healthy()
	}
	stop()
	f.finish(p, lake, fmt.Sprintf("campaign=workers faults=%d %v", faults, happened))
}

// TestARunUntilCaughtUpTakesOverFromTheDead has a worker die with all shards, and another one deliver what is left and end.
func TestARunUntilCaughtUpTakesOverFromTheDead(t *testing.T) {
	servers.Need(t, "server and workers")
	source, dir := sourceFor(t, "penstock"), t.TempDir()
	lake := folder(filepath.Join(dir, "lake"))
	f := newFleet(t, dir, source.pipeline(lake), source.endpoint, lake)
	p, come := &producer{client: source.client, acked: map[string]bool{}, doubt: map[string]bool{}}, watch(lake)
	f.add()
	p.put(t.Context(), 500)
	require.Eventually(t, func() bool { return len(come.look(t)) == p.count() }, time.Minute, 100*time.Millisecond, "%s", f.logs())
	f.kill(0)
	p.put(t.Context(), 500)
	f.run("run", "p.yaml", "--state", f.state.String(), "--until-caught-up", "--failover", f.failover.String())
	require.Len(t, come.look(t), 1000)
	p.judge(t, come.rows)
}

// TestFrozenWorkersChangeNothing freezes two of four workers until others have their shards, and lets them go on, again and
// again: what they were about to do must not be done. PENSTOCK_PAUSES says how often a worker is frozen.
func TestFrozenWorkersChangeNothing(t *testing.T) {
	servers.Need(t, "server and workers")
	pauses := 6
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_PAUSES")); err == nil {
		pauses = n
	}
	source, dir := sourceFor(t, "penstock"), t.TempDir()
	lake := folder(filepath.Join(dir, "lake"))
	f := newFleet(t, dir, source.pipeline(lake), source.endpoint, lake)
	f.failover, f.flags = time.Second, []string{"--log-level", "debug"}
	p, come := &producer{client: source.client, acked: map[string]bool{}, doubt: map[string]bool{}}, watch(lake)
	for range 4 {
		f.add()
	}
	stop := p.keep(t)
	rng := rand.New(rand.NewPCG(1, 8)) //nolint:gosec // pauses that can be had again
	for frozen := 0; frozen < pauses; frozen += 2 {
		two := rng.Perm(4)[:2]
		time.Sleep(f.failover/2 + rand.N(f.failover)) //nolint:gosec // in whatever they do
		for _, i := range two {
			f.freeze(i)
		}
		time.Sleep(f.failover*3/2 + rand.N(f.failover)) //nolint:gosec // longer than what others wait
		for _, i := range two {
			f.thaw(f.all[i])
		}
		f.healthy()
	}
	stop()
	taken := strings.Count(f.said(), "state=lost")
	require.Positive(t, taken, "no shard was taken from a frozen worker")
	f.finish(p, come, fmt.Sprintf("campaign=pauses pauses=%d leases_lost=%d", pauses, taken))
}

// happen makes something happen, and says what.
func (f *fleet) happen(c *kinesis.Client, rng *rand.Rand, restart func()) string {
	i := rng.IntN(len(f.all))
	switch n := rng.IntN(100); {
	case len(f.all) < 2 || n < 20 && len(f.all) < 6:
		f.add()
		return "added"
	case n < 40:
		f.kill(i)
		return "killed"
	case n < 58:
		f.freeze(i)
		return "frozen"
	case n < 72:
		f.cut(i)
		return "cut off"
	case n < 80:
		f.stop(i)
		return "stopped"
	case n < 86:
		restart()
		return "restarted"
	}
	return reshard(f.t, c, rng)
}

// reshard splits a shard, or merges two that lie beside each other.
func reshard(t *testing.T, c *kinesis.Client, rng *rand.Rand) string {
	t.Helper()
	name := aws.String("clicks")
	out, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: name})
	require.NoError(t, err)
	var open []types.Shard
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	first := func(s types.Shard) *big.Int { return number(t, *s.HashKeyRange.StartingHashKey) }
	slices.SortFunc(open, func(a, b types.Shard) int { return first(a).Cmp(first(b)) })
	i, what := rng.IntN(len(open)-1), "split"
	if rng.IntN(2) == 0 && len(open) > shards/2 {
		what = "merged"
		_, err = c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: name, ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId})
	} else {
		middle := new(big.Int).Add(first(open[i]), number(t, *open[i].HashKeyRange.EndingHashKey))
		_, err = c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: name, ShardToSplit: open[i].ShardId, NewStartingHashKey: aws.String(middle.Rsh(middle, 1).String())})
	}
	if used := (*types.ResourceInUseException)(nil); !errors.As(err, &used) { // the one before is under way
		require.NoError(t, err)
	}
	return what
}

func number(t *testing.T, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 10)
	require.True(t, ok, text)
	return n
}

// producer puts records with ids of their own.
type producer struct {
	client *kinesis.Client
	mu     sync.Mutex // guards what follows
	acked  map[string]bool
	doubt  map[string]bool // of puts that were answered with an error: they may be there
	n      int
}

// keep puts records until the func that it returns is called.
func (p *producer) keep(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.put(ctx, 50)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func (p *producer) put(ctx context.Context, n int) {
	in := &kinesis.PutRecordsInput{StreamName: aws.String("clicks")}
	ids := make([]string, n)
	p.mu.Lock()
	for i := range n {
		p.n++
		key := fmt.Sprint("k", p.n%97)
		ids[i] = fmt.Sprint("r", p.n)
		p.doubt[ids[i]] = true
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: &key, Data: fmt.Appendf(nil, `{"id":%q,"key":%q,"n":%d}`, ids[i], key, p.n)})
	}
	p.mu.Unlock()
	out, err := p.client.PutRecords(ctx, in)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range out.Records {
		if r.ErrorCode == nil {
			p.acked[ids[i]] = true
			delete(p.doubt, ids[i])
		}
	}
}

func (p *producer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// judge counts what was acknowledged and is not there, and what is there too often or was never put.
func (p *producer) judge(t *testing.T, rows map[string]int) (missing, extra int) {
	t.Helper()
	for id := range p.acked {
		if rows[id] == 0 {
			missing++
		}
	}
	for id, n := range rows {
		if n != 1 || !p.acked[id] && !p.doubt[id] {
			extra++
		}
	}
	require.Zero(t, missing, "rows are missing")
	require.Zero(t, extra, "rows are there twice, or were never put")
	return missing, extra
}
