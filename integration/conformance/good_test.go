package conformance

import (
	"bytes"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/kinesisapi"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// node is a server with a past of its own. Servers that are asked for the same have the same one.
type node struct {
	url   string
	made  int // streams and consumers
	taken int // shards that were subscribed to
}

const (
	still = "still" // a stream that is only read, of many shards, with a consumer, tags, a policy and a record in each shard
	arnOf = "arn:aws:kinesis:us-east-1:000000000000:stream/"

	manyShards = 500
)

func newNode(t *testing.T) *node {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	store := stream.NewStore(e, c, "test")
	store.SetMasters(masters(t), stream.KeyLimits{})
	api, err := kinesisapi.New(t.Context(), store, c, kinesisapi.Config{Delay: -1})
	require.NoError(t, err)
	h := httptest.NewServer(awsapi.New(api.Service(), awsapi.Config{Guard: awsapi.Anyone}))
	t.Cleanup(func() {
		h.Close()
		require.NoError(t, c.Close())
		require.NoError(t, e.Close())
	})
	n := &node{url: h.URL}
	n.do(t, "CreateStream", object{{"StreamName", still}, {"ShardCount", int64(manyShards)}, {"Tags", object{{"a", "1"}, {"b", "2"}}}})
	n.do(t, "PutResourcePolicy", object{{"ResourceARN", arnOf + still}, {"Policy", policy(still)}})
	n.do(t, "RegisterStreamConsumer", object{{"StreamARN", arnOf + still}, {"ConsumerName", "reader"}})
	records := []any{} // one in each shard
	for i := range int64(manyShards) {
		hash := new(big.Int).Lsh(big.NewInt(2*i+1), 127)
		records = append(records, object{{"PartitionKey", "k"}, {"ExplicitHashKey", hash.Div(hash, big.NewInt(manyShards)).String()}, {"Data", []byte("\x00\xff data")}})
	}
	n.do(t, "PutRecords", object{{"StreamName", still}, {"Records", records}})
	return n
}

const masterKey = "alias/one"

// masters are a file of one master key.
func masters(t *testing.T) sealing.Masters {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	require.NoError(t, os.WriteFile(path, []byte(masterKey+": MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600))
	f, err := sealing.OpenFile(path)
	require.NoError(t, err)
	return f
}

func policy(of string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"kinesis:PutRecord","Resource":"` + arnOf + of + `"}]}`
}

// answer is what a server said.
type answer struct {
	status int
	kind   string
	doc    []byte
	events io.ReadCloser // in the place of a document
}

// post sends a document.
func (n *node) post(t *testing.T, p protocol, operation string, doc []byte) answer {
	t.Helper()
	url := n.url
	if p == smithyRPC {
		url += "/service/Kinesis_20131202/operation/" + operation
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(doc))
	require.NoError(t, err)
	switch p {
	case jsonText:
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	case awsCBOR:
		r.Header.Set("Content-Type", "application/x-amz-cbor-1.1")
	case smithyRPC:
		r.Header.Set("Content-Type", "application/cbor")
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	}
	if p != smithyRPC {
		r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	if resp.Header.Get("Content-Type") == "application/vnd.amazon.eventstream" {
		return answer{resp.StatusCode, resp.Header.Get("Content-Type"), nil, resp.Body}
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), body, nil}
}

// do asks for what cannot go wrong.
func (n *node) do(t *testing.T, operation string, doc object) map[string]any {
	t.Helper()
	a := n.post(t, jsonText, operation, jsonText.encode(doc))
	require.Equal(t, http.StatusOK, a.status, "%s: %s", operation, a.doc)
	v, err := jsonText.decode(a.doc)
	require.NoError(t, err)
	return fields(v)
}

// stream makes one, and returns its name.
func (n *node) stream(t *testing.T, with ...member) string {
	t.Helper()
	n.made++
	name := fmt.Sprintf("s-%d", n.made)
	n.do(t, "CreateStream", append(object{{"StreamName", name}, {"ShardCount", int64(2)}}, with...))
	return name
}

func (n *node) iterator(t *testing.T, stream string) string {
	t.Helper()
	out := n.do(t, "GetShardIterator", object{{"StreamName", stream}, {"ShardId", "shardId-000000000000"}, {"ShardIteratorType", "TRIM_HORIZON"}})
	return out["ShardIterator"].(string)
}

// good makes a request of each operation, and whatever has to be there for it to be done.
var good = map[string]func(*testing.T, *node) object{
	"AddTagsToStream": func(t *testing.T, n *node) object { return object{name(n.stream(t)), {"Tags", object{{"a", "1"}}}} },
	"CreateStream": func(_ *testing.T, n *node) object {
		n.made++
		return object{name(fmt.Sprintf("s-%d", n.made)), {"ShardCount", int64(1)}}
	},
	"DeleteResourcePolicy":    policed,
	"DeleteStream":            func(t *testing.T, n *node) object { return object{name(n.stream(t))} },
	"DescribeAccountSettings": func(*testing.T, *node) object { return object{} },
	"DescribeLimits":          func(*testing.T, *node) object { return object{} },
	"DescribeStream":          func(*testing.T, *node) object { return object{name(still)} },
	"DescribeStreamConsumer": func(*testing.T, *node) object {
		return object{{"StreamARN", arnOf + still}, {"ConsumerName", "reader"}}
	},
	"DescribeStreamSummary": func(*testing.T, *node) object { return object{name(still)} },
	"DecreaseStreamRetentionPeriod": func(t *testing.T, n *node) object {
		s := n.stream(t)
		n.do(t, "IncreaseStreamRetentionPeriod", object{name(s), {"RetentionPeriodHours", int64(48)}})
		return object{name(s), {"RetentionPeriodHours", int64(30)}}
	},
	"DeregisterStreamConsumer": func(t *testing.T, n *node) object {
		s := n.stream(t)
		n.do(t, "RegisterStreamConsumer", object{{"StreamARN", arnOf + s}, {"ConsumerName", "c"}})
		return object{{"StreamARN", arnOf + s}, {"ConsumerName", "c"}}
	},
	"DisableEnhancedMonitoring": func(t *testing.T, n *node) object {
		s := n.stream(t)
		n.do(t, "EnableEnhancedMonitoring", object{name(s), {"ShardLevelMetrics", []any{"ALL"}}})
		return object{name(s), {"ShardLevelMetrics", []any{"IncomingBytes"}}}
	},
	"EnableEnhancedMonitoring": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"ShardLevelMetrics", []any{"IncomingBytes"}}}
	},
	"GetRecords":        func(t *testing.T, n *node) object { return object{{"ShardIterator", n.iterator(t, still)}} },
	"GetResourcePolicy": func(*testing.T, *node) object { return object{{"ResourceARN", arnOf + still}} },
	"GetShardIterator": func(*testing.T, *node) object {
		return object{name(still), {"ShardId", "shardId-000000000000"}, {"ShardIteratorType", "LATEST"}}
	},
	"StartStreamEncryption": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"EncryptionType", "KMS"}, {"KeyId", masterKey}}
	},
	"StopStreamEncryption": func(t *testing.T, n *node) object {
		s := n.stream(t)
		n.do(t, "StartStreamEncryption", object{name(s), {"EncryptionType", "KMS"}, {"KeyId", masterKey}})
		return object{name(s), {"EncryptionType", "KMS"}, {"KeyId", masterKey}}
	},
	"IncreaseStreamRetentionPeriod": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"RetentionPeriodHours", int64(48)}}
	},
	"ListShards":          func(*testing.T, *node) object { return object{name(still)} },
	"ListStreamConsumers": func(*testing.T, *node) object { return object{{"StreamARN", arnOf + still}} },
	"ListStreams":         func(*testing.T, *node) object { return object{} },
	"ListTagsForResource": func(*testing.T, *node) object { return object{{"ResourceARN", arnOf + still}} },
	"ListTagsForStream":   func(*testing.T, *node) object { return object{name(still)} },
	"MergeShards": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"ShardToMerge", "shardId-000000000000"}, {"AdjacentShardToMerge", "shardId-000000000001"}}
	},
	"PutRecord": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"Data", []byte("data")}, {"PartitionKey", "k"}}
	},
	"PutRecords": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"Records", []any{object{{"Data", []byte("data")}, {"PartitionKey", "k"}}}}}
	},
	"PutResourcePolicy": func(t *testing.T, n *node) object {
		s := n.stream(t)
		return object{{"ResourceARN", arnOf + s}, {"Policy", policy(s)}}
	},
	"RegisterStreamConsumer": func(t *testing.T, n *node) object {
		return object{{"StreamARN", arnOf + n.stream(t)}, {"ConsumerName", "c"}}
	},
	"RemoveTagsFromStream": func(t *testing.T, n *node) object {
		return object{name(n.stream(t, member{"Tags", object{{"a", "1"}}})), {"TagKeys", []any{"a"}}}
	},
	"SplitShard": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"ShardToSplit", "shardId-000000000000"}, {"NewStartingHashKey", "1000"}}
	},
	"SubscribeToShard": func(t *testing.T, n *node) object {
		c := n.do(t, "DescribeStreamConsumer", object{{"StreamARN", arnOf + still}, {"ConsumerName", "reader"}})
		n.taken++
		return object{
			{"ConsumerARN", fields(c["ConsumerDescription"])["ConsumerARN"]},
			{"ShardId", fmt.Sprintf("shardId-%012d", (n.taken-1)%manyShards)},
			{"StartingPosition", object{{"Type", "TRIM_HORIZON"}}},
		}
	},
	"TagResource": func(t *testing.T, n *node) object {
		return object{{"ResourceARN", arnOf + n.stream(t)}, {"Tags", object{{"a", "1"}}}}
	},
	"UntagResource": func(t *testing.T, n *node) object {
		return object{{"ResourceARN", arnOf + n.stream(t, member{"Tags", object{{"a", "1"}}})}, {"TagKeys", []any{"a"}}}
	},
	"UpdateAccountSettings": func(*testing.T, *node) object {
		return object{{"MinimumThroughputBillingCommitment", object{{"Status", "ENABLED"}}}}
	},
	"UpdateMaxRecordSize": func(t *testing.T, n *node) object {
		return object{{"StreamARN", arnOf + n.stream(t)}, {"MaxRecordSizeInKiB", int64(2048)}}
	},
	"UpdateShardCount": func(t *testing.T, n *node) object {
		return object{name(n.stream(t)), {"TargetShardCount", int64(3)}, {"ScalingType", "UNIFORM_SCALING"}}
	},
	"UpdateStreamMode": func(t *testing.T, n *node) object {
		return object{{"StreamARN", arnOf + n.stream(t)}, {"StreamModeDetails", object{{"StreamMode", "PROVISIONED"}}}}
	},
	"UpdateStreamWarmThroughput": func(t *testing.T, n *node) object {
		n.do(t, "UpdateAccountSettings", object{{"MinimumThroughputBillingCommitment", object{{"Status", "ENABLED"}}}})
		n.made++
		s := fmt.Sprintf("s-%d", n.made)
		n.do(t, "CreateStream", object{name(s), {"StreamModeDetails", object{{"StreamMode", "ON_DEMAND"}}}})
		return object{name(s), {"WarmThroughputMiBps", int64(5)}}
	},
}

func name(stream string) member { return member{"StreamName", stream} }

func policed(t *testing.T, n *node) object {
	t.Helper()
	s := n.stream(t)
	n.do(t, "PutResourcePolicy", object{{"ResourceARN", arnOf + s}, {"Policy", policy(s)}})
	return object{{"ResourceARN", arnOf + s}}
}
