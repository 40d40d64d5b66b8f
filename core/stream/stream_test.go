package stream

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// node is a store of streams over a file system.
type node struct {
	engine *local.Engine
	table  *control.Store
	*Store
}

func start(t *testing.T, fs vfs.FS) *node {
	t.Helper()
	return startIn(t, fs, "/log")
}

func startIn(t *testing.T, fs vfs.FS, dir string) *node {
	t.Helper()
	e, err := local.Open(fs, dir, local.Config{FileSize: 1 << 16})
	require.NoError(t, err)
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	return &node{e, c, NewStore(e, c, "test")}
}

func (n *node) close(t *testing.T) {
	t.Helper()
	require.NoError(t, n.table.Close())
	require.NoError(t, n.engine.Close())
}

func put(t *testing.T, s *Stream, key string, data ...string) []Result {
	t.Helper()
	var records []Record
	for _, d := range data {
		records = append(records, Record{Key: key, Data: []byte(d)})
	}
	out, err := s.Put(t.Context(), records)
	require.NoError(t, err)
	for _, r := range out {
		require.NoError(t, r.Err)
	}
	return out
}

// dataOf is the data of a row.
func dataOf(b core.Batch, i int) string {
	return string(b.Rows.Column(core.HiddenColumns).(*array.Binary).Value(i))
}

// read reads n records of a shard.
func read(t *testing.T, s *Stream, shard core.ShardID, after core.SequenceNumber, n int) (data []string, seqs []core.SequenceNumber) {
	t.Helper()
	r, err := s.Read(t.Context(), shard, after)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for len(data) < n {
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		col := b.Rows.Column(core.HiddenColumns).(*array.Binary)
		for i := range int(b.NumRows()) {
			data = append(data, string(col.Value(i)))
			seqs = append(seqs, b.SequenceOf(i))
		}
		require.Equal(t, seqs[len(seqs)-1], b.Span.Last)
		require.Equal(t, b.NumRows(), b.Records)
		b.Release()
	}
	return data, seqs
}

func TestRecordsComeBackWithTheSequenceNumbersTheyWereGiven(t *testing.T) {
	fs := vfs.NewMem()
	n := start(t, fs)
	_, err := n.Create(t.Context(), "clicks", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "clicks")
	require.NoError(t, err)
	var given []core.SequenceNumber
	for i := range 5 {
		for _, r := range put(t, s, "k", fmt.Sprint("a", i), fmt.Sprint("b", i)) {
			given = append(given, r.Seq)
			require.Len(t, string(r.Seq), 56)
		}
	}
	data, seqs := read(t, s, core.NewShardID(0), "", 10)
	require.Equal(t, []string{"a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"}, data)
	require.Equal(t, given, seqs)
	for i := 1; i < len(seqs); i++ {
		require.Equal(t, 1, seqs[i].Compare(seqs[i-1]))
	}
	n.close(t)

	n = start(t, fs)
	defer n.close(t)
	s, err = n.Open(t.Context(), "clicks")
	require.NoError(t, err)
	last, err := s.Last(t.Context(), core.NewShardID(0))
	require.NoError(t, err)
	require.Equal(t, given[9], last)
	more := put(t, s, "k", "c")
	require.Equal(t, 1, more[0].Seq.Compare(given[9]))
	for i := range given { // after each record come the others
		data, _ = read(t, s, core.NewShardID(0), given[i], 10-i)
		require.Len(t, data, 10-i)
		require.Equal(t, "c", data[len(data)-1])
	}
}

func TestKeysAreRoutedByTheirHash(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	info, err := n.Create(t.Context(), "s", Settings{Shards: 4})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	for i := range 50 {
		key := fmt.Sprint("user-", i)
		got := put(t, s, key, "x")[0].Shard
		for _, sh := range info.Shards {
			require.Equal(t, sh.Range.Contains(core.HashPartitionKey(key)), sh.ID == got)
		}
	}
	hash := info.Shards[2].Range.End
	out, err := s.Put(t.Context(), []Record{{Key: "user-1", Hash: &hash, Data: []byte("y")}})
	require.NoError(t, err)
	require.Equal(t, info.Shards[2].ID, out[0].Shard)
}

func TestConcurrentPutsKeepTheOrderOfEachCaller(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	_, err := n.Create(t.Context(), "s", Settings{Shards: 2})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	const callers, each = 8, 40
	var wg sync.WaitGroup
	for c := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				out, err := s.Put(t.Context(), []Record{{Key: fmt.Sprint("caller-", c), Data: fmt.Appendf(nil, "%d:%03d", c, i)}})
				if err != nil || out[0].Err != nil {
					t.Error(err, out)
				}
			}
		}()
	}
	wg.Wait()
	seen := map[byte]string{}
	total := 0
	for i := range 2 {
		id := core.NewShardID(i)
		last, err := s.Last(t.Context(), id)
		require.NoError(t, err)
		for after := core.SequenceNumber(""); last != "" && after != last; {
			data, seqs := read(t, s, id, after, 1)
			for _, d := range data {
				require.Less(t, seen[d[0]], d)
				seen[d[0]] = d
				total++
			}
			after = seqs[len(seqs)-1]
		}
	}
	require.Equal(t, callers*each, total)
}

func TestWhatBreaksALimitIsRefusedAlone(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	_, err := n.Create(t.Context(), "s", Settings{MaxRecord: 100})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	out, err := s.Put(t.Context(), []Record{{Key: "k", Data: make([]byte, 200)}, {Data: []byte("x")}, {Key: "k", Data: []byte("fine")}, {Key: "\xff", Data: nil}})
	require.NoError(t, err)
	require.ErrorIs(t, out[0].Err, core.ErrInvalid)
	require.ErrorIs(t, out[1].Err, core.ErrInvalid)
	require.NoError(t, out[2].Err)
	require.ErrorIs(t, out[3].Err, core.ErrInvalid)
	for _, set := range []Settings{{Shards: -1}, {Shards: 1e6}, {Retention: time.Hour}, {MaxRecord: 1 << 30}} {
		_, err = n.Create(t.Context(), "other", set)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
	_, err = n.Create(t.Context(), "a/b", Settings{})
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = n.Create(t.Context(), "s", Settings{})
	require.ErrorIs(t, err, ErrExists)
	_, err = n.Open(t.Context(), "t")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestADeletedStreamIsGoneAndItsNameFree(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	first, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	put(t, s, "k", "x")
	require.NoError(t, n.Delete(t.Context(), "s"))
	_, err = s.Put(t.Context(), []Record{{Key: "k"}})
	require.ErrorIs(t, err, ErrNotFound)
	second, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
	_, err = s.Put(t.Context(), []Record{{Key: "k"}})
	require.ErrorIs(t, err, ErrNotFound)
}

func TestTrimmingKeepsWhatIsYoungAndReadersBetweenGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		n := start(t, fs)
		_, err := n.Create(t.Context(), "s", Settings{})
		require.NoError(t, err)
		s, err := n.Open(t.Context(), "s")
		require.NoError(t, err)
		old := put(t, s, "k", "old1", "old2")
		n.close(t)
		n = start(t, fs) // the next put claims the log again, which takes a position
		defer n.close(t)
		s, err = n.Open(t.Context(), "s")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		young := time.Now()
		put(t, s, "k", "young")
		time.Sleep(MinRetention - 30*time.Minute)
		trimFor(t, n, 11*time.Minute)
		data, _ := read(t, s, core.NewShardID(0), "", 1)
		require.Equal(t, []string{"young"}, data)
		data, _ = read(t, s, core.NewShardID(0), old[1].Seq, 1)
		require.Equal(t, []string{"young"}, data)
		_, err = s.Read(t.Context(), core.NewShardID(0), s.mustStart(t))
		require.ErrorIs(t, err, shardlog.ErrTrimmed)
		at, err := s.Find(t.Context(), core.NewShardID(0), AtTime(young))
		require.NoError(t, err)
		data, _ = read(t, s, core.NewShardID(0), at, 1)
		require.Equal(t, []string{"young"}, data)
	})
}

// mustStart is a sequence number before every record of the first shard.
func (s *Stream) mustStart(t *testing.T) core.SequenceNumber {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return info.Shards[0].Start
}

func TestAReaderAtTheTipWaits(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	_, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	r, err := s.Read(t.Context(), core.NewShardID(0), "")
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = r.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, io.EOF)
	put(t, s, "k", "x")
	b, err := r.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), b.NumRows())
	b.Release()
}

func TestSequenceNumbersAreParsedAndOrderedLikeTheirParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := numbering{rapid.Int64Range(0, 1<<34).Draw(t, "created"), rapid.Int64Range(0, MaxShards).Draw(t, "shard")}
		i, j := rapid.Int64Range(0, maxSequence).Draw(t, "i"), rapid.Int64Range(0, maxSequence).Draw(t, "j")
		at := rapid.Int64Range(0, 1<<34).Draw(t, "seconds")
		a, b := n.number(i, at), n.number(j, rapid.Int64Range(0, 1<<34).Draw(t, "other seconds"))
		got, err := n.parse(a)
		if err != nil || got != i {
			t.Fatalf("%s parses as %d, %v; want %d", a, got, err, i)
		}
		if i != j && a.Compare(b) < 0 != (i < j) {
			t.Fatalf("%s and %s are ordered unlike %d and %d", a, b, i, j)
		}
		if _, err := (numbering{n.created, n.shard + 1}).parse(a); err == nil {
			t.Fatal("another shard's number was taken")
		}
	})
}

// The example of the v2 layout that kinesalite documents: its parts, put together again.
func TestTheLayoutIsThatOfAWS(t *testing.T) {
	n := numbering{created: 1_400_000_000, shard: 3}
	s := n.number(5, 1_400_000_100)
	require.Len(t, string(s), 56)
	require.Equal(t, byte('4'), s[0]) // every version-2 number begins with 49
	require.Equal(t, byte('9'), s[1])
}
