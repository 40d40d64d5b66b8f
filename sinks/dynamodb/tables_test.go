package dynamodb_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	aws_dynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/sinks/dynamodb"
)

func TestTimeToLiveIsEnabledByTheNextTry(t *testing.T) {
	server := servers.DynamoDBFor(t)
	l := load(t, server, dynamodb.Config{Key: dynamodb.Key{Partition: "k"}, DeleteWhen: "gone"}, sinktest.Column("k", text), sinktest.Column("gone", truth))
	target, _ := url.Parse(server.Endpoint)
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	first := true
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first && strings.HasSuffix(r.Header.Get("X-Amz-Target"), "UpdateTimeToLive") {
			first = false
			w.WriteHeader(500)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	cfg := l.cfg
	cfg.Endpoint = proxy.URL
	s, err := dynamodb.Open(t.Context(), cfg)
	require.NoError(t, err)
	l.Sink = s
	st, p := l.Plan(t, map[core.ShardID][]string{"s": {`{"k":"a","gone":true}`}})
	require.Error(t, st.Publish(t.Context(), p, nil))
	require.NoError(t, st.Publish(t.Context(), p, nil))
	out, err := l.client.DescribeTimeToLive(t.Context(), &aws_dynamodb.DescribeTimeToLiveInput{TableName: &cfg.Table})
	require.NoError(t, err)
	require.EqualValues(t, "ENABLED", out.TimeToLiveDescription.TimeToLiveStatus)
}

func TestAnotherPipelineRevivesATombstone(t *testing.T) {
	server := servers.DynaliteFor(t)
	cfg := dynamodb.Config{Mode: "update", Key: dynamodb.Key{Partition: "k"}, DeleteWhen: "gone"}
	l := load(t, server, cfg, sinktest.Column("k", text), sinktest.Column("gone", truth), sinktest.Column("v", text))
	l.Put(t, `{"k":"a","v":"1"}`, `{"k":"a","gone":true}`)
	other := l.cfg
	other.DeleteWhen = ""
	s, err := dynamodb.Open(t.Context(), other)
	require.NoError(t, err)
	l2 := sinktest.NewLoader(s, sinktest.Column("k", text), sinktest.Column("v", text))
	st, p := l2.Plan(t, map[core.ShardID][]string{"s": {`{"k":"a","v":"new"}`}})
	p.Pipeline = "q"
	require.NoError(t, st.Publish(t.Context(), p, nil))
	require.NotEmpty(t, l.state(t), "%v", l.item(t, "a"))
}
