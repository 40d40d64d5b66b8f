package metrics

import (
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Events counts what the worker of a pipeline does.
func (m *Metrics) Events(pipeline string) *connectors.Events {
	records, bytes := m.records.WithLabelValues(pipeline), m.bytes.WithLabelValues(pipeline)
	files, took := m.files.WithLabelValues(pipeline), m.flushTime.WithLabelValues(pipeline)
	trimmed, gaps := m.trimmed.WithLabelValues(pipeline), m.gaps.WithLabelValues(pipeline) // from 0, so that the first is seen
	paused := m.paused.WithLabelValues(pipeline)
	return &connectors.Events{
		Pause: func(state string) {
			paused.Set(map[string]float64{connectors.Pausing: 1, connectors.Paused: 1}[state])
		},
		Lease: func(shard core.ShardID, _ string) {
			m.ages.released(pipeline, shard) // taken anew, its reader begins anew
		},
		Behind: func(shard core.ShardID, age time.Duration) { m.ages.tell(pipeline, shard, age) },
		Asked:  func(shard core.ShardID) { m.ages.asked(pipeline, shard) },
		Read: func(b core.Batch, _ time.Duration) {
			records.Add(float64(b.Records))
			bytes.Add(float64(b.Bytes))
			if n := b.Arrivals().Len(); n > 0 {
				m.ages.read(pipeline, b.Shard, int64(b.Arrivals().Value(n-1)))
			}
		},
		Planned: func(p connectors.Plan) {
			m.flushes.WithLabelValues(pipeline, p.Reason).Inc()
			m.ages.planned(pipeline)
		},
		Resumed: func(connectors.Plan) { m.ages.planned(pipeline) },
		Lost: func(l connectors.Loss) {
			trimmed.Add(float64(l.Gap.Records))
			gaps.Inc()
			if l.Gap.Plan != 0 {
				m.ages.done(pipeline)
			}
		},
		Retry: func(what string, _ int, _ time.Duration, _ error) {
			m.retries.WithLabelValues(pipeline, what).Inc()
		},
		Checkpoint: func(p connectors.Plan, d time.Duration) {
			m.ages.done(pipeline)
			var c connectors.Counts
			for _, s := range p.Spans {
				c = c.Add(s.Counts)
			}
			m.count(pipeline, c)
			files.Add(float64(len(p.Outputs)))
			took.Observe(d.Seconds())
		},
	}
}

func (m *Metrics) count(pipeline string, c connectors.Counts) {
	for outcome, n := range map[string]int64{"written": c.Written, "filtered": c.Filtered, "null": c.Null, "dead": c.Dead, "stray": c.Strays} {
		m.rows.WithLabelValues(pipeline, outcome).Add(float64(n))
	}
}
