package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// life is what a caller was told of its streams.
type life struct {
	exists  map[core.StreamName]int // 1: yes, 0: perhaps; others do not
	acked   map[string]core.SequenceNumber
	of      map[string]core.StreamName
	trimmed bool             // everything may be gone
	logs    []shardlog.LogID // that were ever to be made
}

// noting is an engine that notes which logs were to be made.
type noting struct {
	shardlog.Engine
	life *life
}

func (n noting) Create(ctx context.Context, id shardlog.LogID) error {
	n.life.logs = append(n.life.logs, id)
	return n.Engine.Create(ctx, id)
}

// live makes, fills, changes, trims and deletes streams until something fails.
func (l *life) live(ctx context.Context, fs vfs.FS, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 4))
	l.exists, l.acked, l.of = map[core.StreamName]int{}, map[string]core.SequenceNumber{}, map[string]core.StreamName{}
	for range 2 {
		e, c, s, err := l.open(ctx, fs)
		if err != nil {
			return err
		}
		for i := 0; err == nil && i < 6; i++ {
			err = l.step(ctx, s, rng, i)
		}
		if err = errors.Join(err, c.Close(), e.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) open(ctx context.Context, fs vfs.FS) (*local.Engine, *control.Store, *Store, error) {
	e, err := local.Open(fs, "/log", local.Config{FileSize: 4096, Idle: time.Hour, Reserve: -1})
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := control.Open(ctx, e, "control", "test", control.Config{SnapshotBytes: 1000})
	if err != nil {
		return nil, nil, nil, errors.Join(err, e.Close())
	}
	return e, c, NewStore(noting{e, l}, c, "test"), nil
}

func (l *life) step(ctx context.Context, s *Store, rng *rand.Rand, i int) error {
	name := core.StreamName([]string{"a", "b"}[rng.IntN(2)])
	_, exists := l.exists[name]
	switch {
	case !exists:
		l.exists[name] = 0
		_, err := s.Create(ctx, name, Settings{Shards: 2})
		if err == nil {
			l.exists[name] = 1
		}
		return err
	case rng.IntN(6) == 0:
		l.exists[name] = 0
		err := s.Delete(ctx, name)
		if err == nil {
			delete(l.exists, name)
			l.forget(name)
		}
		return err
	case rng.IntN(6) == 0:
		l.trimmed = true
		return l.trim(ctx, s, name)
	case rng.IntN(6) == 0:
		return s.SetRetention(ctx, name, MinRetention+time.Hour)
	}
	st, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	var records []Record
	for n := range 1 + rng.IntN(4) {
		records = append(records, Record{Key: fmt.Sprint("key-", n), Data: fmt.Appendf(nil, "%d-%d-%d", rng.Uint64(), i, n)})
	}
	out, err := st.Put(ctx, records)
	for n, r := range out {
		if r.Err != nil {
			err = r.Err
			continue
		}
		l.acked[string(records[n].Data)], l.of[string(records[n].Data)] = r.Seq, name
	}
	return err
}

// trim lets all that a stream holds go.
func (l *life) trim(ctx context.Context, s *Store, name core.StreamName) error {
	_, info, err := load(ctx, s.control, name)
	if err != nil {
		return err
	}
	for _, sh := range info.Shards {
		pos, err := s.engine.Find(ctx, sh.Log, time.Now().Add(time.Second))
		if err == nil {
			err = s.engine.Trim(ctx, sh.Log, pos)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *life) forget(name core.StreamName) {
	for data, of := range l.of {
		if of == name {
			delete(l.acked, data)
			delete(l.of, data)
		}
	}
}

// check opens what a crash left: a stream that can be found is whole and holds what was acknowledged, and once it was
// trimmed, there is no log but those of streams.
func (l *life) check(ctx context.Context, fs vfs.FS) error {
	e, c, s, err := l.open(ctx, fs)
	if err != nil {
		return err
	}
	defer e.Close() //nolint:errcheck // what matters was read
	defer c.Close() //nolint:errcheck // likewise
	infos, err := s.List(ctx)
	if err != nil {
		return err
	}
	found, have := map[core.StreamName]bool{}, map[string]core.SequenceNumber{}
	for _, info := range infos {
		found[info.Name] = true
		if _, ok := l.exists[info.Name]; !ok {
			return fmt.Errorf("stream %s was deleted, or never made", info.Name)
		}
		if err := l.whole(ctx, s, info, have); err != nil {
			return fmt.Errorf("stream %s: %w", info.Name, err)
		}
	}
	for name, sure := range l.exists {
		if sure == 1 && !found[name] {
			return fmt.Errorf("stream %s is gone", name)
		}
	}
	for data, seq := range l.acked {
		got, ok := have[data]
		if ok && got != seq || !ok && found[l.of[data]] && !l.trimmed {
			return fmt.Errorf("acknowledged record %s of %s has the sequence number %q, not %s", data, l.of[data], got, seq)
		}
	}
	return l.tidy(ctx, s, infos)
}

// tidy trims a store and demands that every log left is named by a stream's row.
func (l *life) tidy(ctx context.Context, s *Store, infos []Info) error {
	if err := s.Trim(ctx, time.Now()); err != nil {
		return err
	}
	named := map[shardlog.LogID]bool{}
	for _, info := range infos {
		for _, sh := range info.Shards {
			named[sh.Log] = true
		}
	}
	for _, id := range l.logs {
		if _, err := s.engine.Tail(ctx, id); err == nil && !named[id] {
			return fmt.Errorf("log %s is left, and no row names it", id)
		}
	}
	rows, err := s.control.List(ctx, "dropped/")
	if err == nil && len(rows) > 0 {
		err = fmt.Errorf("row %s is left", rows[0].Key)
	}
	return err
}

// whole reads every shard of a stream and puts to it.
func (l *life) whole(ctx context.Context, s *Store, info Info, have map[string]core.SequenceNumber) error {
	st, err := s.Open(ctx, info.Name)
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, sh := range info.Shards {
		r, err := st.Read(ctx, sh.ID, "")
		if err != nil {
			return err
		}
		for {
			b, err := r.Next(ended)
			if errors.Is(err, context.Canceled) {
				break
			} else if err != nil {
				return errors.Join(err, r.Close())
			}
			for i := range int(b.NumRows()) {
				data := string(b.Rows.Column(core.HiddenColumns).(*array.Binary).Value(i))
				if have[data] != "" {
					return fmt.Errorf("record %s is there twice", data)
				}
				have[data] = b.SequenceOf(i)
			}
			b.Release()
		}
		if err := r.Close(); err != nil {
			return err
		}
		hash := sh.Range.Start
		out, err := st.Put(ctx, []Record{{Key: "k", Hash: &hash, Data: []byte("more")}})
		if err != nil || out[0].Err != nil {
			return errors.Join(err, out[0].Err)
		}
	}
	return nil
}

// TestPowerCutsLeaveWholeStreams cuts the power at every file-system call of streams' lives.
func TestPowerCutsLeaveWholeStreams(t *testing.T) {
	t.Parallel()
	vfstest.EveryCall(t, "cut-streams", func(seed uint64) vfstest.Life {
		l := &life{}
		return vfstest.Life{
			Live:  func(fs vfs.FS) error { return l.live(t.Context(), fs, seed) },
			Check: func(left vfs.FS) error { return l.check(t.Context(), left) },
		}
	})
}
