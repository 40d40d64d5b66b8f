package metrics

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// idle is how long a series stays that nothing is added to. Streams, shards and consumers come and go by other
	// people's requests; what is kept is bounded by those that were used in the last hour.
	idle = time.Hour
	// sweepEvery is how often series that are idle are looked for.
	sweepEvery = time.Minute
)

// vec is a family of figures.
type vec interface {
	prometheus.Collector
	DeleteLabelValues(values ...string) bool
}

// group is families that have the same labels.
type group struct {
	registry *prometheus.Registry
	labels   []string
	vecs     []vec

	mu    sync.Mutex // guards what follows
	used  map[string]time.Time
	swept time.Time
}

func newGroup(r *prometheus.Registry, labels ...string) *group {
	return &group{registry: r, labels: labels, used: map[string]time.Time{}}
}

func add[V vec](g *group, v V) V {
	g.registry.MustRegister(v)
	g.vecs = append(g.vecs, v)
	return v
}

func (g *group) counter(name, help string) *prometheus.CounterVec {
	return add(g, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "penstock", Subsystem: "kinesis", Name: name, Help: help}, g.labels))
}

func (g *group) gauge(name, help string) *prometheus.GaugeVec {
	return add(g, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "penstock", Subsystem: "kinesis", Name: name, Help: help}, g.labels))
}

func (g *group) histogram(name, help string, buckets []float64) *prometheus.HistogramVec {
	return add(g, prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "penstock", Subsystem: "kinesis", Name: name, Help: help, Buckets: buckets}, g.labels))
}

// separator stands in no name of a stream, shard or consumer.
const separator = "\x00"

// use notes that the series with these labels are added to, and drops those that are idle. It comes before the adding.
func (g *group) use(values ...string) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used[strings.Join(values, separator)] = now
	if now.Sub(g.swept) < sweepEvery {
		return
	}
	g.swept = now
	for key, at := range g.used {
		if now.Sub(at) >= idle {
			delete(g.used, key)
			g.drop(strings.Split(key, separator)...)
		}
	}
}

func (g *group) drop(values ...string) {
	for _, v := range g.vecs {
		v.DeleteLabelValues(values...)
	}
}
