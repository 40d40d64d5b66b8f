package postgres_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/postgres"
)

// TestConnectionsAreCutWhileRowsAreSent cuts them after ever more bytes: what reads the rows for a connection that is gone must
// not get in the way of the next one.
func TestConnectionsAreCutWhileRowsAreSent(t *testing.T) {
	l := load(t, servers.PostgresFor(t), "CREATE TABLE t (id bigint, name text)", postgres.Config{Table: "t"}, sinktest.Column("id", whole), sinktest.Column("name", text))
	at, err := url.Parse(l.url)
	require.NoError(t, err)
	var lc net.ListenConfig
	proxy, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	var room atomic.Int64 // bytes until a connection is cut
	go func() {
		for {
			client, err := proxy.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			upstream, err := d.DialContext(t.Context(), "tcp", at.Host)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(client, upstream) }()
			go func() {
				_, _ = io.CopyN(upstream, client, room.Load())
				_ = client.Close()
				_ = upstream.Close()
			}()
		}
	}()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: core.NewSecret(strings.Replace(l.url, at.Host, proxy.Addr().String(), 1)), Table: "t"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(t.Context())) })
	l.Put(t, `{"id":-1}`) // the ledger is there
	l.Loader.Sink = s
	var lines []string
	for i := range 20_000 {
		lines = append(lines, fmt.Sprintf(`{"id":%d,"name":"%0100d"}`, i, i))
	}
	st, p := l.Plan(t, map[core.ShardID][]string{"s": lines})
	for kib := range int64(40) {
		room.Store(kib * 48 << 10)
		err := st.Publish(t.Context(), p, nil)
		require.Error(t, err)
		require.False(t, connectors.IsPermanent(err))
	}
	room.Store(1 << 40)
	require.NoError(t, st.Publish(t.Context(), p, nil))
	require.NoError(t, st.Discard())
	require.Equal(t, []string{"20001 20001"}, l.rows(t, "SELECT concat(count(*), ' ', count(DISTINCT id)) FROM t"))
}
