package control_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
)

func TestScratchComparesAndSwaps(t *testing.T) {
	s := control.NewScratch()
	v, err := s.Commit(t.Context(), control.Txn{Checks: []control.Check{{Key: "a"}}, Writes: []control.Write{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}}})
	require.NoError(t, err)
	_, err = s.Commit(t.Context(), control.Txn{Checks: []control.Check{{Key: "a"}}, Writes: []control.Write{{Key: "b"}}})
	require.ErrorIs(t, err, control.ErrConflict)
	rows, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []control.Row{{Key: "a", Value: []byte("1"), Version: v}, {Key: "b", Value: []byte("2"), Version: v}}, rows)
	_, err = s.Commit(t.Context(), control.Txn{Checks: []control.Check{{Key: "a", Version: v}}, Writes: []control.Write{{Key: "b"}}})
	require.NoError(t, err)
	_, ok, err := s.Get(t.Context(), "b")
	require.NoError(t, err)
	require.False(t, ok)
}
