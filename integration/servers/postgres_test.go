package servers

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestPostgresKeepsWhatItCommitted(t *testing.T) {
	p := PostgresFor(t)
	c, err := pgx.Connect(t.Context(), p.URL)
	require.NoError(t, err)
	_, err = c.Exec(t.Context(), "create table t (a int); insert into t values (7)")
	require.NoError(t, err)
	p.Kill()
	require.Error(t, c.Ping(t.Context()))
	require.NoError(t, p.Restart(t.Context()))
	c, err = pgx.Connect(t.Context(), p.URL)
	require.NoError(t, err)
	var a int
	require.NoError(t, c.QueryRow(t.Context(), "select a from t").Scan(&a))
	require.Equal(t, 7, a)
	require.NoError(t, c.Close(t.Context()))
}
