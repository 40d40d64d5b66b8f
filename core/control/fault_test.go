package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// tables is what the table was after each transaction, and how many of them were acknowledged.
type tables struct {
	after   []map[string]string
	acked   int
	trimmed bool // a snapshot was finished
}

// transact opens the store again and again and commits transactions of several rows, with so many snapshots that the
// log is trimmed, until something fails.
func (w *tables) transact(ctx context.Context, fs vfs.FS, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	w.after = []map[string]string{{}}
	for round := range 3 {
		e, err := local.Open(fs, "/log", local.Config{FileSize: 4096, Idle: time.Hour, Reserve: -1})
		if err != nil {
			return err
		}
		s, err := Open(ctx, e, "control", "test", Config{SnapshotBytes: 600})
		for range 6 {
			if err != nil {
				break
			}
			var t Txn
			next := maps.Clone(w.after[len(w.after)-1])
			for _, i := range rng.Perm(5)[:1+rng.IntN(3)] {
				key, value := fmt.Sprint("key-", i), fmt.Sprint("value-", rng.IntN(1000))
				if rng.IntN(5) == 0 {
					t.Writes = append(t.Writes, Write{Key: key})
					delete(next, key)
					continue
				}
				t.Writes = append(t.Writes, Write{key, []byte(value)})
				next[key] = value
			}
			w.after = append(w.after, next)
			if _, err = s.Commit(ctx, t); err == nil {
				w.acked++
			}
		}
		for wait := 0; ; wait++ { // a snapshot and its trim are on their way beside the transactions
			if tail, terr := e.Tail(ctx, "control"); terr == nil {
				w.trimmed = w.trimmed || tail.First > firstData
			}
			if w.trimmed || err != nil || round < 2 || wait == 500 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if s != nil {
			err = errors.Join(err, s.Close())
		}
		if err = errors.Join(err, e.Close()); err != nil {
			return err
		}
	}
	return nil
}

// check opens what a crash left: every acknowledged transaction is there, whole, and perhaps the one that was under way.
func (w *tables) check(ctx context.Context, fs vfs.FS) error {
	e, err := local.Open(fs, "/log", local.Config{Idle: time.Hour, Reserve: -1})
	if err != nil {
		return err
	}
	defer e.Close() //nolint:errcheck // what matters was read
	s, err := Open(ctx, e, "control", "test", Config{SnapshotBytes: 600})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // likewise
	rows, err := s.List(ctx, "")
	if err != nil {
		return err
	}
	have := map[string]string{}
	for _, r := range rows {
		have[r.Key] = string(r.Value)
	}
	if !maps.Equal(have, w.after[w.acked]) && !maps.Equal(have, w.after[min(w.acked+1, len(w.after)-1)]) {
		return fmt.Errorf("after %d of %d transactions the table is %v, not %v", w.acked, len(w.after)-1, have, w.after[w.acked])
	}
	_, err = s.Commit(ctx, Txn{Writes: []Write{{"more", []byte("1")}}})
	return err
}

// TestPowerCutsLeaveWholeTransactions cuts the power at every file-system call of transactions and snapshots.
func TestPowerCutsLeaveWholeTransactions(t *testing.T) {
	t.Parallel()
	vfstest.EveryCall(t, "cut-control", func(seed uint64) vfstest.Life {
		w := &tables{}
		return vfstest.Life{
			Live: func(fs vfs.FS) error {
				err := w.transact(t.Context(), fs, seed)
				if err == nil && !w.trimmed {
					err = errors.New("no snapshot was finished")
				}
				return err
			},
			Check: func(left vfs.FS) error { return w.check(t.Context(), left) },
		}
	})
}
