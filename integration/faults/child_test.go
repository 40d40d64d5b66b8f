//go:build unix

package faults

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/integration/servetest"
)

// TestMain lets the test binary be the child.
func TestMain(m *testing.M) {
	dir := os.Getenv("PENSTOCK_FAULTS_DIR")
	if dir == "" {
		os.Exit(servetest.Main(m))
	}
	go func() { // the parent's death is the child's
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	seed, _ := strconv.ParseUint(os.Getenv("PENSTOCK_FAULTS_SEED"), 10, 64)
	out := os.NewFile(3, "told")
	c := newChild(seed, func(line string) { _, _ = out.WriteString(line + "\n") })
	if err := c.work(context.Background(), dyingFrom(os.Getenv("PENSTOCK_FAULTS_DIE_AT"), suicide), dir); err != nil {
		c.tell("failed", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	os.Exit(3)
}

// child works on a directory until it is killed or something fails, and tells what was acknowledged, a line each.
type child struct {
	hear    func(line string) // safe for concurrent use
	seed    uint64            // children of one directory have different ones
	padding int               // of records, at most
	rng     *rand.Rand
	node    *node
}

func newChild(seed uint64, hear func(string)) *child {
	return &child{hear: hear, seed: seed, padding: 1500, rng: rand.New(rand.NewPCG(seed, 11))}
}

// tell says what happened before.
func (c *child) tell(words ...string) { c.hear(strings.Join(words, "\t")) }

const (
	mainStream = core.StreamName("main")
	shards     = 4
	writers    = 3
	counters   = 4
)

// work opens the directory and uses it until something fails. Every other child makes segments.
func (c *child) work(ctx context.Context, fs vfs.FS, dir string) error {
	cfg := small
	if c.seed%2 == 0 {
		cfg = moving()
	}
	n, err := openNode(ctx, fs, dir, cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.use(ctx, n), n.close())
}

func (c *child) use(ctx context.Context, n *node) error {
	c.node = n
	c.tell("open")
	if _, err := n.streams.Create(ctx, mainStream, stream.Settings{Shards: shards}); err != nil && !errors.Is(err, stream.ErrExists) {
		return err
	}
	c.tell("created", string(mainStream))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	failed := make(chan error, writers+2)
	start := func(f func(context.Context, *rand.Rand) error) {
		rng := rand.New(rand.NewPCG(c.rng.Uint64(), 1))
		wg.Go(func() { failed <- f(ctx, rng) })
	}
	for w := range writers {
		start(func(ctx context.Context, rng *rand.Rand) error { return c.write(ctx, rng, mainStream, w, 1<<30) })
	}
	start(c.count)
	start(c.manage)
	err := <-failed
	cancel()
	wg.Wait()
	return err
}

// text is a record that can be told from any other, and from a damaged one.
func text(who string, n, padding int) string {
	s := fmt.Sprintf("%s %d %s", who, n, strings.Repeat("x", padding))
	return fmt.Sprintf("%s %08x", s, crc32.ChecksumIEEE([]byte(s)))
}

// whole reports whether a record is as text made it, and who put it as which of theirs.
func whole(s string) (who string, n int, ok bool) {
	at := strings.LastIndexByte(s, ' ')
	words := strings.Fields(s)
	if at < 0 || len(words) < 3 || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(s[:at]))) != s[at+1:] {
		return "", 0, false
	}
	n, err := strconv.Atoi(words[1])
	return words[0], n, err == nil
}

// write puts records one call after another.
func (c *child) write(ctx context.Context, rng *rand.Rand, name core.StreamName, w, calls int) error {
	s, err := c.node.streams.Open(ctx, name)
	if err != nil {
		return err
	}
	who := fmt.Sprintf("%d-%d", c.seed, w)
	for n := 0; calls > 0; calls-- {
		var records []stream.Record
		for range 1 + rng.IntN(3) {
			records = append(records, stream.Record{Key: fmt.Sprint("key-", rng.IntN(20)), Data: []byte(text(who, n, rng.IntN(c.padding)))})
			n++
		}
		sent := time.Now().UnixMilli()
		out, err := s.Put(ctx, records)
		if err != nil {
			return err
		}
		for i, r := range out {
			if r.Err != nil {
				return r.Err
			}
			c.tell("acked", string(name), string(r.Shard), string(r.Seq), strconv.FormatInt(sent, 10), string(records[i].Data))
		}
	}
	return nil
}

// count adds one to counters of the control store, two at a time, which must stay alike.
func (c *child) count(ctx context.Context, rng *rand.Rand) error {
	for {
		i := rng.IntN(counters)
		a, b := fmt.Sprint("counter/", i), fmt.Sprint("counter/", i, "/twin")
		row, _, err := c.node.control.Get(ctx, a)
		if err != nil {
			return err
		}
		twin, _, err := c.node.control.Get(ctx, b)
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(row.Value))
		value := []byte(strconv.Itoa(n + 1))
		_, err = c.node.control.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: a, Version: row.Version}, {Key: b, Version: twin.Version}},
			Writes: []control.Write{{Key: a, Value: value}, {Key: b, Value: value}},
		})
		if err != nil {
			return err
		}
		c.tell("counted", strconv.Itoa(i), string(value))
	}
}

// manage makes, fills and deletes streams, trims what is older than a moment, and splits and merges shards.
func (c *child) manage(ctx context.Context, rng *rand.Rand) error {
	for i := 0; ; i++ {
		name := core.StreamName(fmt.Sprintf("side-%d-%d", c.seed, i))
		if _, err := c.node.streams.Create(ctx, name, stream.Settings{Shards: 2}); err != nil {
			return err
		}
		c.tell("created", string(name))
		if err := c.write(ctx, rng, name, 0, 3); err != nil {
			return err
		}
		if rng.IntN(3) > 0 {
			c.tell("deleting", string(name))
			if err := c.node.streams.Delete(ctx, name); err != nil {
				return err
			}
			c.tell("deleted", string(name))
		}
		if rng.IntN(6) == 0 {
			before := time.Now().Add(-time.Duration(rng.IntN(300)) * time.Millisecond)
			c.tell("trimming", strconv.FormatInt(before.UnixMilli(), 10))
			if err := c.node.trim(ctx, before); err != nil {
				return err
			}
		}
		if rng.IntN(3) == 0 {
			if err := c.reshard(ctx, rng); err != nil {
				return err
			}
		}
	}
}

// reshard splits a shard, or merges two where there are many.
func (c *child) reshard(ctx context.Context, rng *rand.Rand) error {
	s, err := c.node.streams.Open(ctx, mainStream)
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(slices.Clone(info.Shards), func(sh stream.Shard) bool { return sh.Closed })
	slices.SortFunc(open, func(a, b stream.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	if len(open) < 2*shards {
		_, err = s.Split(ctx, open[rng.IntN(len(open))].ID, nil)
		return err
	}
	i := rng.IntN(len(open) - 1)
	_, err = s.Merge(ctx, open[i].ID, open[i+1].ID)
	return err
}
