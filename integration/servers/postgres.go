package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server of Debian's package, with a cluster of its own in which everybody on this machine is
// trusted.
type Postgres struct {
	URL string // of its one database

	proc *process
	dir  string
}

// StartPostgres makes a cluster in a new folder below dir and starts its server. settings are lines of its configuration.
func StartPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	bin, err := postgresBinaries()
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
	p := &Postgres{URL: "postgres://penstock@" + addr + "/postgres?sslmode=disable"}
	if p.dir, err = os.MkdirTemp(dir, "postgres"); err != nil {
		return nil, err
	}
	if err := give(p.dir, dir); err != nil {
		return nil, err
	}
	cluster := filepath.Join(p.dir, "cluster")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", cluster, "-U", "penstock", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync") //nolint:gosec // found here
	initdb.Dir = p.dir
	unprivileged(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-D", cluster, "-p", port, "-k", p.dir}
	for _, s := range append([]string{"listen_addresses=127.0.0.1", "max_connections=200"}, settings...) {
		args = append(args, "-c", s)
	}
	p.proc = &process{program: filepath.Join(bin, "postgres"), args: args, dir: p.dir, unprivileged: true, ready: p.ready}
	return p, p.proc.start(ctx)
}

// ready asks it for something.
func (p *Postgres) ready(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	c, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	return errors.Join(c.Ping(ctx), c.Close(ctx))
}

// Kill ends the server at once; what it committed stays in its cluster.
func (p *Postgres) Kill() { p.proc.killGroup() }

// Restart starts a server that was killed again, at the same address.
func (p *Postgres) Restart(ctx context.Context) error { return p.proc.start(ctx) }

// Log is the last of what the server said.
func (p *Postgres) Log() string { return p.proc.log.String() }

// PostgresFor starts a server for a test, which is skipped unless REQUIRE_INTEGRATION=1.
func PostgresFor(t *testing.T, settings ...string) *Postgres {
	t.Helper()
	Need(t, "PostgreSQL")
	dir, err := os.MkdirTemp("", "penstock") //nolint:usetesting // others may not enter the folder above that of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, err := StartPostgres(t.Context(), dir, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// postgresBinaries is the folder of the newest version that is installed.
func postgresBinaries() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(found), nil
	}
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(all) == 0 {
		return "", errors.New("no PostgreSQL server is installed: apt-get install postgresql")
	}
	slices.Sort(all)
	return filepath.Dir(all[len(all)-1]), nil
}
