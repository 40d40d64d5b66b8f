package awsapi

import (
	"log/slog"
	"net/http"
	"time"
)

// Limits of connections. A sender has as long as SDKs wait for a slow network; one that sends nothing is let go.
const (
	headerTime = 5 * time.Second
	readTime   = time.Minute
	writeTime  = time.Minute
	idleTime   = 2 * time.Minute
	maxHeaders = 64 << 10
	maxStreams = 250 // of one HTTP/2 connection
)

// HTTPServer returns a server for h that speaks HTTP/1.1 and HTTP/2 on one port: with TLS as the client chooses by
// ALPN, without it by what its first bytes are (HTTP/2 with prior knowledge).
func HTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, Protocols: p, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaders,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
