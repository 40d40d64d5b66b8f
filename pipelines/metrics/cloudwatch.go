package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/core/cloudwatchapi"
)

// CloudWatch counts what clients send to CloudWatch. It is called once.
func (m *Metrics) CloudWatch() func(cloudwatchapi.Outcome) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "penstock", Subsystem: "cloudwatch", Name: "put_metric_data_total",
		Help: "Calls of PutMetricData, by the code of their error or ok.",
	}, []string{"code"})
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "penstock", Subsystem: "cloudwatch", Name: "dropped_metrics_total",
		Help: "Data of calls of PutMetricData that were taken and dropped.",
	})
	m.registry.MustRegister(calls, dropped)
	return func(o cloudwatchapi.Outcome) {
		code := o.Code
		if code == "" {
			code = "ok"
		}
		calls.WithLabelValues(code).Inc()
		dropped.Add(float64(o.Metrics))
	}
}
