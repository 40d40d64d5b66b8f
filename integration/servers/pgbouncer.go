package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pgbouncer is the pooler of Debian's package in front of a PostgreSQL server, in transaction mode.
type Pgbouncer struct {
	URL string // of the server's database, through the pooler

	proc *process
}

// StartPgbouncer starts a pooler in front of a server, with its settings below dir.
func StartPgbouncer(ctx context.Context, dir string, server *Postgres) (*Pgbouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // which is not on everybody's path
	}
	if _, err := os.Stat(program); err != nil {
		return nil, errors.New("no pgbouncer is installed: apt-get install pgbouncer")
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		return nil, err
	}
	addr, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	b := &Pgbouncer{URL: "postgres://penstock@" + addr + at.Path + "?sslmode=disable"}
	own, err := os.MkdirTemp(dir, "pgbouncer")
	if err != nil {
		return nil, err
	}
	ini := filepath.Join(own, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%s user=penstock
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
server_login_retry = 1
`, at.Hostname(), at.Port(), port)
	if err := os.WriteFile(ini, []byte(text), 0o644); err != nil { //nolint:gosec // read by nobody, who runs it
		return nil, err
	}
	if err := give(own, dir); err != nil {
		return nil, err
	}
	b.proc = &process{program: program, args: []string{ini}, dir: own, unprivileged: true, ready: b.ready}
	return b, b.proc.start(ctx)
}

// ready asks the server behind it for something.
func (b *Pgbouncer) ready(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	cfg, err := pgx.ParseConfig(b.URL)
	if err != nil {
		return err
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.Ping(ctx), c.Close(ctx))
}

// Kill ends the pooler at once, and with it every connection through it.
func (b *Pgbouncer) Kill() { b.proc.killGroup() }

// Restart starts it again, at the same address.
func (b *Pgbouncer) Restart(ctx context.Context) error { return b.proc.start(ctx) }

// PgbouncerFor starts a pooler for a test.
func PgbouncerFor(t *testing.T, server *Postgres) *Pgbouncer {
	t.Helper()
	b, err := StartPgbouncer(t.Context(), filepath.Dir(server.dir), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b
}
