//go:build unix

package workers

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// shards is how many a stream has at first.
const shards = 32

// source is a server with the stream clicks.
type source struct {
	endpoint string
	client   *kinesis.Client
	restart  func() // nil where a server would come back without its records
}

func sourceFor(t *testing.T, name string) source {
	t.Helper()
	var s source
	if name == "penstock" {
		server := servetest.New(t, "--state-delay", "50ms")
		s = source{server.Endpoint, server.Client(t), func() {
			server.Kill()
			server.Restart(t)
		}}
	} else {
		server, err := servers.NewKinesis(t.Context(), name, t.TempDir())
		require.NoError(t, err)
		require.NoError(t, server.Start(t.Context()))
		t.Cleanup(server.Kill)
		s = source{endpoint: server.Endpoint, client: kinesis.New(kinesis.Options{
			Region: "us-east-1", BaseEndpoint: &server.Endpoint, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		})}
	}
	_, err := s.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(shards)})
	require.NoError(t, err)
	require.NoError(t, kinesis.NewStreamExistsWaiter(s.client).Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("clicks")}, time.Minute))
	return s
}

// pipeline is the file of one from the stream to a lake.
func (s source) pipeline(l lake) string {
	return fmt.Sprintf(`version: 1
name: p
source: {kinesis: {stream: clicks, endpoint: '%s', access_key: key, secret_key: '${SECRET}'}, decode: {json: {}}}
buffer: {max_records: 2000, max_age: 1s}
sink: %s
`, s.endpoint, l.sink())
}

// database is a database of PostgreSQL for the state, and what restarts it.
func database(t *testing.T) (url string, restart func()) {
	t.Helper()
	db := servers.PostgresFor(t)
	return db.URL, func() {
		db.Kill()
		require.NoError(t, db.Restart(t.Context()))
	}
}
