package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock/penstock/core"
)

// Metrics are the figures of one process.
type Metrics struct {
	registry *prometheus.Registry

	putRecords, putBytes *prometheus.CounterVec // by stream
	putTime              prometheus.Histogram
	syncTime             prometheus.Histogram
	syncBytes            prometheus.Counter

	records, bytes *prometheus.CounterVec   // by pipeline
	rows           *prometheus.CounterVec   // by pipeline and outcome
	flushes        *prometheus.CounterVec   // by pipeline and reason
	files          *prometheus.CounterVec   // by pipeline
	retries        *prometheus.CounterVec   // by pipeline and step
	trimmed        *prometheus.CounterVec   // by pipeline
	gaps           *prometheus.CounterVec   // by pipeline
	flushTime      *prometheus.HistogramVec // by pipeline
	up             *prometheus.GaugeVec     // by pipeline
	paused         *prometheus.GaugeVec     // by pipeline
	reloads        *prometheus.CounterVec   // by pipeline and result
	ages           *ages
}

// New returns figures that are all zero.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), ages: newAges()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "penstock", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	seconds := func(name, help string, from float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "penstock", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(from, 2, 16)}
	}
	m.putRecords = counter("incoming_records_total", "Records put and durable (CloudWatch: IncomingRecords).", "stream")
	m.putBytes = counter("incoming_bytes_total", "Bytes of key and data put and durable (CloudWatch: IncomingBytes).", "stream")
	m.putTime = prometheus.NewHistogram(seconds("put_records_latency_seconds", "From a put to its durability (CloudWatch: PutRecords.Latency).", 0.0001))
	m.syncTime = prometheus.NewHistogram(seconds("log_sync_seconds", "One fdatasync of the commit log.", 0.00005))
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "penstock", Name: "log_synced_bytes_total", Help: "Bytes written to the commit log and synced."}, nil)
	m.syncBytes = bytes.WithLabelValues()
	m.records = counter("get_records_records_total", "Records read by a pipeline (CloudWatch: GetRecords.Records).", "pipeline")
	m.bytes = counter("get_records_bytes_total", "Bytes of key and data read by a pipeline (CloudWatch: GetRecords.Bytes).", "pipeline")
	m.rows = counter("rows_total", "Rows of delivered flushes, by what became of them: written, filtered, null (a filter said null) or dead (dead letters).", "pipeline", "outcome")
	m.flushes = counter("flushes_total", "Flushes closed with rows, by the limit that closed them.", "pipeline", "reason")
	m.files = counter("outputs_total", "Files, objects or tables' loads made visible by a pipeline.", "pipeline")
	m.retries = counter("retries_total", "Tries of a step that failed and were repeated (CloudWatch: DeliveryToS3.Success counts their successes).", "pipeline", "step")
	m.trimmed = counter("trimmed_records_total", "Records that went before a pipeline delivered them, as far as their number is known.", "pipeline")
	m.gaps = counter("lost_spans_total", "Runs of records that went before a pipeline delivered them: alert on any.", "pipeline")
	m.reloads = counter("pipeline_reloads_total", "Pipeline files read again: applied, or refused because they are wrong.", "file", "result")
	m.flushTime = prometheus.NewHistogramVec(seconds("flush_duration_seconds", "From the commit of a plan to the move of its checkpoints.", 0.001), []string{"pipeline"})
	m.up = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "penstock", Name: "pipeline_up", Help: "1 while a pipeline runs, 0 once it ended or failed."}, []string{"pipeline"})
	m.paused = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "penstock", Name: "pipeline_paused", Help: "1 while a pipeline is paused: it is up, and reads nothing."}, []string{"pipeline"})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "penstock", Name: "build_info", Help: "1; the labels say what runs."}, []string{"version", "go"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.putTime, m.syncTime, bytes, m.flushTime, m.up, m.paused, info, m.ages,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers with the figures in Prometheus' text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Put counts what a put made durable.
func (m *Metrics) Put(stream core.StreamName, records, bytes int64, took time.Duration) {
	m.putRecords.WithLabelValues(string(stream)).Add(float64(records))
	m.putBytes.WithLabelValues(string(stream)).Add(float64(bytes))
	m.putTime.Observe(took.Seconds())
}

// Synced counts a sync of the commit log.
func (m *Metrics) Synced(bytes int64, took time.Duration) {
	m.syncBytes.Add(float64(bytes))
	m.syncTime.Observe(took.Seconds())
}

// Up says whether a pipeline runs.
func (m *Metrics) Up(pipeline string, up bool) {
	if up {
		m.up.WithLabelValues(pipeline).Set(1)
		return
	}
	m.up.WithLabelValues(pipeline).Set(0)
	m.paused.WithLabelValues(pipeline).Set(0)
	m.ages.forget(pipeline)
}

// Reload counts a pipeline file that was read again.
func (m *Metrics) Reload(file, result string) { m.reloads.WithLabelValues(file, result).Inc() }

// Gauge adds a figure that is read when it is asked for.
func (m *Metrics) Gauge(name, help string, labels map[string]string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "penstock", Name: name, Help: help, ConstLabels: labels}, read))
}
