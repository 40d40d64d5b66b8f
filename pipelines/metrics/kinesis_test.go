package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/kinesisapi"
)

// figures are those of the Kinesis API as Prometheus fetches them, without help and the buckets of histograms.
func figures(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	out := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if short, ok := strings.CutPrefix(name, "penstock_kinesis_"); ok && !strings.Contains(name, "_bucket{") {
			out[short] = value
		}
	}
	return out
}

func done(stream string, ok, exceeded bool, byShard ...string) kinesisapi.Done {
	return kinesisapi.Done{Stream: core.StreamName(stream), OK: ok, Exceeded: exceeded, ByShard: byShard, Took: 500 * time.Millisecond}
}

func TestPutsAreCountedAsCloudWatchCounts(t *testing.T) {
	t.Parallel()
	m := New("")
	e := m.Kinesis()
	e.Put(kinesisapi.PutDone{Done: done("clicks", true, false), Put: kinesisapi.Flow{Records: 1, Bytes: 10}, Total: 1})
	e.Put(kinesisapi.PutDone{Done: done("clicks", false, true), Put: kinesisapi.Flow{Exceeded: 1}, Total: 1})
	e.Put(kinesisapi.PutDone{Done: done("clicks", true, false), Many: true, Total: 10, Failed: 2, Put: kinesisapi.Flow{Records: 5, Bytes: 50, Exceeded: 3}})
	require.Equal(t, map[string]string{
		`incoming_bytes_total{stream="clicks"}`:                        "60",
		`incoming_records_total{stream="clicks"}`:                      "6",
		`put_record_bytes_total{stream="clicks"}`:                      "10",
		`put_record_latency_seconds_count{stream="clicks"}`:            "2",
		`put_record_latency_seconds_sum{stream="clicks"}`:              "1",
		`put_record_success_total{stream="clicks"}`:                    "1",
		`put_records_bytes_total{stream="clicks"}`:                     "50",
		`put_records_latency_seconds_count{stream="clicks"}`:           "1",
		`put_records_latency_seconds_sum{stream="clicks"}`:             "0.5",
		`put_records_success_total{stream="clicks"}`:                   "1",
		`put_records_total_records_total{stream="clicks"}`:             "10",
		`put_records_successful_records_total{stream="clicks"}`:        "5",
		`put_records_failed_records_total{stream="clicks"}`:            "2",
		`put_records_throttled_records_total{stream="clicks"}`:         "3",
		`write_provisioned_throughput_exceeded_total{stream="clicks"}`: "4",
	}, figures(t, m))
}

func TestReadsAreCountedAsCloudWatchCounts(t *testing.T) {
	t.Parallel()
	m := New("")
	e := m.Kinesis()
	e.Get(kinesisapi.GetDone{Done: done("clicks", true, false), Shard: "s", Got: kinesisapi.Flow{Records: 3, Bytes: 30}, Age: 2 * time.Second})
	e.Get(kinesisapi.GetDone{Done: done("clicks", false, true), Shard: "s"})
	e.Subscribe(kinesisapi.SubscribeDone{Done: done("clicks", true, false), Consumer: "app"})
	e.Subscribe(kinesisapi.SubscribeDone{Done: done("clicks", false, true), Consumer: "app"})
	e.Sent(kinesisapi.SentDone{Done: done("clicks", true, false), Consumer: "app", Sent: kinesisapi.Flow{Records: 4, Bytes: 40}, Behind: time.Second})
	e.Sent(kinesisapi.SentDone{Done: done("clicks", false, false), Consumer: "app"})
	require.Equal(t, map[string]string{
		`get_records_bytes_total{stream="clicks"}`:                                            "30",
		`get_records_records_total{stream="clicks"}`:                                          "3",
		`get_records_latency_seconds_count{stream="clicks"}`:                                  "2",
		`get_records_latency_seconds_sum{stream="clicks"}`:                                    "1",
		`get_records_success_total{stream="clicks"}`:                                          "1",
		`get_records_iterator_age_milliseconds_count{stream="clicks"}`:                        "1",
		`get_records_iterator_age_milliseconds_sum{stream="clicks"}`:                          "2000",
		`read_provisioned_throughput_exceeded_total{stream="clicks"}`:                         "1",
		`subscribe_to_shard_success_total{consumer="app",stream="clicks"}`:                    "1",
		`subscribe_to_shard_rate_exceeded_total{consumer="app",stream="clicks"}`:              "1",
		`subscribe_to_shard_event_success_total{consumer="app",stream="clicks"}`:              "1",
		`subscribe_to_shard_event_bytes_total{consumer="app",stream="clicks"}`:                "40",
		`subscribe_to_shard_event_records_total{consumer="app",stream="clicks"}`:              "4",
		`subscribe_to_shard_event_millis_behind_latest_count{consumer="app",stream="clicks"}`: "1",
		`subscribe_to_shard_event_millis_behind_latest_sum{consumer="app",stream="clicks"}`:   "1000",
	}, figures(t, m))
}

func TestShardsHaveTheFiguresThatWereAskedFor(t *testing.T) {
	t.Parallel()
	m := New("")
	e := m.Kinesis()
	shards := map[core.ShardID]kinesisapi.Flow{"a": {Records: 1, Bytes: 10, Exceeded: 2}}
	e.Put(kinesisapi.PutDone{Done: done("clicks", true, false), Put: shards["a"]})
	e.Get(kinesisapi.GetDone{Done: done("clicks", true, false), Shard: "a"})
	byShard := func() map[string]string {
		out := map[string]string{}
		for name, v := range figures(t, m) {
			if strings.HasPrefix(name, "shard_") {
				out[name] = v
			}
		}
		return out
	}
	require.Empty(t, byShard())
	some := done("clicks", true, false, "IncomingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded", "IteratorAgeMilliseconds")
	e.Put(kinesisapi.PutDone{Done: some, Put: shards["a"], Shards: shards})
	e.Get(kinesisapi.GetDone{Done: some, Shard: "b", Got: kinesisapi.Flow{Records: 3, Bytes: 30}, Age: time.Second})
	require.Equal(t, map[string]string{
		`shard_incoming_bytes_total{shard="a",stream="clicks"}`:                        "10",
		`shard_write_provisioned_throughput_exceeded_total{shard="a",stream="clicks"}`: "2",
		`shard_outgoing_records_total{shard="b",stream="clicks"}`:                      "3",
		`shard_iterator_age_milliseconds{shard="b",stream="clicks"}`:                   "1000",
	}, byShard())
	rest := done("clicks", true, true, "IncomingRecords", "OutgoingBytes", "ReadProvisionedThroughputExceeded")
	e.Put(kinesisapi.PutDone{Done: rest, Put: shards["a"], Shards: shards})
	e.Get(kinesisapi.GetDone{Done: rest, Shard: "b", Got: kinesisapi.Flow{Records: 3, Bytes: 30}})
	require.Len(t, byShard(), 7)
}

func TestFiguresOfWhatIsGoneGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New("")
		e := m.Kinesis()
		put := func(stream string) {
			e.Put(kinesisapi.PutDone{Done: done(stream, true, false, "IncomingBytes"), Put: kinesisapi.Flow{Records: 1}, Shards: map[core.ShardID]kinesisapi.Flow{"a": {Bytes: 1}}})
		}
		put("gone")
		for range 59 {
			put("clicks")
			time.Sleep(time.Minute)
		}
		require.Contains(t, figures(t, m), `incoming_records_total{stream="gone"}`)
		for range 2 {
			time.Sleep(time.Minute)
			put("clicks")
		}
		all := figures(t, m)
		for name := range all {
			require.NotContains(t, name, "gone")
		}
		require.Equal(t, "61", all[`incoming_records_total{stream="clicks"}`])
		require.Equal(t, "61", all[`shard_incoming_bytes_total{shard="a",stream="clicks"}`])
	})
}
