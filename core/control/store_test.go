package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// open opens a store on its own engine and returns what closes both.
func open(t *testing.T, fs vfs.FS, cfg Config) (*Store, func()) {
	t.Helper()
	e, err := local.Open(fs, "/log", local.Config{FileSize: 1 << 16})
	require.NoError(t, err)
	s, err := Open(t.Context(), e, "control", "test", cfg)
	require.NoError(t, err)
	return s, func() {
		require.NoError(t, s.Close())
		require.NoError(t, e.Close())
	}
}

func TestChecksAndWritesHappenTogetherOrNotAtAll(t *testing.T) {
	s, closeAll := open(t, vfs.NewMem(), Config{})
	defer closeAll()
	v, err := s.Commit(t.Context(), Txn{Checks: []Check{{Key: "a"}}, Writes: []Write{{"a", []byte("1")}, {"b", []byte("1")}}})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), Txn{Checks: []Check{{"a", v}, {Key: "b"}}, Writes: []Write{{"a", []byte("2")}}})
	require.ErrorIs(t, err, ErrConflict)
	r, ok, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Row{"a", []byte("1"), v}, r)
	_, err = s.Commit(t.Context(), Txn{Checks: []Check{{"a", v}}, Writes: []Write{{Key: "a"}}})
	require.NoError(t, err)
	_, ok, err = s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, ok)
	rows, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, rows, 1)
	_, err = s.Commit(t.Context(), Txn{Writes: []Write{{"c", nil}, {"c", nil}}})
	require.ErrorIs(t, err, core.ErrInvalid)
}

func TestConcurrentIncrementsAllCount(t *testing.T) {
	s, closeAll := open(t, vfs.NewMem(), Config{})
	defer closeAll()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for done := 0; done < 20; {
				r, _, err := s.Get(t.Context(), "n")
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(r.Value))
				_, err = s.Commit(t.Context(), Txn{Checks: []Check{{"n", r.Version}}, Writes: []Write{{"n", []byte(strconv.Itoa(n + 1))}}})
				if err == nil {
					done++
				} else if !errors.Is(err, ErrConflict) {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	r, _, err := s.Get(t.Context(), "n")
	require.NoError(t, err)
	require.Equal(t, "160", string(r.Value))
}

// TestTheTableSurvivesReopeningAndSnapshots compares the store with a map over random transactions, reopening now and
// then, with snapshots so frequent that the log is trimmed again and again.
func TestTheTableSurvivesReopeningAndSnapshots(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	trimmed := false
	for range 12 {
		s, closeAll := open(t, fs, Config{SnapshotBytes: 2000})
		rows, err := s.List(t.Context(), "")
		require.NoError(t, err)
		got := map[string]string{}
		for _, r := range rows {
			got[r.Key] = string(r.Value)
		}
		require.Equal(t, want, got)
		for range rng.IntN(120) {
			key, value := fmt.Sprint("key-", rng.IntN(20)), fmt.Sprint("value-", rng.Uint64())
			w := Write{key, []byte(value)}
			if rng.IntN(4) == 0 {
				w.Value = nil
				delete(want, key)
			} else {
				want[key] = value
			}
			_, err := s.Commit(t.Context(), Txn{Writes: []Write{w}})
			require.NoError(t, err)
		}
		tail, err := s.engine.Tail(t.Context(), "control")
		require.NoError(t, err)
		trimmed = trimmed || tail.First > firstData
		closeAll()
	}
	require.True(t, trimmed, "no snapshot was ever finished")
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s, closeAll := open(t, vfs.NewMem(), Config{})
	closeAll()
	_, err := s.Commit(context.Background(), Txn{Writes: []Write{{"a", []byte("1")}}})
	require.Error(t, err)
	_, _, err = s.Get(context.Background(), "a")
	require.Error(t, err)
}
