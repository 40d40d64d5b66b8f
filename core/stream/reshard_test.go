package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

func open(t *testing.T, n *node, shards int) *Stream {
	t.Helper()
	_, err := n.Create(t.Context(), "s", Settings{Shards: shards})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	return s
}

func shardsOf(t *testing.T, s *Stream) []Shard {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return info.Shards
}

func TestASplitShardEndsAndItsChildrenGoOn(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	s := open(t, n, 1)
	before := put(t, s, "k", "a", "b")
	children, err := s.Split(t.Context(), core.NewShardID(0), nil)
	require.NoError(t, err)
	require.Len(t, children, 2)
	half, err := core.ParseHashKey("170141183460469231731687303715884105728")
	require.NoError(t, err)
	require.Equal(t, core.HashRange{End: half.Prev()}, children[0].Range)
	require.Equal(t, core.HashRange{Start: half, End: core.MaxHashKey}, children[1].Range)
	after := put(t, s, "k", "c")
	require.Equal(t, 1, after[0].Seq.Compare(before[1].Seq))

	parent := shardsOf(t, s)[0]
	require.True(t, parent.Closed)
	require.Equal(t, 1, parent.End.Compare(before[1].Seq))
	require.Equal(t, 1, children[0].Start.Compare(parent.End))
	r, err := s.Read(t.Context(), parent.ID, "")
	require.NoError(t, err)
	b, err := r.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), b.NumRows())
	b.Release()
	for range 2 {
		_, err = r.Next(t.Context())
		require.ErrorIs(t, err, io.EOF)
	}
	require.NoError(t, r.Close())

	merged, err := s.Merge(t.Context(), children[1].ID, children[0].ID)
	require.NoError(t, err)
	require.Equal(t, core.HashRange{End: core.MaxHashKey}, merged.Range)
	require.Equal(t, []core.ShardID{children[1].ID, children[0].ID}, merged.Parents)
	last := put(t, s, "k", "d")
	require.Equal(t, merged.ID, last[0].Shard)
	require.Equal(t, 1, last[0].Seq.Compare(after[0].Seq))
}

func TestWhatCannotBeSplitOrMergedSaysWhy(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	s := open(t, n, 3)
	sh := shardsOf(t, s)
	_, err := s.Split(t.Context(), "shardId-000000000099", nil)
	require.ErrorIs(t, err, ErrNotFound)
	for name, key := range map[string]core.HashKey{
		"another shard's": sh[1].Range.Start, "the first": {}, "the second": {Lo: 1}, "the last": sh[0].Range.End,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Split(t.Context(), sh[0].ID, &key)
			require.ErrorIs(t, err, core.ErrInvalid)
			require.ErrorContains(t, err, "the key must be above 1 and below "+sh[0].Range.End.String())
		})
	}
	for _, pair := range [][2]int{{0, 2}, {1, 1}} {
		_, err = s.Merge(t.Context(), sh[pair[0]].ID, sh[pair[1]].ID)
		require.ErrorIs(t, err, core.ErrInvalid)
		require.ErrorContains(t, err, "not side by side")
	}
	_, err = s.Split(t.Context(), sh[0].ID, nil)
	require.NoError(t, err)
	_, err = s.Split(t.Context(), sh[0].ID, nil)
	require.ErrorIs(t, err, ErrShardClosed)
	_, err = s.Merge(t.Context(), sh[0].ID, sh[1].ID)
	require.ErrorIs(t, err, ErrShardClosed)
	require.Len(t, shardsOf(t, s), 5, "what was refused changed nothing")

	narrow := sh[1].ID
	two := core.HashKey{Hi: sh[1].Range.Start.Hi, Lo: sh[1].Range.Start.Lo + 2}
	made, err := s.Split(t.Context(), narrow, &two)
	require.NoError(t, err)
	_, err = s.Split(t.Context(), made[0].ID, nil) // two keys
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestPositions(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	s := open(t, n, 1)
	parent := core.NewShardID(0)
	at, err := s.Find(t.Context(), parent, Latest())
	require.NoError(t, err)
	require.Empty(t, at)
	given := put(t, s, "k", "a", "b", "c")
	children, err := s.Split(t.Context(), parent, nil)
	require.NoError(t, err)
	child := put(t, s, "k", "d")[0]
	sh := shardsOf(t, s)
	rest := func(id core.ShardID, p Position) string {
		t.Helper()
		at, err := s.Find(t.Context(), id, p)
		require.NoError(t, err)
		r, err := s.Read(t.Context(), id, at)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer stop()
		out := ""
		for {
			b, err := r.Next(ctx)
			if err != nil {
				return out
			}
			for i := range int(b.NumRows()) {
				out += string(b.Rows.Column(core.HiddenColumns).(*array.Binary).Value(i))
			}
			b.Release()
		}
	}
	require.Equal(t, "abc", rest(parent, TrimHorizon()))
	require.Equal(t, "abc", rest(parent, At(sh[0].Start)))
	require.Equal(t, "abc", rest(parent, AtTime(time.Unix(0, 0))))
	require.Equal(t, "abc", rest(parent, At(given[0].Seq)))
	require.Equal(t, "bc", rest(parent, After(given[0].Seq)))
	require.Equal(t, "bc", rest(parent, At(given[1].Seq)))
	require.Empty(t, rest(parent, After(given[2].Seq)))
	require.Empty(t, rest(parent, Latest()))
	require.Empty(t, rest(parent, AtTime(time.Now().Add(time.Hour))))
	require.Empty(t, rest(parent, At(sh[0].End)))
	require.Empty(t, rest(parent, After(sh[0].End)))
	require.Equal(t, "d", rest(child.Shard, TrimHorizon()))
	require.Equal(t, "d", rest(child.Shard, At(child.Seq)))
	for _, c := range children {
		if c.ID == child.Shard {
			require.Equal(t, "d", rest(c.ID, At(c.Start)))
			require.Equal(t, "d", rest(c.ID, After(c.Start)))
		}
	}
	_, err = s.Find(t.Context(), child.Shard, At(given[0].Seq))
	require.ErrorIs(t, err, core.ErrInvalid)
	require.ErrorContains(t, err, "is of shardId-000000000000, not of "+string(child.Shard))
	_, err = s.Find(t.Context(), parent, After("12"))
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestClosedShardsGoWhenAllOfThemHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, vfs.NewMem())
		defer n.close(t)
		s := open(t, n, 2)
		put(t, s, "k", "a")
		sh := shardsOf(t, s)
		merged, err := s.Merge(t.Context(), sh[0].ID, sh[1].ID) // one of them was never written to
		require.NoError(t, err)
		time.Sleep(time.Hour)
		put(t, s, "k", "b")
		trimFor(t, n, 12*time.Minute)
		require.Len(t, shardsOf(t, s), 3, "they are readable until then")
		time.Sleep(MinRetention - time.Hour)
		trimFor(t, n, 12*time.Minute)
		left := shardsOf(t, s)
		require.Len(t, left, 1)
		require.Equal(t, merged, left[0], "children keep their parents' names")
		_, err = n.engine.Tail(t.Context(), sh[0].Log)
		require.ErrorIs(t, err, shardlog.ErrNotFound)
		_, err = s.Read(t.Context(), sh[0].ID, "")
		require.ErrorIs(t, err, ErrNotFound)
		info, err := s.Info(t.Context())
		require.NoError(t, err)
		require.Empty(t, info.Drop)
		data, _ := read(t, s, merged.ID, "", 1)
		require.Equal(t, []string{"b"}, data)
		made, err := s.Split(t.Context(), merged.ID, nil)
		require.NoError(t, err)
		require.Equal(t, core.NewShardID(3), made[0].ID)
	})
}

func TestAnIntentLeftBehindIsFinishedByWhoeverComesNext(t *testing.T) {
	for name, next := range map[string]func(t *testing.T, n *node, s *Stream){
		"a put whose shard is sealed": func(t *testing.T, _ *node, s *Stream) {
			t.Helper()
			v, err := s.view(t.Context())
			require.NoError(t, err)
			require.NoError(t, v.open[0].seal(t.Context()))
			put(t, s, "k", "after")
		},
		"a reader at the end": func(t *testing.T, _ *node, s *Stream) {
			t.Helper()
			v, err := s.view(t.Context())
			require.NoError(t, err)
			require.NoError(t, v.open[0].seal(t.Context()))
			r, err := s.Read(t.Context(), core.NewShardID(0), "")
			require.NoError(t, err)
			_, err = r.Next(t.Context())
			require.ErrorIs(t, err, io.EOF)
		},
		"trimming": func(t *testing.T, n *node, _ *Stream) {
			t.Helper()
			require.NoError(t, n.Trim(t.Context(), time.Now()))
		},
		"another split": func(t *testing.T, _ *node, s *Stream) {
			t.Helper()
			_, err := s.Split(t.Context(), core.NewShardID(2), nil)
			require.NoError(t, err)
		},
		"an opening": func(t *testing.T, n *node, _ *Stream) {
			t.Helper()
			_, err := n.Open(t.Context(), "s")
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, vfs.NewMem())
			defer n.close(t)
			s := open(t, n, 1)
			require.NoError(t, n.update(t.Context(), "s", func(i *Info) error {
				v := &view{Info: *i}
				half := i.Shards[0].Range.Middle()
				i.Intent = &Intent{Children: []Shard{
					v.child(0, core.HashRange{End: half.Prev()}, i.Shards[0].ID), v.child(1, core.HashRange{Start: half, End: core.MaxHashKey}, i.Shards[0].ID),
				}}
				return nil
			}))
			next(t, n, s)
			sh := shardsOf(t, s)
			require.GreaterOrEqual(t, len(sh), 3)
			require.True(t, sh[0].Closed)
		})
	}
}

func TestAPutThatFindsNoChildrenFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, vfs.NewMem())
		defer n.close(t)
		s := open(t, n, 2)
		v, err := s.view(t.Context())
		require.NoError(t, err)
		require.NoError(t, v.open[0].seal(t.Context())) // sealed, and nothing says why
		began := time.Now()
		out, err := s.Put(t.Context(), []Record{{Key: "k", Hash: &core.HashKey{}, Data: []byte("x")}, {Key: "k", Hash: &core.MaxHashKey, Data: []byte("y")}})
		require.NoError(t, err)
		require.ErrorIs(t, out[0].Err, ErrResharding)
		require.NoError(t, out[1].Err)
		require.Equal(t, rerouting, time.Since(began))
	})
}

func TestTenMegabytesAreTakenWhenTheStreamAllowsIt(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	s := open(t, n, 1)
	large := make([]byte, MaxMaxRecord-1)
	large[0], large[len(large)-1] = 'a', 'z'
	out, err := s.Put(t.Context(), []Record{{Key: "k", Data: large}})
	require.NoError(t, err)
	require.ErrorIs(t, out[0].Err, core.ErrInvalid)
	require.NoError(t, n.SetMaxRecord(t.Context(), "s", MaxMaxRecord))
	require.ErrorIs(t, n.SetMaxRecord(t.Context(), "s", MaxMaxRecord+1), core.ErrInvalid)
	put(t, s, "k", string(large), string(large), "small")
	data, _ := read(t, s, core.NewShardID(0), "", 3)
	require.Equal(t, []string{string(large), string(large), "small"}, data)
}

// reshardings is what a workload of puts, a split and a merge was told.
type reshardings struct {
	acked []string // in order, all of one key
	maybe map[string]bool
	seqs  map[string]core.SequenceNumber
}

// reshardWorkload puts, splits, puts, merges and puts until something fails.
func reshardWorkload(ctx context.Context, fs vfs.FS, h *reshardings) {
	e, err := local.Open(fs, "/log", local.Config{FileSize: 1 << 14})
	if err != nil {
		return
	}
	defer func() { _ = e.Close() }()
	c, err := control.Open(ctx, e, "control", "test", control.Config{SnapshotBytes: 4000})
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	n := NewStore(e, c, "test")
	if _, err := n.Create(ctx, "s", Settings{}); err != nil {
		return
	}
	s, err := n.Open(ctx, "s")
	if err != nil {
		return
	}
	next := 0
	puts := func() error {
		for range 2 {
			data := fmt.Sprintf("%03d", next)
			next++
			out, err := s.Put(ctx, []Record{{Key: "k", Data: []byte(data)}})
			if err == nil {
				err = out[0].Err
			}
			if err != nil {
				h.maybe[data] = true
				return err
			}
			h.acked = append(h.acked, data)
			h.seqs[data] = out[0].Seq
		}
		return nil
	}
	if puts() != nil {
		return
	}
	children, err := s.Split(ctx, core.NewShardID(0), nil)
	if err != nil || puts() != nil {
		return
	}
	if _, err := s.Merge(ctx, children[0].ID, children[1].ID); err == nil {
		_ = puts()
	}
}

// followed reads the whole stream as KCL does, parents before children, through the ends that it has now.
func followed(t *testing.T, s *Stream, each func(sh core.ShardID, key, data string, seq core.SequenceNumber)) {
	t.Helper()
	done := map[core.ShardID]bool{}
	for _, sh := range shardsOf(t, s) {
		for _, p := range sh.Parents {
			require.True(t, done[p], "parents stand before children")
		}
		readThrough(t, s, sh, each)
		done[sh.ID] = true
	}
}

func readThrough(t *testing.T, s *Stream, sh Shard, each func(sh core.ShardID, key, data string, seq core.SequenceNumber)) {
	t.Helper()
	last, err := s.Last(t.Context(), sh.ID)
	require.NoError(t, err)
	if last == "" && !sh.Closed {
		return
	}
	r, err := s.Read(t.Context(), sh.ID, "")
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for {
		b, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			require.True(t, sh.Closed)
			return
		}
		require.NoError(t, err)
		data := b.Rows.Column(core.HiddenColumns).(*array.Binary)
		for i := range int(b.NumRows()) {
			each(sh.ID, b.Keys().Value(i), string(data.Value(i)), b.SequenceOf(i))
		}
		end := b.Span.Last
		b.Release()
		if !sh.Closed && end.Compare(last) >= 0 {
			return
		}
	}
}

// TestPowerCutsWhileResharding stops a workload that splits and merges at each of its file-system calls, takes what a
// power cut may leave, and demands that what was begun is finished by opening the stream, with nothing acknowledged
// lost, twice or out of order.
func TestPowerCutsWhileResharding(t *testing.T) {
	states, begun := 0, 0
	for n := int64(1); ; n++ {
		mem := vfs.NewMem()
		h := &reshardings{maybe: map[string]bool{}, seqs: map[string]core.SequenceNumber{}}
		cut := vfstest.At(n)
		mem.Fail(cut.Fail)
		reshardWorkload(t.Context(), mem, h)
		for seed := range 3 {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(seed)))
			if seed == 0 {
				rng = nil
			}
			left := mem.CrashClone(rng)
			if !t.Run(fmt.Sprint("call ", n, " seed ", seed), func(t *testing.T) { begun += checkReshardings(t, left, h) }) {
				return
			}
			states++
		}
		if !cut.Came() {
			break
		}
	}
	require.Positive(t, begun, "no power cut left an intent behind")
	t.Logf("%d states, %d with an intent to finish", states, begun)
}

func checkReshardings(t *testing.T, fs vfs.FS, h *reshardings) (begun int) {
	t.Helper()
	n := start(t, fs)
	defer n.close(t)
	infos, err := n.List(t.Context())
	require.NoError(t, err)
	if len(infos) == 1 && infos[0].Intent != nil {
		begun = 1
	}
	s, err := n.Open(t.Context(), "s")
	if len(h.acked) == 0 && errors.Is(err, ErrNotFound) {
		return begun
	}
	require.NoError(t, err)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.Nil(t, info.Intent)
	for _, p := range put(t, s, "k", "last") {
		h.seqs["last"] = p.Seq
	}
	var got []string
	seq := core.SequenceNumber("")
	followed(t, s, func(_ core.ShardID, _, data string, at core.SequenceNumber) {
		require.Equal(t, 1, at.Compare(seq), "%s comes after %s", data, seq)
		if want, ok := h.seqs[data]; ok {
			require.Equal(t, want, at)
		}
		if !h.maybe[data] {
			got = append(got, data)
		}
		seq = at
	})
	require.Equal(t, append(append([]string{}, h.acked...), "last"), got)
	return begun
}

func reshards(otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_RESHARDS")); err == nil {
		return n
	}
	return otherwise
}

// model is what 64 producers were told while their stream was split, merged and cut off.
type model struct {
	fs      *vfs.Mem
	mu      sync.Mutex
	acked   map[string]core.SequenceNumber // "key/number" -> sequence number
	maybe   map[string]bool
	splits  int
	merges  int
	reopens int
}

// TestEveryRecordOnceAndInOrderThroughReshards: 64 producers put while the stream is split and merged at random, with
// power cuts between; who follows parents to children reads each acknowledged record once, those of a key in order,
// with rising sequence numbers. PENSTOCK_RESHARDS says how many reshards, a thousand records each (O1, O2).
func TestEveryRecordOnceAndInOrderThroughReshards(t *testing.T) {
	const producers, rounds = 64, 4
	want := reshards(20)
	m := &model{fs: vfs.NewMem(), acked: map[string]core.SequenceNumber{}, maybe: map[string]bool{}}
	sent := make([]int, producers)
	for round := range rounds {
		m.round(t, sent, want*1000/rounds/producers+1, want/rounds, uint64(round))
		if round < rounds-1 {
			m.fs = m.fs.CrashClone(rand.New(rand.NewPCG(7, uint64(round))))
			m.reopens++
		}
	}
	n := start(t, m.fs)
	defer n.close(t)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	m.compare(t, s)
}

// round lets the producers put while somebody reshards, and ends without closing anything.
func (m *model) round(t *testing.T, sent []int, each, reshards int, seed uint64) {
	t.Helper()
	e, err := local.Open(m.fs, "/log", local.Config{})
	require.NoError(t, err)
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	store := NewStore(e, c, "test")
	if _, err := store.Create(t.Context(), "s", Settings{Shards: 2}); !errors.Is(err, ErrExists) {
		require.NoError(t, err)
	}
	s, err := store.Open(t.Context(), "s")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var total atomic.Int64
	for p := range sent {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(seed, uint64(p)))
			for end := sent[p] + each; sent[p] < end; {
				records := make([]Record, min(1+rng.IntN(8), end-sent[p]))
				for i := range records {
					records[i] = Record{Key: fmt.Sprint("key-", p), Data: []byte(strconv.Itoa(sent[p]))}
					sent[p]++
				}
				out, err := s.Put(t.Context(), records)
				if err != nil {
					t.Error(err)
					return
				}
				m.note(records, out)
				total.Add(int64(len(records)))
			}
		}()
	}
	rng := rand.New(rand.NewPCG(seed, 99))
	for i := range reshards {
		for total.Load() < int64(i*each*len(sent)/(reshards+1)) { // spread over the puts
			time.Sleep(100 * time.Microsecond)
		}
		m.reshard(t, s, rng)
	}
	wg.Wait()
	m.fs = m.fs.CrashClone(rng) // before anything is closed
	require.NoError(t, c.Close())
	require.NoError(t, e.Close())
}

func (m *model) note(records []Record, out []Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range out {
		id := records[i].Key + "/" + string(records[i].Data)
		if r.Err == nil {
			m.acked[id] = r.Seq
		} else {
			m.maybe[id] = true
		}
	}
}

// reshard splits or merges a random shard.
func (m *model) reshard(t *testing.T, s *Stream, rng *rand.Rand) {
	t.Helper()
	v, err := s.view(t.Context())
	require.NoError(t, err)
	i := rng.IntN(len(v.open))
	if len(v.open) > 1 && i+1 < len(v.open) && (rng.IntN(2) == 0 || len(v.open) > 12) {
		_, err = s.Merge(t.Context(), v.open[i].shard.ID, v.open[i+1].shard.ID)
		m.merges++
	} else {
		_, err = s.Split(t.Context(), v.open[i].shard.ID, nil)
		m.splits++
	}
	require.NoError(t, err)
}

// compare follows the stream and compares it with what the producers were told.
func (m *model) compare(t *testing.T, s *Stream) {
	t.Helper()
	require.Empty(t, m.maybe, "no put of a healthy log fails")
	number, seqs := map[string]int{}, map[string]core.SequenceNumber{}
	extra, got := 0, 0
	followed(t, s, func(sh core.ShardID, key, data string, at core.SequenceNumber) {
		id := key + "/" + data
		want, ok := m.acked[id]
		if !ok {
			extra++ // twice, or never acknowledged
			return
		}
		require.Equal(t, want, at)
		delete(m.acked, id)
		n, err := strconv.Atoi(data)
		require.NoError(t, err)
		if last, ok := number[key]; ok {
			require.Greater(t, n, last, "%s in %s", key, sh)
			require.Equal(t, 1, at.Compare(seqs[key]), "%s in %s", key, sh)
		}
		number[key], seqs[key] = n, at
		got++
	})
	t.Logf("campaign=reshard reshards=%d splits=%d merges=%d power_cuts=%d rows_got=%d missing=%d extra=%d",
		m.splits+m.merges, m.splits, m.merges, m.reopens, got, len(m.acked), extra)
	require.Empty(t, m.acked)
	require.Zero(t, extra)
}
