package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/core/kinesisapi"
)

// shardFigures are those by shard, of streams for which they were asked for with EnableEnhancedMonitoring.
type shardFigures struct {
	*group
	counters map[string]*prometheus.CounterVec // by CloudWatch's name
	age      *prometheus.GaugeVec
}

func newShardFigures(r *prometheus.Registry) *shardFigures {
	g := newGroup(r, "stream", "shard")
	counter := func(name, help, metric string) *prometheus.CounterVec {
		return g.counter("shard_"+name+"_total", help+" (CloudWatch: "+metric+" by shard).")
	}
	return &shardFigures{group: g, counters: map[string]*prometheus.CounterVec{
		"IncomingBytes":                      counter("incoming_bytes", "Bytes of key and data put and durable", "IncomingBytes"),
		"IncomingRecords":                    counter("incoming_records", "Records put and durable", "IncomingRecords"),
		"OutgoingBytes":                      counter("outgoing_bytes", "Bytes of key and data read with GetRecords", "OutgoingBytes"),
		"OutgoingRecords":                    counter("outgoing_records", "Records read with GetRecords", "OutgoingRecords"),
		"WriteProvisionedThroughputExceeded": counter("write_provisioned_throughput_exceeded", "Records that were throttled", "WriteProvisionedThroughputExceeded"),
		"ReadProvisionedThroughputExceeded":  counter("read_provisioned_throughput_exceeded", "Calls of GetRecords that were throttled", "ReadProvisionedThroughputExceeded"),
	}, age: g.gauge("shard_iterator_age_milliseconds", "How old the last record of the last call of GetRecords was, 0 at the tip (CloudWatch: IteratorAgeMilliseconds by shard).")}
}

func (s *shardFigures) put(d kinesisapi.PutDone) {
	for shard, f := range d.Shards {
		s.add(d.Done, string(shard), map[string]int64{
			"IncomingBytes": f.Bytes, "IncomingRecords": f.Records, "WriteProvisionedThroughputExceeded": f.Exceeded,
		})
	}
}

func (s *shardFigures) get(d kinesisapi.GetDone) {
	if len(d.ByShard) == 0 {
		return
	}
	beyond := int64(0)
	if d.Exceeded {
		beyond = 1
	}
	s.add(d.Done, string(d.Shard), map[string]int64{
		"OutgoingBytes": d.Got.Bytes, "OutgoingRecords": d.Got.Records, "ReadProvisionedThroughputExceeded": beyond,
	})
	if d.OK && slices.Contains(d.ByShard, "IteratorAgeMilliseconds") {
		s.age.WithLabelValues(string(d.Stream), string(d.Shard)).Set(millis(d.Age))
	}
}

// add adds to those of the figures that the stream has by shard.
func (s *shardFigures) add(d kinesisapi.Done, shard string, figures map[string]int64) {
	s.use(string(d.Stream), shard)
	for name, n := range figures {
		if slices.Contains(d.ByShard, name) {
			s.counters[name].WithLabelValues(string(d.Stream), shard).Add(float64(n))
		}
	}
}

// consumerFigures are those of each registered consumer.
type consumerFigures struct {
	*group
	success, beyond *prometheus.CounterVec
	sentOK          *prometheus.CounterVec
	out             amount
	behind          *prometheus.HistogramVec
}

func newConsumerFigures(r *prometheus.Registry) *consumerFigures {
	g := newGroup(r, "stream", "consumer")
	return &consumerFigures{
		group:   g,
		success: g.counter("subscribe_to_shard_success_total", "Subscriptions that began (CloudWatch: SubscribeToShard.Success)."),
		beyond:  g.counter("subscribe_to_shard_rate_exceeded_total", "Subscriptions that were refused because there was one already, or too many calls (CloudWatch: SubscribeToShard.RateExceeded)."),
		sentOK:  g.counter("subscribe_to_shard_event_success_total", "Events sent to subscriptions (CloudWatch: SubscribeToShardEvent.Success)."),
		out:     g.amount("subscribe_to_shard_event", "sent to subscriptions", "SubscribeToShardEvent.Bytes", "SubscribeToShardEvent.Records"),
		behind:  g.histogram("subscribe_to_shard_event_millis_behind_latest", "How old the last record of an event was, 0 at the tip (CloudWatch: SubscribeToShardEvent.MillisBehindLatest).", ageBounds),
	}
}

func (c *consumerFigures) subscribe(d kinesisapi.SubscribeDone) {
	labels := []string{string(d.Stream), d.Consumer}
	c.use(labels...)
	ok, beyond := c.success.WithLabelValues(labels...), c.beyond.WithLabelValues(labels...) // from 0
	if d.OK {
		ok.Inc()
	}
	if d.Exceeded {
		beyond.Inc()
	}
}

func (c *consumerFigures) sent(d kinesisapi.SentDone) {
	labels := []string{string(d.Stream), d.Consumer}
	c.use(labels...)
	if d.OK {
		c.sentOK.WithLabelValues(labels...).Inc()
		c.behind.WithLabelValues(labels...).Observe(millis(d.Behind))
	}
	c.out.add(d.Sent, labels...)
}
