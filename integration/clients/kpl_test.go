package clients

import (
	"cmp"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// userRecords is how many are put with the Kinesis Producer Library.
func userRecords(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PENSTOCK_KPL_RECORDS")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// javas runs programs with the libraries of a class path.
type javas struct {
	classPath string
	trust     string // a key store of PKCS #12 with the server's CA
}

func (j javas) run(t *testing.T, program string, args ...string) {
	t.Helper()
	all := append([]string{
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Djavax.net.ssl.trustStore=" + j.trust, "-Djavax.net.ssl.trustStorePassword=changeit",
		"-cp", j.classPath, filepath.Join("java", "kpl", program),
	}, args...)
	cmd := exec.CommandContext(t.Context(), "java", all...) //nolint:gosec // the tests' own
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	t.Logf("%s: %s", program, said)
}

// TestKPL puts with the Kinesis Producer Library, whose native process speaks HTTPS alone, and reads as the Kinesis Client
// Library does, and with a pipeline.
func TestKPL(t *testing.T) {
	t.Parallel()
	servers.Need(t, "Kinesis Producer Library")
	jars, err := servers.Jars(t.Context(), filepath.Join("java", "kpl", "pom.xml"))
	require.NoError(t, err)
	dir, admin := t.TempDir(), freeAddress(t)
	keys := filepath.Join(dir, "credentials.yaml")
	key, err := iam.Generate(keys)
	require.NoError(t, err)
	server := servetest.New(t, "--tls-self-signed", "--auth", keys, "--admin", admin)
	c := server.ClientOf(t, key.AccessKey, key.Secret.Reveal())
	streams := []string{"flood", "in-turn"}
	for _, name := range streams {
		_, err = c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(4)})
		require.NoError(t, err)
		require.NoError(t, kinesis.NewStreamExistsWaiter(c).Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &name}, time.Minute))
	}
	j := javas{jars, filepath.Join(dir, "trust.p12")}
	said, err := exec.CommandContext(t.Context(), "keytool", "-importcert", "-noprompt", "-file", server.CA(), "-keystore", j.trust, "-storepass", "changeit").CombinedOutput() //nolint:gosec // the tests' own
	require.NoError(t, err, "%s", said)
	records := corpus(userRecords(t))
	host, port, err := net.SplitHostPort(server.Address())
	require.NoError(t, err)
	puts, read := t.TempDir(), t.TempDir()
	j.run(t, "Producer.java", host, port, server.CA(), key.AccessKey, key.Secret.Reveal(), write(t, records), puts)
	j.run(t, "Reader.java", append([]string{server.Endpoint, key.AccessKey, key.Secret.Reveal(), read}, streams...)...)
	data := figures(t, admin)
	for _, name := range streams {
		u := userTally{inTurn: name == "in-turn"}
		u.check(t, records, lines(t, filepath.Join(puts, name)), lines(t, filepath.Join(read, name)))
		t.Logf("campaign=kpl stream=%s user_records=%d aggregated=%d in_records=%d tried_again=%d metrics=%d missing=0 extra=0", name, len(records), u.aggregated, u.stored, u.again, data)
		delivers(t, server, key, name, records)
	}
}

// user is a user record, where it was acknowledged or read.
type user struct{ seq, data string }

// userTally counts the user records of a stream.
type userTally struct {
	inTurn                    bool // each was put after the one before of its key was acknowledged
	aggregated, stored, again int
}

// check holds what was read against what was put: each user record once, at the sequence number that it was acknowledged
// with, and those that were put in turn in that order.
func (u *userTally) check(t *testing.T, records []record, puts, read [][]string) {
	t.Helper()
	type place struct{ key, shard string }
	want, have := map[place][]user{}, map[place][]user{}
	require.Len(t, puts, len(records))
	for i, r := range records {
		require.Equal(t, r.shard(), puts[i][0], "record %d", i)
		if puts[i][2] != "1" {
			u.again++
		}
		p := place{r.key, puts[i][0]}
		want[p] = append(want[p], user{puts[i][1], base64.StdEncoding.EncodeToString(r.data)})
	}
	stored := map[string]bool{}
	for _, f := range read {
		key, err := base64.StdEncoding.DecodeString(f[2])
		require.NoError(t, err)
		if string(key) == "warm up" {
			continue
		}
		stored[f[0]+f[1]] = true
		if f[4] == "true" {
			u.aggregated++
		}
		p := place{string(key), f[0]}
		have[p] = append(have[p], user{f[1], f[3]})
	}
	u.stored = len(stored)
	require.Greater(t, u.aggregated, len(records)*9/10)
	require.Less(t, u.stored, len(records))
	require.Len(t, have, len(want))
	for p, users := range want {
		if !u.inTurn {
			byData := func(a, b user) int { return cmp.Compare(a.data, b.data) }
			slices.SortFunc(users, byData)
			slices.SortFunc(have[p], byData)
		}
		require.True(t, slices.Equal(users, have[p]), "the records of %q in %s are not what was put: %d for %d", p.key, p.shard, len(have[p]), len(users))
	}
}

// figures is how many data of CloudWatch were taken, all of them without an error.
func figures(t *testing.T, admin string) int {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "penstock_cloudwatch_put_metric_data_total{") {
			require.Contains(t, line, `{code="ok"}`)
		}
	}
	m := regexp.MustCompile(`(?m)^penstock_cloudwatch_dropped_metrics_total (\S+)$`).FindSubmatch(text)
	require.NotNil(t, m)
	n, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(t, err)
	require.Positive(t, n)
	return int(n)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // its address is all that is wanted
	return l.Addr().String()
}
