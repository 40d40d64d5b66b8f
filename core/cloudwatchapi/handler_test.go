package cloudwatchapi

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
	"github.com/aws/smithy-go/transport/http/protocol/rpcv2"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/access"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/core/memory"
)

// server is the handler, what it was told and the encodings of the bodies that came.
type server struct {
	url string

	mu        sync.Mutex // guards what follows
	outcomes  []Outcome
	encodings []string
}

func serve(t *testing.T, cfg Config) *server {
	t.Helper()
	s := &server{}
	cfg.Observe = func(o Outcome) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.outcomes = append(s.outcomes, o)
	}
	if cfg.Guard == nil {
		cfg.Guard = awsapi.Anyone
	}
	h := New(cfg)
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Match(r) {
			http.Error(w, "not CloudWatch's", http.StatusTeapot)
			return
		}
		s.mu.Lock()
		s.encodings = append(s.encodings, r.Header.Get("Content-Encoding"))
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	s.url = l.URL
	return s
}

func (s *server) last(t *testing.T) Outcome {
	t.Helper()
	var o Outcome
	require.Eventually(t, func() bool { // it is told after the answer
		s.mu.Lock()
		defer s.mu.Unlock()
		n := len(s.outcomes)
		if n == len(s.encodings) && n > 0 {
			o = s.outcomes[n-1]
			return true
		}
		return false
	}, 10*time.Second, time.Millisecond)
	return o
}

var protocols = map[string]smithyhttp.ClientProtocol{
	"query": awsquery.New(schemas.GraniteServiceVersion20100801),
	"json":  awsjson.New10(schemas.GraniteServiceVersion20100801),
	"cbor":  rpcv2.NewCBOR(schemas.GraniteServiceVersion20100801),
}

// client is AWS's SDK for Go in one of its protocols.
func (s *server) client(p smithyhttp.ClientProtocol) *cloudwatch.Client {
	return cloudwatch.New(cloudwatch.Options{
		BaseEndpoint: &s.url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		RetryMaxAttempts: 1, Protocol: p, RequestMinCompressSizeBytes: 10240,
	})
}

// data are n data as the KCL sends them.
func data(n int) *cloudwatch.PutMetricDataInput {
	in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("MyApp & co")}
	for i := range n {
		in.MetricData = append(in.MetricData, types.MetricDatum{
			MetricName: aws.String("MillisBehindLatest"), Timestamp: aws.Time(time.Unix(1_700_000_000, 0)), Unit: types.StandardUnitMilliseconds,
			Dimensions:      []types.Dimension{{Name: aws.String("Operation"), Value: aws.String("ProcessTask")}, {Name: aws.String("ShardId"), Value: aws.String(fmt.Sprint("shard-", i))}},
			StatisticValues: &types.StatisticSet{SampleCount: aws.Float64(1.5), Sum: aws.Float64(float64(i)), Minimum: aws.Float64(0), Maximum: aws.Float64(1e9)},
		})
	}
	return in
}

func TestEveryProtocolsDataAreTaken(t *testing.T) {
	for name, p := range protocols {
		s := serve(t, Config{})
		_, err := s.client(p).PutMetricData(t.Context(), data(3))
		require.NoError(t, err, name)
		require.Equal(t, 3, s.last(t).Metrics, name)
		require.Equal(t, []string{""}, s.encodings, name)
		_, err = s.client(p).PutMetricData(t.Context(), data(1000))
		require.NoError(t, err, name)
		require.Equal(t, 1000, s.last(t).Metrics, name)
		require.Equal(t, []string{"", "gzip"}, s.encodings, "the SDK packs large ones")
	}
}

func TestDataOfEntitiesAreTaken(t *testing.T) {
	for name, p := range protocols {
		s := serve(t, Config{})
		in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("app"), EntityMetricData: []types.EntityMetricData{{MetricData: data(2).MetricData}, {MetricData: data(3).MetricData}}}
		_, err := s.client(p).PutMetricData(t.Context(), in)
		require.NoError(t, err, name)
		require.Equal(t, 5, s.last(t).Metrics, name)
	}
}

func TestWhatIsWrongIsSaidInEveryProtocol(t *testing.T) {
	for name, p := range protocols {
		s := serve(t, Config{})
		for _, c := range []struct {
			in         *cloudwatch.PutMetricDataInput
			code, text string
		}{
			{data(1001), "InvalidParameterValue", "greater than 1000"},
			{data(0), "MissingParameter", "MetricData"},
			{&cloudwatch.PutMetricDataInput{Namespace: aws.String(":a"), MetricData: data(1).MetricData}, "InvalidParameterValue", "colon"},
			{&cloudwatch.PutMetricDataInput{Namespace: aws.String(strings.Repeat("a", 256)), MetricData: data(1).MetricData}, "InvalidParameterValue", "255"},
		} {
			_, err := s.client(p).PutMetricData(t.Context(), c.in)
			var api interface{ ErrorCode() string }
			require.ErrorAs(t, err, &api, name)
			require.Contains(t, api.ErrorCode(), c.code, name)
			require.ErrorContains(t, err, c.text, name)
			require.Equal(t, c.code, s.last(t).Code)
			require.Zero(t, s.last(t).Metrics)
		}
		_, err := s.client(p).ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{})
		require.ErrorContains(t, err, "InvalidAction", name)
	}
}

// callers are the keys that may, or may not, put data; others are of nobody.
func callers(t *testing.T) *iam.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials.yaml")
	policy := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "%s", "Resource": "*"}]}`
	file := ""
	for key, action := range map[string]string{"PSTKMAY": "cloudwatch:PutMetricData", "PSTKMAYNOT": "kinesis:*"} {
		file += fmt.Sprintf("- access_key: %s\n  secret_key: 5Z3WQ2M7X4T6JKLN5Z3WQ2M7X4T6JKLN5Z3WQ2M7\n  policy: |\n    "+policy+"\n", key, action)
	}
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	keys, err := iam.Open(path)
	require.NoError(t, err)
	return keys
}

func TestOnlyWhoMayPutsData(t *testing.T) {
	const secret = "5Z3WQ2M7X4T6JKLN5Z3WQ2M7X4T6JKLN5Z3WQ2M7" //nolint:gosec // of the test
	guard := access.New(callers(t), access.Config{Region: "us-east-1", Service: "monitoring", Account: "000000000000"})
	for name, p := range protocols {
		s := serve(t, Config{Guard: guard})
		put := func(key, secret string, n int) error {
			as := func(o *cloudwatch.Options) { o.Credentials = credentials.NewStaticCredentialsProvider(key, secret, "") }
			_, err := s.client(p).PutMetricData(t.Context(), data(n), as)
			return err
		}
		require.NoError(t, put("PSTKMAY", secret, 1), name)
		require.NoError(t, put("PSTKMAY", secret, 1000), "%s: what is signed is what was sent, packed", name)
		require.Equal(t, 1000, s.last(t).Metrics)
		require.ErrorContains(t, put("PSTKMAY", "another", 1), "ignature", name)
		require.Error(t, put("PSTKNOBODY", secret, 1), name)
		require.ErrorContains(t, put("PSTKMAYNOT", secret, 1), "cloudwatch:PutMetricData", name)
		require.Zero(t, s.last(t).Metrics)
	}
}

// post sends a form, packed or not.
func (s *server) post(t *testing.T, body []byte, edit func(*http.Request)) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", typeForm+"; charset=utf-8")
	if edit != nil {
		edit(r)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func packed(t *testing.T, doc []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(doc)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestBombsAreRefused(t *testing.T) {
	s := serve(t, Config{})
	form := "Action=PutMetricData&Version=2010-08-01&Namespace=a&MetricData.member.1.MetricName=b&x="
	zip := func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	bomb := packed(t, append([]byte(form), make([]byte, 20<<20)...))
	for name, c := range map[string]struct {
		body []byte
		edit func(*http.Request)
		want int
	}{
		"as it should be":                {[]byte(form), nil, 200},
		"packed as it should be":         {packed(t, []byte(form+strings.Repeat("x", 60_000))), zip, 200},
		"more than a mebibyte":           {make([]byte, 1<<20+1), nil, 413},
		"more than a mebibyte in chunks": {make([]byte, 1<<20+1), chunked, 413},
		"20 MiB in 20 kB":                {bomb, zip, 413},
		"a megabyte in one":              {packed(t, append([]byte(form), make([]byte, 1<<20)...)), zip, 413},
		"not packed":                     {[]byte(form), zip, 400},
		"cut short":                      {packed(t, []byte(form))[:30], zip, 400},
		"packed twice":                   {packed(t, packed(t, []byte(form))), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip, gzip") }, 400},
		"no action":                      {[]byte("Namespace=a"), nil, 400},
		"a million parameters":           {bytes.Repeat([]byte("&"), 1<<20-1), nil, 400},
		"a name that is no escape":       {[]byte("Action=PutMetricData&Namespace=%zz"), nil, 400},
		"GET":                            {nil, func(r *http.Request) { r.Method = http.MethodGet }, 400},
	} {
		status, answer := s.post(t, c.body, c.edit)
		require.Equal(t, c.want, status, "%s: %s", name, answer)
	}
}

// TestABodyThatDoesNotComeTakesNoMemory, as nobody knows yet who sends it.
func TestABodyThatDoesNotComeTakesNoMemory(t *testing.T) {
	budget, err := memory.New(memory.Min)
	require.NoError(t, err)
	s := serve(t, Config{Memory: budget})
	for range 20 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		defer c.Close() //nolint:errcheck // nothing is left of it
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: "+typeForm+"\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n{")
		require.NoError(t, err)
	}
	held := func() int64 { reading, _ := budget.Used(); return reading }
	require.Eventually(t, func() bool { return held() > 0 }, 10*time.Second, time.Millisecond, "the first bytes are read")
	for range 20 {
		resp, err := http.PostForm(s.url, url.Values{"Action": {operation}, "Namespace": {"app"}, "MetricData.member.1.MetricName": {"Success"}})
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	require.Less(t, held(), int64(1<<20))
}

func TestTheAnswerToAFormIsXML(t *testing.T) {
	s := serve(t, Config{})
	_, answer := s.post(t, []byte("Action=PutMetricData&Namespace=a%2Fb&MetricData.member.1.MetricName=b"), nil)
	require.Contains(t, answer, `<PutMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><ResponseMetadata><RequestId>`)
	_, answer = s.post(t, []byte("Action=<Evil>"), nil)
	require.Contains(t, answer, `<Error><Type>Sender</Type><Code>InvalidAction</Code>`)
	require.NotContains(t, answer, "Evil")
}

func TestOtherRequestsAreNotCloudWatchs(t *testing.T) {
	s := serve(t, Config{})
	status, _ := s.post(t, nil, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecord")
	})
	require.Equal(t, http.StatusTeapot, status)
}

func FuzzBodies(f *testing.F) {
	f.Add(0, "", []byte("Action=PutMetricData&Namespace=a&MetricData.member.1.MetricName=b"))
	f.Add(1, "", []byte(`{"Namespace":"a","MetricData":[{"MetricName":"b","Value":1.5}]}`))
	f.Add(2, "gzip", []byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, p int, encoding string, sent []byte) {
		doc, err := unpack(encoding, sent)
		if err != nil {
			require.Less(t, failureOf(err).Status, 500)
			return
		}
		require.LessOrEqual(t, int64(len(doc)), unpackedLimit(encoding, int64(len(sent))))
		in, err := protocol((p%3 + 3) % 3).read(doc)
		if err == nil {
			var n int
			n, err = in.check()
			require.LessOrEqual(t, n, maxMetrics)
		}
		if err != nil {
			require.Less(t, failureOf(err).Status, 500)
		}
	}))
}
