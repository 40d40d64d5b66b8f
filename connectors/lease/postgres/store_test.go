package postgres_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/lease/postgres"
	"github.com/penstock/penstock/connectors/lease/storetest"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/integration/servers"
)

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func TestRowsInPostgres(t *testing.T) {
	p := pool(t, servers.PostgresFor(t).URL)
	n := 0
	storetest.Run(t, func(t *testing.T) lease.Store {
		n++
		s, err := postgres.Open(t.Context(), postgres.Config{Pool: p, Schema: fmt.Sprintf(`of "case" %d`, n)})
		require.NoError(t, err)
		return s
	})
}

// TestTheDatabaseGoesAndComesBack: what was committed is there, reading waits, and a commit meanwhile is of unknown outcome.
func TestTheDatabaseGoesAndComesBack(t *testing.T) {
	server := servers.PostgresFor(t)
	var waited atomic.Int32
	server.Kill()
	opened := make(chan *postgres.Store, 1)
	p := pool(t, server.URL)
	go func() {
		s, err := postgres.Open(t.Context(), postgres.Config{
			Pool: p, Unreachable: func(int, time.Duration, error) { waited.Add(1) },
		})
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	require.Eventually(t, func() bool { return waited.Load() > 0 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, server.Restart(t.Context()))
	s := <-opened
	waited.Store(0)
	write := func(ctx context.Context, key string) error {
		_, err := s.Commit(ctx, control.Txn{Checks: []control.Check{{Key: key}}, Writes: []control.Write{{Key: key, Value: []byte("x")}}})
		return err
	}
	require.NoError(t, write(t.Context(), "a"))
	server.Kill()
	require.ErrorIs(t, write(t.Context(), "b"), control.ErrUnknown)
	type answer struct {
		ok  bool
		err error
	}
	read := make(chan answer, 1)
	go func() {
		_, ok, err := s.Get(t.Context(), "a")
		read <- answer{ok, err}
	}()
	require.Eventually(t, func() bool { return waited.Load() > 0 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, server.Restart(t.Context()))
	select {
	case got := <-read:
		require.Equal(t, answer{true, nil}, got)
	case <-time.After(time.Minute):
		t.Fatal("reading does not go on")
	}
	require.NoError(t, write(t.Context(), "b"))
}
