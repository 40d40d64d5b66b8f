package postgres_test

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/certs/certstest"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/postgres"
)

// guarded is a database whose user app has to come with TLS and a password.
func guarded(t *testing.T, issued certstest.Pair) *loader {
	t.Helper()
	l := load(t, servers.PostgresFor(t), "", postgres.Config{Table: "t"}, sinktest.Column("id", whole))
	for name, text := range map[string][]byte{"server.crt": issued.Cert, "server.key": issued.Key, "pg_hba.conf": []byte(`host all penstock 127.0.0.1/32 trust
hostssl all app 127.0.0.1/32 scram-sha-256
`)} {
		l.exec(t, fmt.Sprintf("COPY (SELECT unnest(string_to_array($$%s$$, E'\\n'))) TO PROGRAM 'umask 077; cat > %s'", text, name)) // the server's own files
	}
	l.exec(t, "ALTER SYSTEM SET ssl = on")
	l.exec(t, `CREATE USER app PASSWORD 'canary-password';
CREATE FUNCTION secure() RETURNS boolean LANGUAGE sql AS 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
CREATE TABLE t (id bigint, secure boolean DEFAULT secure());
GRANT ALL ON t TO app;
DO $$BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || current_database() || ' TO app'; END$$;
SELECT pg_reload_conf()`)
	require.Eventually(t, func() bool { return l.rows(t, "SHOW ssl")[0] == "on" }, time.Minute, 50*time.Millisecond)
	return l
}

// reached loads a row through a URL, and returns what went wrong.
func (l *loader) reached(t *testing.T, of string) error {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: core.NewSecret(of), Table: "t"})
	if err != nil {
		return err
	}
	l.Loader.Sink = s
	t.Cleanup(func() { require.NoError(t, s.Close(t.Context())) })
	if err := s.Probe(t.Context()); err != nil {
		return err
	}
	n := next()
	st, p := l.Plan(t, map[core.ShardID][]string{core.ShardID(fmt.Sprint("s", n)): {fmt.Sprintf(`{"id":%d}`, n)}})
	err = st.Publish(t.Context(), p, nil)
	require.NoError(t, st.Discard())
	return err
}

// TestConnectionsAreAsPsqlMakesThem: TLS modes, passwords, password files and services.
func TestConnectionsAreAsPsqlMakesThem(t *testing.T) {
	servers.Need(t, "PostgreSQL")
	authority, other := certstest.New(t, "authority"), certstest.New(t, "another authority")
	issued := authority.Issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"db.example"} })
	l := guarded(t, issued)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	ca, wrong := write("ca.pem", string(authority.PEM)), write("other.pem", string(other.PEM))
	at, err := url.Parse(l.url)
	require.NoError(t, err)
	host, port, database := at.Hostname(), at.Port(), strings.TrimPrefix(at.Path, "/")
	passfile := write("pgpass", fmt.Sprintf("# the app\n%s:%s:*:app:canary-password\n", host, port))
	services := write("services", fmt.Sprintf("[shop]\nhost=%s\nport=%s\ndbname=%s\nuser=app\nsslmode=verify-full\nsslrootcert=%s\n", host, port, database, ca))
	with := func(query string) string {
		return fmt.Sprintf("postgres://app:canary-password@%s:%s/%s?%s", host, port, database, query)
	}
	for name, x := range map[string]struct{ url, problem string }{
		"no TLS":                            {with("sslmode=disable"), "no pg_hba.conf entry"},
		"TLS if there is any":               {with("sslmode=prefer"), ""},
		"TLS if it has to be":               {with("sslmode=allow"), ""},
		"TLS":                               {with("sslmode=require"), ""},
		"an authority is checked if given":  {with("sslmode=require&sslrootcert=" + wrong), "certificate signed by unknown authority"},
		"the authority":                     {with("sslmode=verify-ca&sslrootcert=" + ca), ""},
		"another authority":                 {with("sslmode=verify-ca&sslrootcert=" + wrong), "certificate signed by unknown authority"},
		"the name":                          {with("sslmode=verify-full&sslrootcert=" + ca), ""},
		"another name":                      {strings.Replace(with("sslmode=verify-full&sslrootcert="+ca), host, "localhost", 1), "not localhost"},
		"another name, of which none asked": {strings.Replace(with("sslmode=verify-ca&sslrootcert="+ca), host, "localhost", 1), ""},
		"another password":                  {strings.Replace(with("sslmode=require"), "canary-password", "canary-password-2", 1), "password authentication failed"},
		"no such mode":                      {with("sslmode=sometimes"), "sslmode is invalid"},
		"keywords":                          {fmt.Sprintf("host=%s port=%s dbname=%s user=app password=canary-password sslmode=require", host, port, database), ""},
		"a password file":                   {fmt.Sprintf("postgres://app@%s:%s/%s?sslmode=require&passfile=%s", host, port, database, passfile), ""},
		"a password file without the user":  {fmt.Sprintf("postgres://app@%s:%s/%s?sslmode=require&passfile=%s", host, port, database, ca), "password authentication failed"},
		"a service":                         {fmt.Sprintf("service=shop servicefile=%s passfile=%s", services, passfile), ""},
		"a service that is not there":       {fmt.Sprintf("service=shoe servicefile=%s passfile=%s", services, passfile), "unable to find service"},
	} {
		t.Run(name, func(t *testing.T) {
			err := l.reached(t, x.url)
			if x.problem == "" {
				require.NoError(t, err)
				require.Equal(t, []string{"true"}, l.rows(t, fmt.Sprintf("SELECT secure::text FROM t WHERE id = %d", serial)))
				return
			}
			require.ErrorContains(t, err, x.problem)
			require.NotContains(t, err.Error(), "canary")
			require.False(t, connectors.IsPermanent(err), "somebody may mend it")
		})
	}
	t.Run("variables", func(t *testing.T) {
		for k, v := range map[string]string{"PGSERVICEFILE": services, "PGSERVICE": "shop", "PGPASSFILE": passfile} {
			t.Setenv(k, v)
		}
		require.NoError(t, l.reached(t, "application_name=loader"))
	})
}
