package stream

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
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
