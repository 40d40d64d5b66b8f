package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/vfs"
)

// away are master keys that cannot be asked while err is set.
type away struct {
	sealing.Masters
	err     atomic.Pointer[error]
	unwraps atomic.Int64
}

func (a *away) set(err error) { a.err.Store(&err) }

func (a *away) is() error {
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (a *away) Generate(ctx context.Context, master, of string) ([]byte, sealing.Wrapped, error) {
	if err := a.is(); err != nil {
		return nil, sealing.Wrapped{}, err
	}
	return a.Masters.Generate(ctx, master, of)
}

func (a *away) Unwrap(ctx context.Context, of string, w sealing.Wrapped) ([]byte, error) {
	if err := a.is(); err != nil {
		return nil, err
	}
	a.unwraps.Add(1)
	return a.Masters.Unwrap(ctx, of, w)
}

// encrypting is a node whose one stream is encrypted by master keys that can be away.
func encrypting(t *testing.T, l KeyLimits) (*node, *Stream, *away) {
	t.Helper()
	n := start(t, vfs.NewMem())
	keys := &away{Masters: masters(t)}
	n.SetMasters(keys, l)
	_, err := n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	s, err := n.Open(t.Context(), "s")
	require.NoError(t, err)
	require.NoError(t, s.Encrypt(t.Context(), "alias/one", 0))
	return n, s, keys
}

func TestAReaderGoesOnWhenTheMasterKeysAreThereAgain(t *testing.T) {
	n, s, keys := encrypting(t, KeyLimits{})
	defer n.close(t)
	require.NoError(t, s.StopEncryption(t.Context(), 0))
	put(t, s, "k", "plain")
	require.NoError(t, s.Encrypt(t.Context(), "alias/one", 0))
	put(t, s, "k", "one")
	require.NoError(t, s.Encrypt(t.Context(), "alias/two", 0))
	put(t, s, "k", "two")
	for _, wrong := range []error{sealing.ErrUnreachable, sealing.ErrDisabled, context.DeadlineExceeded} {
		keys.set(nil)
		n.SetMasters(keys, KeyLimits{}) // with no data key open
		r, err := s.Read(t.Context(), core.NewShardID(0), "")
		require.NoError(t, err)
		keys.set(wrong)
		var got []string
		failed := 0
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		for len(got) < 3 {
			b, err := r.Next(ctx)
			if err != nil {
				require.NoError(t, ctx.Err(), "records were passed over")
				require.ErrorIs(t, err, wrong)
				if failed++; failed == 3 {
					keys.set(nil)
				}
				continue
			}
			for i := range int(b.NumRows()) {
				got = append(got, dataOf(b, i))
			}
			b.Release()
		}
		require.Equal(t, []string{"plain", "one", "two"}, got, "nothing is passed over")
		stop()
		require.NoError(t, r.Close())
	}
}

func TestOpenDataKeysAreUsedWhileTheMasterKeysAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, keys := encrypting(t, KeyLimits{})
		put(t, s, "k", "a")
		keys.set(sealing.ErrUnreachable)
		for i := range 20 {
			time.Sleep(10 * time.Minute)
			put(t, s, "k", fmt.Sprint(i))
		}
		got, _ := read(t, s, core.NewShardID(0), "", 21)
		require.Len(t, got, 21)
		require.Zero(t, keys.unwraps.Load())
		keys.set(nil)
		time.Sleep(10 * time.Minute)
		put(t, s, "k", "b")
		require.EqualValues(t, 1, keys.unwraps.Load(), "it is asked again")
		put(t, s, "k", "c")
		require.EqualValues(t, 1, keys.unwraps.Load(), "but not each time")

		keys.set(sealing.ErrDisabled)
		put(t, s, "k", "d")
		time.Sleep(6 * time.Minute)
		_, err := s.Put(t.Context(), []Record{{Key: "k", Data: []byte("x")}})
		require.ErrorIs(t, err, sealing.ErrDisabled, "who is refused has no key within minutes")
		_, err = s.Page(t.Context(), core.NewShardID(0), "", 100, 1<<20)
		require.ErrorIs(t, err, sealing.ErrDisabled)
		keys.set(nil)
		got, _ = read(t, s, core.NewShardID(0), "", 24)
		require.Equal(t, []string{"b", "c", "d"}, got[21:], "what was refused is not there")
		n.close(t)
	})
}

func TestAStreamGetsNewDataKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s, keys := encrypting(t, KeyLimits{Bytes: 1000})
		used := func() int64 {
			info, err := s.Info(t.Context())
			require.NoError(t, err)
			return info.Encryption.Key
		}
		for range 10 {
			put(t, s, "k", string(make([]byte, 300)))
		}
		require.EqualValues(t, 4, used(), "by size")
		time.Sleep(25 * time.Hour)
		put(t, s, "k", "a")
		require.EqualValues(t, 5, used(), "by age")
		keys.set(sealing.ErrBusy)
		for range 10 {
			put(t, s, "k", string(make([]byte, 300)))
		}
		require.EqualValues(t, 5, used(), "the old one as long as there is no other")
		keys.set(nil)
		put(t, s, "k", "b")
		require.EqualValues(t, 5, used(), "it is not asked for each time")
		time.Sleep(2 * time.Minute)
		put(t, s, "k", "c")
		require.EqualValues(t, 6, used())
		n.SetMasters(keys, KeyLimits{})
		page, err := s.Page(t.Context(), core.NewShardID(0), "", 100, 1<<20)
		require.NoError(t, err)
		require.EqualValues(t, 13, page.Rows.Records, "by two keys; the first ten have expired")
		page.Rows.Release()
		n.close(t)
	})
}

func TestRewrappedDataKeysDoNotNeedTheirOldMasterKey(t *testing.T) {
	n, s, keys := encrypting(t, KeyLimits{})
	defer n.close(t)
	put(t, s, "k", "a")
	require.NoError(t, s.Encrypt(t.Context(), "alias/one", 0))
	put(t, s, "k", "b")
	require.ErrorIs(t, s.Rewrap(t.Context(), "alias/none"), sealing.ErrNoKey)
	require.NoError(t, s.Rewrap(t.Context(), "alias/two"))
	put(t, s, "k", "c")
	rows, err := n.table.List(t.Context(), dataKeyPrefix)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	for _, row := range rows {
		var w sealing.Wrapped
		require.NoError(t, json.Unmarshal(row.Value, &w))
		require.Equal(t, "alias/two", w.Master)
	}
	n.SetMasters(keys, KeyLimits{})
	got, _ := read(t, s, core.NewShardID(0), "", 3)
	require.Equal(t, []string{"a", "b", "c"}, got)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, "alias/two", info.Encryption.Master)
}

func TestADataKeyIsBoundToItsStream(t *testing.T) {
	n, s, _ := encrypting(t, KeyLimits{})
	defer n.close(t)
	w, err := n.wrapped(t.Context(), dataKeyAt(s.id, 1))
	require.NoError(t, err)
	_, err = n.ring.Masters().Unwrap(t.Context(), "another", w)
	require.ErrorIs(t, err, sealing.ErrSealed)
}
