package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/core"
)

// ages are figures that grow while nothing happens, so they are worked out when they are asked for.
type ages struct {
	behind, plan *prometheus.Desc

	mu     sync.Mutex // guards what follows
	shards map[shardKey]*shardAge
	plans  map[string]time.Time // since when the open plan of a pipeline is open
}

type shardKey struct {
	pipeline string
	shard    core.ShardID
}

// shardAge is how far the reader of a shard got.
type shardAge struct {
	arrival int64     // of the last record read, in milliseconds
	asked   time.Time // when the next batch was asked for
	ahead   int       // batches that were asked for and not read; more than one while some are being worked on

	told   time.Duration // how far behind the reader was, by its source
	toldAt time.Time     // zero: the source says nothing
}

// atTip is how long a reader must have waited for a batch to be one that has read everything: what is stored already
// comes sooner.
const atTip = 250 * time.Millisecond

func newAges() *ages {
	return &ages{
		behind: prometheus.NewDesc("penstock_get_records_iterator_age_milliseconds",
			"How long ago the last record read arrived, 0 when there is none after it (CloudWatch: GetRecords.IteratorAgeMilliseconds, MillisBehindLatest).",
			[]string{"pipeline", "shard"}, nil),
		plan: prometheus.NewDesc("penstock_open_plan_age_seconds",
			"How long the plan that a pipeline carries out has been open, 0 when there is none.", []string{"pipeline"}, nil),
		shards: map[shardKey]*shardAge{}, plans: map[string]time.Time{},
	}
}

// Describe names the figures.
func (a *ages) Describe(out chan<- *prometheus.Desc) {
	out <- a.behind
	out <- a.plan
}

// Collect works the figures out.
func (a *ages) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, s := range a.shards {
		out <- prometheus.MustNewConstMetric(a.behind, prometheus.GaugeValue, s.behind(now), k.pipeline, string(k.shard))
	}
	for name, since := range a.plans {
		age := 0.0
		if !since.IsZero() {
			age = now.Sub(since).Seconds()
		}
		out <- prometheus.MustNewConstMetric(a.plan, prometheus.GaugeValue, age, name)
	}
}

// silent is how long a source that says how far behind it is may say nothing before its reader falls behind.
const silent = 10 * time.Second

func (s *shardAge) behind(now time.Time) float64 {
	if !s.toldAt.IsZero() {
		age := s.told
		if quiet := now.Sub(s.toldAt); quiet > silent {
			age += quiet
		}
		return float64(age.Milliseconds())
	}
	if s.arrival == 0 || s.ahead == 1 && now.Sub(s.asked) >= atTip {
		return 0
	}
	return float64(max(0, now.UnixMilli()-s.arrival))
}

func (a *ages) asked(pipeline string, shard core.ShardID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := shardKey{pipeline, shard}
	if a.shards[k] == nil {
		a.shards[k] = &shardAge{}
	}
	a.shards[k].asked = time.Now()
	a.shards[k].ahead++
}

// tell notes what a source says.
func (a *ages) tell(pipeline string, shard core.ShardID, behind time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.shards[shardKey{pipeline, shard}]; s != nil {
		s.told, s.toldAt = behind, time.Now()
	}
}

func (a *ages) read(pipeline string, shard core.ShardID, arrival int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.shards[shardKey{pipeline, shard}]; s != nil {
		s.arrival = arrival
		s.ahead--
	}
}

func (a *ages) released(pipeline string, shard core.ShardID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.shards, shardKey{pipeline, shard})
}

func (a *ages) planned(pipeline string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plans[pipeline].IsZero() {
		a.plans[pipeline] = time.Now()
	}
}

func (a *ages) done(pipeline string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plans[pipeline] = time.Time{}
}

// forget drops the figures of a pipeline that ended. A plan that it left open is nobody's work now.
func (a *ages) forget(pipeline string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.plans, pipeline)
	for k := range a.shards {
		if k.pipeline == pipeline {
			delete(a.shards, k)
		}
	}
}
