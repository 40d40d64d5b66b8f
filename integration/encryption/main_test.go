// Package encryption tests streams that a key service has the master keys of, on real servers of that API.
package encryption

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// serve starts penstock over the master keys of k, which need not be there yet.
func serve(t *testing.T, k *servers.KMS, flags ...string) *servetest.Server {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	t.Setenv("AWS_REGION", "us-east-1")
	return servetest.New(t, append([]string{"--state-delay", "0s", "--encryption-kms", k.Endpoint}, flags...)...)
}

// stream is one of the server's, of one shard.
type stream struct {
	client *kinesis.Client
	name   *string
}

func newStream(t *testing.T, s *servetest.Server, name string) stream {
	t.Helper()
	_, err := s.Client(t).CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	return of(t, s, name)
}

func of(t *testing.T, s *servetest.Server, name string) stream {
	t.Helper()
	return stream{s.Client(t), &name}
}

func (x stream) encrypt(ctx context.Context, key string) error {
	_, err := x.client.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: x.name, EncryptionType: "KMS", KeyId: &key})
	return err
}

// put puts a record whose partition key is a canary too.
func (x stream) put(ctx context.Context, data string) error {
	_, err := x.client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: x.name, PartitionKey: aws.String("key-of-" + data), Data: []byte(data)})
	return err
}

// get are the records of the stream as far as it can be read.
func (x stream) get(ctx context.Context) ([]string, error) {
	c := x.client
	it, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: x.name, ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
	if err != nil {
		return nil, err
	}
	var got []string
	next := it.ShardIterator
	for {
		out, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return got, err
		}
		for _, r := range out.Records {
			if want := "key-of-" + string(r.Data); *r.PartitionKey != want {
				return nil, fmt.Errorf("partition key %s, want %s", *r.PartitionKey, want)
			}
			got = append(got, string(r.Data))
		}
		if len(out.Records) == 0 {
			return got, nil
		}
		next = out.NextShardIterator
	}
}

// code is that of the service's error; empty for none.
func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var said smithy.APIError
	require.ErrorAs(t, err, &said)
	return said.ErrorCode()
}

// onDisk are the files below a folder that have a text, as it is or in base64.
func onDisk(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	forms := [][]byte{[]byte(text)}
	for skip := range 3 { // wherever its first byte stands in three
		forms = append(forms, []byte(base64.StdEncoding.EncodeToString([]byte(text)[skip:])[:len(text)-skip]))
	}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, form := range forms {
			if bytes.Contains(b, form) {
				found = append(found, path)
			}
		}
		return err
	}))
	return found
}

// command runs a command of penstock in a folder.
func command(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), servetest.Command(t), args...) //nolint:gosec // the binary of the tests
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
}
