// Package storetest is the suite that every lease.Store passes: what rows and multi-key compare-and-swap mean, whatever
// keeps them.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core/control"
)

// Prefix begins every key that the suite uses. Rows below it are those of a pipeline called p.
const Prefix = "pipelines/p/"

// Run runs the suite; open returns an empty store.
func Run(t *testing.T, open func(t *testing.T) lease.Store) {
	for _, c := range []struct {
		name string
		run  func(s suite, t *testing.T)
	}{
		{"a row is what was written", suite.written},
		{"nothing is written where a check fails", suite.checked},
		{"a check alone holds off a writer of another row", suite.checkAlone},
		{"what is deleted is gone and its versions stay used", suite.deleted},
		{"rows are listed by prefix, in order of their bytes", suite.listed},
		{"many and large rows are committed together", suite.many},
		{"of two writers one wins", suite.counted},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(suite{open(t)}, t) })
	}
}

type suite struct{ lease.Store }

func (s suite) get(t *testing.T, key string) (control.Row, bool) {
	t.Helper()
	r, ok, err := s.Get(t.Context(), Prefix+key)
	require.NoError(t, err)
	return r, ok
}

// commit writes one row, checked to have a version.
func (s suite) commit(t *testing.T, key string, version int64, value []byte) (int64, error) {
	t.Helper()
	return s.Commit(t.Context(), control.Txn{
		Checks: []control.Check{{Key: Prefix + key, Version: version}},
		Writes: []control.Write{{Key: Prefix + key, Value: value}},
	})
}

func (s suite) written(t *testing.T) {
	_, ok := s.get(t, "a")
	require.False(t, ok)
	for i, value := range [][]byte{[]byte("one"), {}, {0, 1, 0xff}} {
		r, _ := s.get(t, "a")
		version, err := s.commit(t, "a", r.Version, value)
		require.NoError(t, err)
		require.Greater(t, version, r.Version)
		r, ok = s.get(t, "a")
		require.True(t, ok, i)
		require.Equal(t, Prefix+"a", r.Key)
		require.Equal(t, version, r.Version)
		require.True(t, bytes.Equal(value, r.Value), i)
	}
	_, err := s.Commit(t.Context(), control.Txn{Writes: []control.Write{{Key: Prefix + "a", Value: []byte("unchecked")}}})
	require.NoError(t, err)
	r, _ := s.get(t, "a")
	require.Equal(t, "unchecked", string(r.Value))
}

func (s suite) checked(t *testing.T) {
	version, err := s.commit(t, "a", 0, []byte("one"))
	require.NoError(t, err)
	for _, wrong := range []int64{0, version - 1, version + 1} {
		_, err := s.Commit(t.Context(), control.Txn{
			Checks: []control.Check{{Key: Prefix + "b"}, {Key: Prefix + "a", Version: wrong}},
			Writes: []control.Write{{Key: Prefix + "b", Value: []byte("x")}, {Key: Prefix + "a"}},
		})
		require.ErrorIs(t, err, control.ErrConflict)
		require.NotErrorIs(t, err, control.ErrUnknown)
		_, ok := s.get(t, "b")
		require.False(t, ok)
		r, ok := s.get(t, "a")
		require.True(t, ok)
		require.Equal(t, version, r.Version)
	}
	_, err = s.commit(t, "none", 7, []byte("x"))
	require.ErrorIs(t, err, control.ErrConflict)
}

// checkAlone has two writers, each of which writes only while the row of the other is not there: one of them may.
func (s suite) checkAlone(t *testing.T) {
	for round := range 20 {
		a, b := fmt.Sprintf("%sa%d", Prefix, round), fmt.Sprintf("%sb%d", Prefix, round)
		var wg sync.WaitGroup
		results := make([]error, 2)
		for i, keys := range [][2]string{{a, b}, {b, a}} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, results[i] = s.Commit(t.Context(), control.Txn{
					Checks: []control.Check{{Key: keys[0]}}, Writes: []control.Write{{Key: keys[1], Value: []byte("x")}},
				})
			}()
		}
		wg.Wait()
		require.False(t, results[0] == nil && results[1] == nil, "both wrote")
		for _, err := range results {
			require.True(t, err == nil || errors.Is(err, control.ErrConflict), "%v", err)
		}
	}
}

func (s suite) deleted(t *testing.T) {
	first, err := s.commit(t, "a", 0, []byte("one"))
	require.NoError(t, err)
	_, err = s.commit(t, "a", first, nil)
	require.NoError(t, err)
	_, ok := s.get(t, "a")
	require.False(t, ok)
	_, err = s.commit(t, "a", first, []byte("two"))
	require.ErrorIs(t, err, control.ErrConflict)
	again, err := s.commit(t, "a", 0, []byte("one"))
	require.NoError(t, err)
	require.Greater(t, again, first, "a version is of one write, also of a row that was made again")
	_, err = s.commit(t, "never", 0, nil)
	require.NoError(t, err, "what is not there can be deleted")
}

func (s suite) listed(t *testing.T) {
	names := []string{"A", "a", "a b", "a!", "a/1", "a/10", "a/2", "aa", "b", "ä", "日本"}
	for _, n := range names {
		_, err := s.commit(t, "list/"+n, 0, []byte(n))
		require.NoError(t, err)
	}
	list := func(prefix string) (out []string) {
		rows, err := s.List(t.Context(), Prefix+prefix)
		require.NoError(t, err)
		for _, r := range rows {
			require.Equal(t, Prefix+"list/"+string(r.Value), r.Key)
			require.NotZero(t, r.Version)
			out = append(out, string(r.Value))
		}
		return out
	}
	require.Equal(t, []string{"A", "a", "a b", "a!", "a/1", "a/10", "a/2", "aa", "b", "ä", "日本"}, list("list/"))
	require.Equal(t, []string{"a/1", "a/10", "a/2"}, list("list/a/"))
	require.Empty(t, list("list/%"))
	require.Empty(t, list("list/_"))
}

func (s suite) many(t *testing.T) {
	var x control.Txn
	for i := range 90 { // and a plan's own row, and few others: as many as any store takes at once
		key := fmt.Sprintf("%smany/%03d", Prefix, i)
		x.Checks = append(x.Checks, control.Check{Key: key})
		x.Writes = append(x.Writes, control.Write{Key: key, Value: bytes.Repeat([]byte{byte(i)}, 3000)})
	}
	version, err := s.Commit(t.Context(), x)
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), x)
	require.ErrorIs(t, err, control.ErrConflict)
	rows, err := s.List(t.Context(), Prefix+"many/")
	require.NoError(t, err)
	require.Len(t, rows, 90)
	for i, r := range rows {
		require.Equal(t, control.Row{Key: x.Writes[i].Key, Value: x.Writes[i].Value, Version: version}, r)
	}
}

// counted has writers count up one row, each after reading it.
func (s suite) counted(t *testing.T) {
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				for {
					r, _, err := s.Get(t.Context(), Prefix+"n")
					if err != nil {
						t.Error(err)
						return
					}
					n, _ := strconv.Atoi(string(r.Value)) // not there: 0
					_, err = s.Commit(t.Context(), control.Txn{
						Checks: []control.Check{{Key: Prefix + "n", Version: r.Version}},
						Writes: []control.Write{{Key: Prefix + "n", Value: []byte(strconv.Itoa(n + 1))}},
					})
					if err == nil {
						break
					}
					if !errors.Is(err, control.ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		}()
	}
	wg.Wait()
	r, _ := s.get(t, "n")
	require.Equal(t, strconv.Itoa(writers*each), string(r.Value))
}
