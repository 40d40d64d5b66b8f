//go:build linux

package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

const (
	patience  = 10 * time.Second // until what is refused is
	mostGrown = 96 << 20         // of the server's memory: 64 MiB, which it mostly stays under, and the collector's luck
)

// beset is a server that is being put to while it is attacked, and whose memory is watched.
type beset struct {
	*servetest.Server
	sdk  *kinesis.Client
	puts atomic.Int64
	fail atomic.Pointer[error]
	most atomic.Int64
	base int64
	room int64 // that many connections may take beside

	mu    sync.Mutex // guards what follows
	times []time.Duration
}

func besiege(t *testing.T, flags ...string) *beset {
	t.Helper()
	servers.Need(t, "penstock")
	b := &beset{Server: servetest.New(t, flags...)}
	b.sdk = b.Client(t)
	_, err := b.sdk.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("normal"), ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.put(t.Context()) == nil }, patience, 50*time.Millisecond)
	for range 200 {
		require.NoError(t, b.put(t.Context()))
	}
	large := &kinesis.PutRecordsInput{StreamName: aws.String("normal")} // the largest request that there is: what it leaves is no bomb's
	for range 10 {
		large.Records = append(large.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, 1_000_000)})
	}
	_, err = b.sdk.PutRecords(t.Context(), large)
	require.NoError(t, err)
	b.base, err = rss(b.PID())
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			began := time.Now()
			if err := b.put(ctx); err != nil && ctx.Err() == nil {
				b.fail.Store(&err)
				return
			}
			b.puts.Add(1)
			b.mu.Lock()
			b.times = append(b.times, time.Since(began))
			b.mu.Unlock()
			if now, err := rss(b.PID()); err == nil {
				b.most.Store(max(b.most.Load(), now))
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if err := b.fail.Load(); err != nil {
			t.Error("a put failed meanwhile: ", *err)
		}
		grown := b.most.Load() - b.base
		t.Logf("puts=%d rss=%d MiB, %+d MiB at most", b.puts.Load(), b.base>>20, grown>>20)
		if grown > mostGrown+b.room {
			t.Errorf("the server grew by %d MiB", grown>>20)
		}
	})
	return b
}

// put puts one record.
func (b *beset) put(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := b.sdk.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("normal"), PartitionKey: aws.String("k"), Data: []byte("data")})
	return err
}

// goesOn waits until some more records were put, and puts one over a new connection.
func (b *beset) goesOn(t *testing.T) {
	t.Helper()
	require.Contains(t, b.raw(t, "Content-Length: 53\r\n", func(w io.Writer) error {
		_, err := io.WriteString(w, `{"StreamName":"normal","PartitionKey":"k","Data":""}`+"\n")
		return err
	}), "SequenceNumber")
	from := b.puts.Load()
	require.Eventually(t, func() bool { return b.puts.Load() >= from+3 || b.fail.Load() != nil }, 2*patience, 10*time.Millisecond, "puts do not go on")
}

func TestResourceBombsAreRefused(t *testing.T) {
	b := besiege(t, "--shard-limit", "100")
	n := &node{url: b.Endpoint}
	deep := func(open, end string) []byte {
		return []byte(`{"StreamName":"a","x":` + strings.Repeat(open, 200_000) + strings.Repeat(end, 200_000) + `}`)
	}
	many := func(open, each, end string) []byte {
		var w bytes.Buffer
		w.WriteString(`{"StreamName":"normal",` + open)
		for i := range 1_000_000 {
			if i > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(&w, each, i)
		}
		return append(w.Bytes(), (end + "}")...)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(make([]byte, 100<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	const serialization = "SerializationException"
	for name, c := range map[string]struct {
		protocol  protocol
		operation string
		doc       []byte
		code      string
	}{
		"1e9 shards":                   {jsonText, "CreateStream", []byte(`{"StreamName":"a","ShardCount":1000000000}`), "LimitExceededException"},
		"2^31-1 shards":                {jsonText, "CreateStream", []byte(`{"StreamName":"a","ShardCount":2147483647}`), "LimitExceededException"},
		"1e11 shards":                  {jsonText, "CreateStream", []byte(`{"StreamName":"a","ShardCount":100000000000}`), serialization},
		"2^31-1 shards of one":         {jsonText, "UpdateShardCount", []byte(`{"StreamName":"normal","TargetShardCount":2147483647,"ScalingType":"UNIFORM_SCALING"}`), "LimitExceededException"},
		"2^31-1 MiB":                   {jsonText, "UpdateStreamWarmThroughput", []byte(`{"StreamName":"normal","WarmThroughputMiBps":2147483647}`), ""},
		"lists in lists":               {jsonText, "CreateStream", deep("[", "]"), serialization},
		"objects in objects":           {jsonText, "CreateStream", deep(`{"x":`, `}`), serialization},
		"lists in lists, CBOR":         {awsCBOR, "CreateStream", []byte("\xa1\x61x" + strings.Repeat("\x81", 200_000) + "\x80"), serialization},
		"maps in maps, CBOR":           {smithyRPC, "CreateStream", []byte("\xa1\x61x" + strings.Repeat("\xa1\x61x", 200_000) + "\x80"), serialization},
		"tags of tags":                 {awsCBOR, "CreateStream", []byte("\xa1\x61x" + strings.Repeat("\xc1", 200_000) + "\x80"), serialization},
		"open lists":                   {awsCBOR, "CreateStream", []byte("\xa1\x61x" + strings.Repeat("\x9f", 200_000)), serialization},
		"a list of 2^62":               {awsCBOR, "PutRecords", []byte("\xa1\x67Records\x9b\x40\x00\x00\x00\x00\x00\x00\x00"), serialization},
		"a map of 2^62":                {smithyRPC, "PutRecords", []byte("\xbb\x40\x00\x00\x00\x00\x00\x00\x00"), serialization},
		"a text of 2^62":               {awsCBOR, "CreateStream", []byte("\xa1\x6aStreamName\x7b\x40\x00\x00\x00\x00\x00\x00\x00"), serialization},
		"bytes of 2^62":                {awsCBOR, "PutRecord", []byte("\xa1\x64Data\x5b\x40\x00\x00\x00\x00\x00\x00\x00"), serialization},
		"unknown bytes of 2^64-1":      {awsCBOR, "PutRecord", []byte("\xa1\x61x\x5b\xff\xff\xff\xff\xff\xff\xff\xff"), serialization},
		"a million tags":               {jsonText, "AddTagsToStream", many(`"Tags":{`, `"%d":""`, `}`), serialization},
		"a million keys of tags":       {jsonText, "RemoveTagsFromStream", many(`"TagKeys":[`, `"%d"`, `]`), serialization},
		"a million records":            {jsonText, "PutRecords", many(`"Records":[`, `{"x":%d}`, `]`), serialization},
		"a million unknown members":    {jsonText, "DescribeStream", many(`"x":{`, `"%d":0`, `}`), ""},
		"gzip of 100 MiB":              {jsonText, "PutRecord", packed.Bytes(), serialization},
		"40 MiB":                       {jsonText, "PutRecord", make([]byte, 40<<20), "RequestEntityTooLargeException"},
		"a number of a million digits": {jsonText, "CreateStream", []byte(`{"StreamName":"a","ShardCount":1` + strings.Repeat("0", 1_000_000) + `}`), serialization},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			a := n.post(t, c.protocol, c.operation, c.doc)
			require.Less(t, time.Since(began), patience)
			out, err := c.protocol.decode(a.doc)
			require.NoError(t, err)
			require.Less(t, a.status, http.StatusInternalServerError, "%v", out)
			if c.code != "" {
				require.Equal(t, c.code, fields(out)["__type"], "%.300v", out)
			}
			b.goesOn(t)
		})
	}
	t.Run("streams without end", func(t *testing.T) {
		refused := 0
		for i := range 300 {
			a := n.post(t, jsonText, "CreateStream", fmt.Appendf(nil, `{"StreamName":"more-%d","ShardCount":1}`, i))
			require.Less(t, a.status, http.StatusInternalServerError, "%s", a.doc)
			if a.status != http.StatusOK {
				require.Contains(t, string(a.doc), "LimitExceededException")
				refused++
			}
		}
		require.Equal(t, 300-99, refused)
	})
	t.Run("40 MiB in chunks", func(t *testing.T) {
		require.Contains(t, b.raw(t, "Transfer-Encoding: chunked\r\n", func(w io.Writer) error {
			chunk := []byte("10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n")
			for range 40 << 20 >> 16 {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
			}
			return nil
		}), "RequestEntityTooLargeException")
		b.goesOn(t)
	})
	t.Run("cut in the middle", func(t *testing.T) {
		for range 50 {
			said := b.raw(t, "Content-Length: 10000000\r\n", func(w io.Writer) error {
				_, _ = io.WriteString(w, `{"StreamName":"normal","Data":"`) // answered below
				return w.(*net.TCPConn).CloseWrite()
			})
			require.Contains(t, said, "SerializationException")
		}
		b.goesOn(t)
	})
}

// raw sends a PutRecord whose body is what write writes, and returns the answer.
func (b *beset) raw(t *testing.T, header string, write func(io.Writer) error) string {
	t.Helper()
	c := b.dial(t)
	defer c.Close() //nolint:errcheck // read to its end
	if strings.HasPrefix(b.Endpoint, "https") {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // who it is is known
	}
	require.NoError(t, c.SetDeadline(time.Now().Add(2*patience)))
	_, err := io.WriteString(c, head+header+"\r\n")
	require.NoError(t, err)
	go func() { _ = write(c) }() // refused before its end
	text, _ := io.ReadAll(c)     // or until the connection is reset
	return string(text)
}

// head begins a request.
const head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.PutRecord\r\n"

func (b *beset) dial(t *testing.T) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", b.Address())
	require.NoError(t, err)
	return c
}
