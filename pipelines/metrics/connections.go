package metrics

import "github.com/prometheus/client_golang/prometheus"

// Refused counts connections that were closed because of where they came from. It is called once.
func (m *Metrics) Refused() func() {
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "penstock", Name: "refused_connections_total",
		Help: "Connections that were closed at once, as they came from no network of --allow.",
	})
	m.registry.MustRegister(refused)
	return refused.Inc
}
