package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

func TestConsumersOfManyCallersKeepToTheirLimit(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	s := open(t, n, 1)
	var made, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			_, err := s.Register(t.Context(), fmt.Sprint("app-", i), nil, 0)
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, ErrLimit):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(MaxConsumers), made.Load())
	require.Equal(t, int64(30-MaxConsumers), refused.Load())
	have, err := s.Consumers(t.Context())
	require.NoError(t, err)
	require.Len(t, have, MaxConsumers)
}

func TestNoConsumerOutlivesItsStream(t *testing.T) {
	n := start(t, vfs.NewMem())
	defer n.close(t)
	for round := range 20 {
		s := open(t, n, 1)
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				_, err := s.Register(t.Context(), fmt.Sprint("app-", i), nil, 0)
				if err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			})
		}
		err := n.Retire(t.Context(), "s", 0, round%2 == 0)
		all.Wait()
		if errors.Is(err, ErrConsumers) {
			err = n.Retire(t.Context(), "s", 0, true)
		}
		require.NoError(t, err)
		_, err = s.Register(t.Context(), "late", nil, 0)
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, n.Delete(t.Context(), "s"))
		rows, err := n.control.List(t.Context(), consumerPrefix)
		require.NoError(t, err)
		require.Empty(t, rows)
	}
}

// TestPowerCutsLeaveConsumersWithTheirStreams cuts the power at every file-system call of a stream's consumers' lives.
func TestPowerCutsLeaveConsumersWithTheirStreams(t *testing.T) {
	t.Parallel()
	vfstest.EveryCall(t, "cut-consumers", func(uint64) vfstest.Life {
		sure := map[string]bool{} // of each consumer: whether it is there, as far as a caller was told
		return vfstest.Life{
			Live:  func(fs vfs.FS) error { return consumerWorkload(t.Context(), fs, sure) },
			Check: func(left vfs.FS) error { return checkConsumers(t.Context(), left, sure) },
		}
	})
}

func consumerWorkload(ctx context.Context, fs vfs.FS, sure map[string]bool) error {
	e, c, s, err := scaleStore(ctx, fs)
	if err != nil {
		return err
	}
	defer e.Close() //nolint:errcheck // the power is cut, or nothing is left to do
	defer c.Close() //nolint:errcheck // likewise
	if _, err := s.Create(ctx, "s", Settings{}); err != nil {
		return err
	}
	st, err := s.Open(ctx, "s")
	if err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		if _, err := st.Register(ctx, name, map[string]string{"k": name}, 0); err != nil {
			return err
		}
		sure[name] = true
	}
	delete(sure, "a") // its end is begun
	if err := st.Deregister(ctx, "a", 0); err != nil {
		return err
	}
	sure["a"] = false
	delete(sure, "b")
	if err := s.Retire(ctx, "s", 0, true); err != nil {
		return err
	}
	return s.Delete(ctx, "s")
}

func checkConsumers(ctx context.Context, fs vfs.FS, sure map[string]bool) error {
	e, c, s, err := scaleStore(ctx, fs)
	if err != nil {
		return err
	}
	defer e.Close() //nolint:errcheck // what matters was read
	defer c.Close() //nolint:errcheck // likewise
	rows, err := c.List(ctx, consumerPrefix)
	if err = errors.Join(err, s.Trim(ctx, time.Now())); err != nil {
		return err
	}
	st, err := s.Open(ctx, "s")
	if errors.Is(err, ErrNotFound) {
		if rows, err = c.List(ctx, consumerPrefix); err == nil && len(rows) > 0 {
			err = fmt.Errorf("row %s is left", rows[0].Key)
		}
		if sure["b"] {
			err = errors.New("the stream of consumer b is gone")
		}
		return err
	} else if err != nil {
		return err
	}
	for name, there := range sure {
		if _, err := st.Consumer(ctx, name); there != (err == nil) {
			return fmt.Errorf("consumer %s, which is to be there: %t: %w", name, there, err)
		}
	}
	have, err := st.Consumers(ctx)
	if err == nil && len(have) != len(rows) {
		err = fmt.Errorf("%d rows of %d consumers", len(rows), len(have))
	}
	return err
}
