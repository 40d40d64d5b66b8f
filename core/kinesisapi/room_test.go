package kinesisapi

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
	"github.com/penstock/penstock/core/memory"
)

// within is the API whose requests share a budget, and a shard of eight records of a MiB.
func within(t *testing.T) (*server, *memory.Budget, *string) {
	t.Helper()
	budget, err := memory.New(memory.Default)
	require.NoError(t, err)
	api, s := newAPI(t, instant)
	h := httptest.NewServer(awsapi.New(api.Service(), awsapi.Config{Guard: awsapi.Anyone, Memory: budget}))
	t.Cleanup(h.Close)
	s.Client, s.url = kinesistest.Client(h.URL, "key", "secret"), h.URL
	s.stream(t, "clicks", 1)
	for i := range 8 {
		data := append(bytes.Repeat([]byte("x"), 1<<20-100), byte('0'+i))
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: data, PartitionKey: aws.String("a")})
		require.NoError(t, err)
	}
	return s, budget, s.iterator(t, kinesis.GetShardIteratorInput{StreamName: aws.String("clicks"), ShardId: aws.String("shardId-000000000000"), ShardIteratorType: "TRIM_HORIZON"})
}

func TestAnAnswerHoldsMemoryUntilItIsSent(t *testing.T) {
	s, budget, it := within(t)
	held := func() int64 { reading, _ := budget.Used(); return reading }
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer c.Close() //nolint:errcheck // closed below
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(4<<10))
	doc := `{"ShardIterator":"` + *it + `"}`
	_, err = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.GetRecords\r\nContent-Length: %d\r\n\r\n%s", len(doc), doc)
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 100)) // it is made and being sent
	require.NoError(t, err)
	require.Greater(t, held(), int64(8<<20))
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return held() == 0 }, 20*time.Second, time.Millisecond)
}

func TestAnswersAreSmallerWhereMemoryIsShort(t *testing.T) {
	s, budget, it := within(t)
	other := budget.Holder()
	room, err := other.Take(t.Context(), budget.Reading()-6<<20)
	require.NoError(t, err)
	records, last := s.drain(t, it, 100)
	require.Equal(t, 8, len(records)) //nolint:testifylint // megabytes of them would be printed
	for i, r := range records {
		require.Equal(t, byte('0'+i), r.Data[len(r.Data)-1])
	}
	first, err := s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
	require.NoError(t, err)
	require.Equal(t, 1, len(first.Records)) //nolint:testifylint // as above
	require.Positive(t, *first.MillisBehindLatest)
	room.Give()
	whole, err := s.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
	require.NoError(t, err)
	require.Equal(t, 8, len(whole.Records)) //nolint:testifylint // as above
	require.NotNil(t, last.NextShardIterator)
}
