package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// canary is a secret that must be seen nowhere.
type canary struct{ name, value string }

// forms are the ways in which a secret could be seen.
func (c canary) forms() []string {
	return []string{
		c.value, url.QueryEscape(c.value), base64.StdEncoding.EncodeToString([]byte(c.value)), base64.RawURLEncoding.EncodeToString([]byte(c.value)),
		hex.EncodeToString([]byte(c.value)), fmt.Sprintf("%d", []byte(c.value)),
	}
}

// listener looks for canaries in all that a user is shown and all that is left behind.
type listener struct {
	u        *user
	canaries []canary
	commands int
	bytes    int
}

// look fails when a canary stands in text.
func (l *listener) look(t *testing.T, where string, text []byte) {
	t.Helper()
	l.bytes += len(text)
	for _, c := range l.canaries {
		for _, form := range c.forms() {
			require.False(t, bytes.Contains(text, []byte(form)), "%s shows %s:\n%.3000s", where, c.name, text)
		}
	}
}

// typed runs a command, as text and as JSON, and looks at what it says.
func (l *listener) typed(t *testing.T, want int, args ...string) {
	t.Helper()
	for _, more := range [][]string{nil, {"--json"}} {
		code, out, errOut := l.u.try(t, nil, append(args, more...)...)
		l.commands++
		if want >= 0 {
			require.Equal(t, want, code, "%v: %s", args, errOut)
		}
		l.look(t, fmt.Sprint(args), []byte(out+errOut))
	}
}

// tree looks at every file below a folder.
func (l *listener) tree(t *testing.T, dir string) {
	t.Helper()
	for name, text := range lakeOf(t, dir) {
		l.look(t, name, text)
		l.look(t, "the name of a file", []byte(name))
	}
}

const secretive = `version: 1
name: %s
source: {stream: in, decode: {json: {}}}
stages:
  - hash: {columns: [user], algorithm: sha256, salt: '${SALT}'}
sink: {s3: {endpoint: '%s', bucket: %s, access_key: '${KEY}', secret_key: '${SECRET}', %s prefix: 'lake/', format: %s}}
`

// TestSecretsAreShownNowhere drives commands into success and every failure with canaries for secrets, and looks for them
// in what is printed, in the data directory and in the bucket.
func TestSecretsAreShownNowhere(t *testing.T) {
	server := servers.S3For(t, "versitygw")
	salt, token, addressed := canary{"the salt", "salt-canary-7Qx/+2=&"}, canary{"the session token", "token-canary+9/Zk%&"}, canary{"a secret in a URL", "urlcanary8472"}
	wrong := canary{"a wrong secret key", "wrong-canary/55+%"}
	u := newUser(t, "KEY="+server.AccessKey, "SECRET="+server.SecretKey, "SALT="+salt.value, "TOKEN="+token.value, "WRONG="+wrong.value,
		"URL=http://user:"+addressed.value+"@127.0.0.1:1", "QUERY=http://127.0.0.1:1/?password="+addressed.value, "DEAD=http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED=true")
	l := &listener{u: u, canaries: []canary{salt, token, addressed, wrong, {"the secret key", server.SecretKey}}}
	b := bucket(t, server)
	write := func(name, endpoint, bucket, more, format string) string {
		return u.write(t, name+".yaml", fmt.Sprintf(secretive, name, endpoint, bucket, more, format))
	}
	good := write("good", server.Endpoint, b, "", "{parquet: {}}")
	nd := write("nd", server.Endpoint, b, "", "{ndjson: {compression: none}}")
	l.typed(t, -1, "streams", "create", "in")
	code, _, errOut := u.try(t, []byte("{\"user\":\"u1\",\"n\":1}\n{broken\n{\"user\":{\"a\":1},\"n\":2}\n"), "put", "in")
	require.Zero(t, code, errOut)

	for _, args := range [][]string{
		{"lint", good, nd},
		{"schema"},
		{"dry-run", good},
		{"run", good, nd, "--until-caught-up", "--log-level", "debug"},
		{"run", good, "--until-caught-up", "--log-format", "json", "--log-level", "debug"},
		{"verify", good, nd},
		{"pipelines", "list"},
		{"pipelines", "describe", "good"},
		{"dlq", "list", "good.dead"},
		{"dlq", "show", "good.dead", "1"},
		{"streams", "describe", "in"},
		{"streams", "list"},
		{"tail", "in"},
	} {
		l.typed(t, 0, args...)
	}
	for name, text := range map[string]string{
		"token":       write("token", server.Endpoint, b, "session_token: '${TOKEN}',", "{parquet: {}}"),
		"wrong":       u.write(t, "wrong.yaml", strings.ReplaceAll(fmt.Sprintf(secretive, "wrong", server.Endpoint, b, "", "{parquet: {}}"), "${SECRET}", "${WRONG}")),
		"no bucket":   write("nobucket", server.Endpoint, "not-there", "", "{parquet: {}}"),
		"in a URL":    write("inurl", "${URL}", b, "", "{parquet: {}}"),
		"in a query":  write("inquery", "${QUERY}", b, "", "{parquet: {}}"),
		"misplaced":   u.write(t, "misplaced.yaml", strings.ReplaceAll(fmt.Sprintf(secretive, "misplaced", server.Endpoint, "'${SECRET}'", "region: ['${TOKEN}'], addressing: '${SALT}',", "{parquet: {compression: '${WRONG}'}}"), "algorithm: sha256", "algorithm: '${SALT}'")),
		"plain":       u.write(t, "plain.yaml", strings.ReplaceAll(fmt.Sprintf(secretive, "plain", server.Endpoint, b, "session_token: "+token.value+",", "{parquet: {}}"), "'${SALT}'", "'"+salt.value+"'")),
		"a name":      u.write(t, "aname.yaml", "version: 1\nname: '${SALT}'\nsource: {stream: '${TOKEN}', start: '${WRONG}', decode: {'json': '${SECRET}'}}\nsink: {file: {path: x, prefix: '!{${SALT}}', target_file_size: '${TOKEN}'}}\nbuffer: {max_age: '${WRONG}', max_records: '${SECRET}'}\n"),
		"unset":       u.write(t, "unset.yaml", strings.ReplaceAll(fmt.Sprintf(secretive, "unset", "${DEAD}", b, "", "{parquet: {}}"), "${KEY}", "${NOTSET}")),
		"unreachable": write("unreachable", "${DEAD}", b, "session_token: '${TOKEN}',", "{parquet: {}}"),
		"no reading":  filepath.Join(u.dir, "not-there.yaml"),
	} {
		for _, command := range []string{"lint", "run", "verify", "dry-run", "test"} {
			args := []string{command, text}
			if command == "run" {
				args = append(args, "--until-caught-up", "--log-level", "debug")
			}
			began := time.Now()
			l.typed(t, -1, args...)
			t.Logf("%s, %s: %s", name, command, time.Since(began).Round(time.Millisecond))
		}
	}
	l.tree(t, filepath.Join(u.dir, "penstock-data"))
	found, err := objects(t.Context(), server, b)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	for name, text := range found {
		l.look(t, "object "+name, text)
	}
	t.Logf("campaign=secrets canaries=%d commands=%d bytes=%d hits=0", len(l.canaries), l.commands, l.bytes)
}
