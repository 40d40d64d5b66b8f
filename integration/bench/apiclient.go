package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// apiClient is what requests to one server are made by. It does as little as it can: the servers share its processors.
type apiClient struct {
	endpoint string
	address  string
	key      aws.Credentials
	signer   *v4.Signer
	during   time.Duration // how long a job goes on
}

func newAPIClient(endpoint, accessKey, secret string) *apiClient {
	return &apiClient{
		endpoint: endpoint, address: strings.TrimPrefix(endpoint, "http://"),
		key: aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, signer: v4.NewSigner(), during: apiFor,
	}
}

// request is a signed request as it goes over the wire. Servers take it for some minutes, and more than once.
func (c *apiClient) request(ctx context.Context, op string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+op)
	r.Header.Set("User-Agent", "penstock-bench")
	sum := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, c.key, r, hex.EncodeToString(sum[:]), "kinesis", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = r.Write(&out)
	return out.Bytes(), err
}

// connection is one of HTTP/1.1. It is not safe for concurrent use.
type connection struct {
	client *apiClient
	conn   net.Conn
	in     *bufio.Reader
	until  time.Time // when a call is given up; after answerTime if it is zero
	busy   int64     // calls that the server had no room for
	ended  bool      // by the server's last answer
	answer bytes.Buffer
}

func (c *apiClient) connect(ctx context.Context) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	return &connection{client: c, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// again connects anew, to a server that ends a connection with its answer.
func (c *connection) again(ctx context.Context) (err error) {
	c.close()
	if c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.client.address); err != nil {
		return err
	}
	c.in.Reset(c.conn)
	c.ended = false
	return nil
}

// answerTime is how long a call may take.
const answerTime = 2 * time.Minute

// close closes the connection; nothing is under way.
func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close() // the server may have
	}
}

// errBusy says that a server has no room for a call now, which clients then try again.
var errBusy = errors.New("the server is busy")

// send sends a request and returns the answer, which is good until the next call.
func (c *connection) send(ctx context.Context, request []byte) ([]byte, error) {
	if c.ended {
		if err := c.again(ctx); err != nil {
			return nil, err
		}
	}
	until := c.until
	if until.IsZero() {
		until = time.Now().Add(answerTime)
	}
	if err := c.conn.SetDeadline(until); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	c.ended = res.Close
	c.answer.Reset()
	_, err = c.answer.ReadFrom(res.Body)
	_ = res.Body.Close() // it was read
	if err == nil && res.StatusCode == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%w: %.300s", errBusy, c.answer.Bytes())
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.300s", res.StatusCode, c.answer.Bytes())
	}
	return c.answer.Bytes(), err
}

// call signs and sends a request made of JSON, and reads the answer into out, if there is one.
func (c *connection) call(ctx context.Context, op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := c.client.request(ctx, op, body)
	if err != nil {
		return err
	}
	answer, err := c.send(ctx, request)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// object is one of JSON.
type object = map[string]any

// newStream makes a stream and waits for it.
func (c *connection) newStream(ctx context.Context, name string, shards int) error {
	if err := c.call(ctx, "CreateStream", object{"StreamName": name, "ShardCount": shards}, nil); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		var is struct{ StreamDescriptionSummary struct{ StreamStatus string } }
		if err := c.call(ctx, "DescribeStreamSummary", object{"StreamName": name}, &is); err != nil {
			return err
		}
		if is.StreamDescriptionSummary.StreamStatus == "ACTIVE" {
			return nil
		}
	}
	return fmt.Errorf("stream %s does not become active: %w", name, io.ErrNoProgress)
}

// puts are signed requests that put records of noise, so many each; with one, by PutRecord.
func (c *apiClient) puts(ctx context.Context, stream string, calls, each, size int) ([][]byte, error) {
	out := make([][]byte, calls)
	for n := range out {
		entries := make([]object, each)
		for i, r := range makeRecords(n, each, size) {
			entries[i] = object{"Data": r.Data, "PartitionKey": "user-" + strconv.Itoa(n*each+i)}
		}
		op, in := "PutRecords", object{"StreamName": stream, "Records": entries}
		if each == 1 {
			op, in = "PutRecord", entries[0]
			in["StreamName"] = stream
		}
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		if out[n], err = c.request(ctx, op, body); err != nil {
			return nil, err
		}
	}
	return out, nil
}
