//go:build unix

package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
)

func TestServeTakesRecordsAndArchivesThemUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	data, folder, lake := filepath.Join(dir, "data"), filepath.Join(dir, "pipelines"), filepath.Join(dir, "lake")
	require.NoError(t, os.Mkdir(folder, 0o700))
	newStream(t, data)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "p.yaml"), []byte("version: 1\nname: p\nsource: {stream: clicks, decode: {json: {}}}\nbuffer: {max_age: 100ms}\nsink: {file: {path: "+lake+", format: {ndjson: {}}}}\n"), 0o600))
	address, admin := freeAddress(t), freeAddress(t)
	c := spawn(t, "serve", "--auth", "none", "--listen", address, "--data", data, "--pipelines", folder, "--admin", admin)
	require.Eventually(t, func() bool { code, _ := get(t, admin, "/readyz"); return code == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
	client := kinesistest.Client("http://"+address, "key", "secret")
	for range 3 {
		_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: aws.String("a"), Data: []byte(`{"n": 7}`)})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return len(numbers(t, lake)) == 3 }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, []int{7, 7, 7}, numbers(t, lake))
	resp, err := http.PostForm("http://"+address, url.Values{"Action": {"PutMetricData"}, "Namespace": {"app"}, "MetricData.member.1.MetricName": {"Success"}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, figures := get(t, admin, "/metrics")
	require.Contains(t, figures, `penstock_cloudwatch_dropped_metrics_total 1`)
	require.Contains(t, figures, `penstock_kinesis_incoming_records_total{stream="clicks"} 3`)
	require.Contains(t, figures, `penstock_kinesis_put_record_success_total{stream="clicks"} 3`)
	c.signal(syscall.SIGTERM)
	c.ends(20 * time.Second)
	require.Equal(t, exitOK, c.cmd.ProcessState.ExitCode(), c.said)
}

// TestPipelinesOfAFolderWaitForTheirStreams: clients make streams when they come, and delete them; files come and change.
func TestPipelinesOfAFolderWaitForTheirStreams(t *testing.T) {
	dir := t.TempDir()
	folder, lake := filepath.Join(dir, "pipelines"), filepath.Join(dir, "lake")
	require.NoError(t, os.Mkdir(folder, 0o700))
	pipeline := func(name, stream string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".yaml"), []byte("version: 1\nname: "+name+"\nsource: {stream: "+stream+", decode: {json: {}}}\nbuffer: {max_age: 100ms}\nsink: {file: {path: "+lake+", format: {ndjson: {}}}}\n"), 0o600))
	}
	address := freeAddress(t)
	c := spawn(t, "serve", "--auth", "none", "--listen", address, "--data", filepath.Join(dir, "data"), "--pipelines", folder, "--watch", "--state-delay", "0s")
	said := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(c.said.String(), what) }, 20*time.Second, 20*time.Millisecond, "%s", c.said)
	}
	said("serving")
	pipeline("first", "orders") // when none runs
	said("stream orders: no such stream or shard: make it with penstock streams create orders")
	client := kinesistest.Client("http://"+address, "key", "secret")
	put := func(n string) {
		_, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(1)})
		require.NoError(t, err)
		_, err = client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("orders"), PartitionKey: aws.String("a"), Data: []byte(`{"n": ` + n + `}`)})
		require.NoError(t, err)
	}
	put("1")
	require.Eventually(t, func() bool { return len(numbers(t, lake)) == 1 }, 20*time.Second, 20*time.Millisecond, "%s", c.said)
	require.Eventually(t, func() bool { // an open plan may need the stream for a moment
		_, err := client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")})
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	put("2")
	require.Eventually(t, func() bool { return len(numbers(t, lake)) == 2 }, 30*time.Second, 20*time.Millisecond, "%s", c.said)
	pipeline("second", "orders")
	require.Eventually(t, func() bool { return len(numbers(t, lake)) == 3 }, 20*time.Second, 20*time.Millisecond, "%s", c.said)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "third.yaml"), []byte("version: 1\nname: second\n"), 0o600))
	said("pipeline file refused")
	c.signal(syscall.SIGTERM)
	c.ends(20 * time.Second)
	require.Equal(t, exitOK, c.cmd.ProcessState.ExitCode(), c.said)
}

func TestServeRefusesWhatIsNotSafe(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for flags, want := range map[string]string{
		"--auth none --listen 0.0.0.0:0":                                  "asks nobody who they are: use 127.0.0.1",
		"--auth /not/here --listen 127.0.0.1:0":                           "/not/here",
		"--auth none --listen 127.0.0.1:0 --listen 0.0.0.0:0":             "asks nobody who they are: use 127.0.0.1",
		"--auth none --listen https://0.0.0.0:0 --tls-self-signed":        "asks nobody who they are: use 127.0.0.1",
		"--listen tls://127.0.0.1:0":                                      "https://HOST:PORT",
		"--listen https://127.0.0.1:0":                                    "needs a certificate",
		"--listen http://127.0.0.1:0 --tls-self-signed":                   "no --listen speaks TLS",
		"--listen 127.0.0.1:0 --tls-cert a.pem":                           "--tls-cert and --tls-key need each other",
		"--listen 127.0.0.1:0 --tls-key a.pem":                            "--tls-cert and --tls-key need each other",
		"--listen 127.0.0.1:0 --tls-cert a --tls-key a --tls-self-signed": "use one of them",
		"--listen 127.0.0.1:0 --tls-cert /not/here --tls-key /not/there":  "/not/here",
		"--listen 127.0.0.1:0 --tls-self-signed --tls-name a.example:1":   "without a port",
		"--listen 127.0.0.1:0 --tls-name a.example":                       "--tls-self-signed",
		"--listen 127.0.0.1:0 --tls-client-ca a.pem":                      "needs TLS",
		"--listen 127.0.0.1:0 --allow 10.0.0.1/8":                         "want a network",
		"--listen 127.0.0.1:0 --max-connections 0":                        "--max-connections",
		"--auth none --listen 127.0.0.1:0 --account 12":                   "12 digits",
		"--auth none --listen 127.0.0.1:0 --pipelines /not/here":          "no such file or directory",
		"--auth none --listen 127.0.0.1:0 --limits some":                  "none or aws",
		"--auth none --listen 127.0.0.1:0 --limits aws --limits-factor 0": "--limits-factor",
	} {
		code, _, errOut := command(t, append([]string{"serve", "--data", data}, strings.Fields(flags)...)...)
		require.Equal(t, exitUsage, code, flags)
		require.Contains(t, errOut, want, flags)
	}
}

func TestServeMakesAKeyAndChecksIt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	address, admin := freeAddress(t), freeAddress(t)
	begin := func() *child {
		c := spawn(t, "serve", "--listen", address, "--data", data, "--admin", admin)
		require.Eventually(t, func() bool { code, _ := get(t, admin, "/readyz"); return code == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
		return c
	}
	end := func(c *child) string {
		c.signal(syscall.SIGTERM)
		c.ends(20 * time.Second)
		return c.said.String()
	}
	c := begin()
	said := regexp.MustCompile(`AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+)`).FindStringSubmatch(c.said.String())
	require.Len(t, said, 3, c.said)
	_, err := kinesistest.Client("http://"+address, said[1], said[2]).CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("a"), ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	_, err = kinesistest.Client("http://"+address, said[1], "another-secret").ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	require.ErrorContains(t, err, "InvalidSignatureException")
	end(c)
	info, err := os.Stat(filepath.Join(data, "credentials.yaml"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	c = begin()
	out, err := kinesistest.Client("http://"+address, said[1], said[2]).ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, out.StreamNames)
	require.NotContains(t, end(c), said[2], "it is shown once")
}
