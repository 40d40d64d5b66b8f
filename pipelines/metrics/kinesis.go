package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/core/kinesisapi"
)

// Kinesis counts what goes through the Kinesis API, by the figures that CloudWatch has of it. It is called once.
func (m *Metrics) Kinesis() kinesisapi.Events {
	streams, shards, consumers := newStreamFigures(m.registry), newShardFigures(m.registry), newConsumerFigures(m.registry)
	return kinesisapi.Events{
		Put: func(d kinesisapi.PutDone) {
			streams.put(d)
			shards.put(d)
		},
		Get: func(d kinesisapi.GetDone) {
			streams.get(d)
			shards.get(d)
		},
		Subscribe: consumers.subscribe,
		Sent:      consumers.sent,
	}
}

// Bounds of histograms.
var (
	latencyBounds = prometheus.ExponentialBuckets(0.0005, 2, 14)                                           // seconds
	ageBounds     = []float64{0, 1e3, 10e3, 60e3, 300e3, 900e3, 3_600e3, 21_600e3, 86_400e3, 7 * 86_400e3} // milliseconds
)

func millis(d time.Duration) float64 { return float64(d.Milliseconds()) }

// streamFigures are those of each stream.
type streamFigures struct {
	*group
	incoming                amount
	one, many, gets         calls
	oneBytes, manyBytes     *prometheus.CounterVec
	total, successful       *prometheus.CounterVec
	failed, throttled       *prometheus.CounterVec
	got                     amount
	age                     *prometheus.HistogramVec
	writeBeyond, readBeyond *prometheus.CounterVec
}

func newStreamFigures(r *prometheus.Registry) *streamFigures {
	g := newGroup(r, "stream")
	return &streamFigures{
		group:       g,
		incoming:    g.amount("incoming", "put and durable", "IncomingBytes", "IncomingRecords"),
		one:         g.calls("put_record", "PutRecord"),
		oneBytes:    g.counter("put_record_bytes_total", "Bytes put with PutRecord (CloudWatch: PutRecord.Bytes)."),
		many:        g.calls("put_records", "PutRecords"),
		manyBytes:   g.counter("put_records_bytes_total", "Bytes put with PutRecords (CloudWatch: PutRecords.Bytes)."),
		total:       g.counter("put_records_total_records_total", "Records of calls of PutRecords (CloudWatch: PutRecords.TotalRecords)."),
		successful:  g.counter("put_records_successful_records_total", "Records of calls of PutRecords that became durable (CloudWatch: PutRecords.SuccessfulRecords)."),
		failed:      g.counter("put_records_failed_records_total", "Records of calls of PutRecords that failed (CloudWatch: PutRecords.FailedRecords)."),
		throttled:   g.counter("put_records_throttled_records_total", "Records of calls of PutRecords that were throttled (CloudWatch: PutRecords.ThrottledRecords)."),
		gets:        g.calls("get_records", "GetRecords"),
		got:         g.amount("get_records", "read with GetRecords", "GetRecords.Bytes", "GetRecords.Records"),
		age:         g.histogram("get_records_iterator_age_milliseconds", "How old the last record of a call of GetRecords was, 0 at the tip (CloudWatch: GetRecords.IteratorAgeMilliseconds).", ageBounds),
		writeBeyond: g.counter("write_provisioned_throughput_exceeded_total", "Records that were throttled (CloudWatch: WriteProvisionedThroughputExceeded)."),
		readBeyond:  g.counter("read_provisioned_throughput_exceeded_total", "Calls of GetRecords that were throttled (CloudWatch: ReadProvisionedThroughputExceeded)."),
	}
}

func (s *streamFigures) put(d kinesisapi.PutDone) {
	name := string(d.Stream)
	s.use(name)
	s.incoming.add(d.Put, name)
	s.writeBeyond.WithLabelValues(name).Add(float64(d.Put.Exceeded))
	if !d.Many {
		s.one.done(d.Done)
		s.oneBytes.WithLabelValues(name).Add(float64(d.Put.Bytes))
		return
	}
	s.many.done(d.Done)
	s.manyBytes.WithLabelValues(name).Add(float64(d.Put.Bytes))
	s.total.WithLabelValues(name).Add(float64(d.Total))
	s.successful.WithLabelValues(name).Add(float64(d.Put.Records))
	s.failed.WithLabelValues(name).Add(float64(d.Failed))
	s.throttled.WithLabelValues(name).Add(float64(d.Put.Exceeded))
}

func (s *streamFigures) get(d kinesisapi.GetDone) {
	name := string(d.Stream)
	s.use(name)
	s.gets.done(d.Done)
	s.got.add(d.Got, name)
	if d.OK {
		s.age.WithLabelValues(name).Observe(millis(d.Age))
	}
	beyond := s.readBeyond.WithLabelValues(name) // from 0, so that the first is seen
	if d.Exceeded {
		beyond.Inc()
	}
}

// amount is how much went somewhere.
type amount struct{ bytes, records *prometheus.CounterVec }

func (g *group) amount(prefix, what, bytes, records string) amount {
	return amount{
		g.counter(prefix+"_bytes_total", "Bytes of key and data "+what+" (CloudWatch: "+bytes+")."),
		g.counter(prefix+"_records_total", "Records "+what+" (CloudWatch: "+records+")."),
	}
}

func (a amount) add(f kinesisapi.Flow, labels ...string) {
	a.bytes.WithLabelValues(labels...).Add(float64(f.Bytes))
	a.records.WithLabelValues(labels...).Add(float64(f.Records))
}

// calls are those of one operation.
type calls struct {
	latency *prometheus.HistogramVec
	success *prometheus.CounterVec
}

func (g *group) calls(prefix, operation string) calls {
	return calls{
		g.histogram(prefix+"_latency_seconds", "How long calls of "+operation+" took; the count is of all calls (CloudWatch: "+operation+".Latency).", latencyBounds),
		g.counter(prefix+"_success_total", "Calls of "+operation+" that succeeded (CloudWatch: "+operation+".Success)."),
	}
}

func (c calls) done(d kinesisapi.Done) {
	c.latency.WithLabelValues(string(d.Stream)).Observe(d.Took.Seconds())
	ok := c.success.WithLabelValues(string(d.Stream)) // from 0
	if d.OK {
		ok.Inc()
	}
}
