//go:build unix

package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestWhatLeasesCost counts what a worker of Penstock and one of KCL ask of DynamoDB for the leases of 100 shards to which
// nothing is put, at the same failover time, each else as it is by itself. PENSTOCK_LEASE_MINUTES says for how long.
func TestWhatLeasesCost(t *testing.T) {
	minutes, err := strconv.ParseFloat(os.Getenv("PENSTOCK_LEASE_MINUTES"), 64)
	if err != nil {
		t.Skip("set PENSTOCK_LEASE_MINUTES")
	}
	servers.Need(t, "Kinesis Client Library")
	h := newHandover(t, leasesCounted)
	ours, theirs := newCounter(t, h.table), newCounter(t, servers.DynamoDBFor(t).Endpoint)
	h.table = ours.URL
	penstock := h.penstock(t, "--failover", leaseFailover.String())
	kcl := startKCL(t, h.jars, "kcl", h.server.Endpoint, theirs.URL, "clicks", "kcl", h.dir, "kcl", strconv.Itoa(int(leaseFailover.Milliseconds())))
	ours.owned(t, "polling", penstock)
	theirs.owned(t, "kcl", kcl)
	time.Sleep(leaseFailover) // what is done at first only
	ours.take()
	theirs.take()
	time.Sleep(time.Duration(minutes * float64(time.Minute)))
	hours := leasesCounted * minutes / 60
	cost := map[string]float64{}
	for name, c := range map[string]*counter{"penstock": ours, "kcl3": theirs} {
		requests, items := c.take()
		sum := 0
		for _, n := range requests {
			sum += n
		}
		cost[name] = float64(sum) / hours
		t.Logf("leases: of=%s shards=%d failover=%s minutes=%.1f requests=%d %v requests_a_shard_and_hour=%.0f items_written_a_shard_and_hour=%.0f",
			name, leasesCounted, leaseFailover, minutes, sum, requests, cost[name], float64(items)/hours)
	}
	penstock.alive(t)
	kcl.alive(t)
	ours.owned(t, "polling", penstock)
	require.Greater(t, cost["kcl3"], 3*cost["penstock"])
}

const (
	leasesCounted = 100
	leaseFailover = 30 * time.Second // moto may take seconds for a transaction, on a slow machine
)

// counter is a way to DynamoDB that counts requests by their operation, and the items that they write; those of a transaction
// count twice, as they are charged.
type counter struct {
	*httptest.Server
	mu       sync.Mutex // guards what follows
	requests map[string]int
	written  int
}

func newCounter(t *testing.T, endpoint string) *counter {
	t.Helper()
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	c, proxy := &counter{requests: map[string]int{}}, httputil.NewSingleHostReverseProxy(u)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		c.count(operation, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counter) count(operation string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[operation]++
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem":
		c.written++
	case "TransactWriteItems":
		var t struct{ TransactItems []json.RawMessage }
		_ = json.Unmarshal(body, &t) // the server says what is wrong with it
		c.written += 2 * len(t.TransactItems)
	}
}

// take is what was counted since it was last called.
func (c *counter) take() (requests map[string]int, written int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	requests, written = c.requests, c.written
	c.requests, c.written = map[string]int{}, 0
	return requests, written
}

// owned waits until every lease of a table has an owner.
func (c *counter) owned(t *testing.T, table string, w *worker) {
	t.Helper()
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: &c.URL, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	for limit := time.Now().Add(10 * time.Minute); ; time.Sleep(2 * time.Second) {
		n := 0
		out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
		if err == nil { // the table may not be there yet
			for _, i := range out.Items {
				if i["leaseOwner"] != nil && i["checkpoint"] != nil {
					n++
				}
			}
		}
		if n == leasesCounted {
			return
		}
		require.True(t, time.Now().Before(limit), "only %d of %d leases have an owner: %v", n, leasesCounted, err)
		w.alive(t)
	}
}
