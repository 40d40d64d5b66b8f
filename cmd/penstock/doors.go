package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/core/certs"
	"github.com/penstock/penstock/core/listen"
)

// doorConfig is what the flags of serve say of who reaches it and how.
type doorConfig struct {
	listen    []string
	allow     []string
	conns     int
	cert, key string
	own       bool
	names     []string
	clientCA  string
}

func (c *doorConfig) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&c.listen, "listen", []string{"127.0.0.1:4567"}, "where the API is: HOST:PORT, which is https:// with a certificate and http:// without one, https://HOST:PORT, http://HOST:PORT or unix:///PATH; HOST may be a network interface. Can be repeated")
	f.StringArrayVar(&c.allow, "allow", nil, "network that may connect, such as 10.0.0.0/8; can be repeated (default: all)")
	f.IntVar(&c.conns, "max-connections", 4096, "connections at a time; others wait")
	f.StringVar(&c.cert, "tls-cert", "", "PEM file of the server's certificate, with those between it and its root; read again when it changes")
	f.StringVar(&c.key, "tls-key", "", "PEM file of the certificate's key, with mode 0600")
	f.BoolVar(&c.own, "tls-self-signed", false, "a certificate of a CA of its own, DATA/tls-ca.pem, that clients are to trust (AWS_CA_BUNDLE); for localhost, this host's name and each --tls-name")
	f.StringArrayVar(&c.names, "tls-name", nil, "name or address that clients reach it by, for --tls-self-signed; can be repeated")
	f.StringVar(&c.clientCA, "tls-client-ca", "", "PEM file of the authorities of which every client has to have a certificate")
}

func (c *doorConfig) tls() bool { return c.cert != "" || c.own }

// validate says what is wrong with the flags about certificates.
func (c *doorConfig) validate() error {
	switch {
	case (c.cert == "") != (c.key == ""):
		return errors.New("--tls-cert and --tls-key need each other")
	case c.cert != "" && c.own:
		return errors.New("--tls-self-signed makes a certificate, and --tls-cert names one: use one of them")
	case len(c.names) > 0 && !c.own:
		return errors.New("--tls-name is what --tls-self-signed issues a certificate for")
	case c.clientCA != "" && !c.tls():
		return errors.New("--tls-client-ca needs TLS: give --tls-cert and --tls-key, or --tls-self-signed")
	case slices.ContainsFunc(c.names, func(n string) bool { return n == "" || strings.ContainsAny(n, " :/") && net.ParseIP(n) == nil }):
		return errors.New("--tls-name: want a host's name or an address, without a port")
	}
	return nil
}

// door is a listener of the API.
type door struct {
	net.Listener
	scheme string
}

func (d door) endpoint() string { return d.scheme + "://" + d.Addr().String() }

// doors are the listeners of the API, and the gate before all of them.
type doors struct {
	cfg  doorConfig
	gate *listen.Gate
	all  []door
	// Once serving has begun:
	refused func(net.Addr) // is told of connections that are not let in
	reload  func()         // reads the certificates again
}

// open listens at each place. The caller closes the doors.
func (c *doorConfig) open(ctx context.Context, nobodyAsked bool) (*doors, error) {
	if err := c.validate(); err != nil {
		return nil, usage(err)
	}
	networks, err := listen.ParseNetworks(c.allow)
	if err != nil {
		return nil, usage(fmt.Errorf("--allow %w", err))
	}
	d := &doors{cfg: *c, reload: func() {}}
	if d.gate, err = listen.NewGate(c.conns, networks, func(a net.Addr) { d.refused(a) }); err != nil {
		return nil, usage(fmt.Errorf("--max-connections: %w", err))
	}
	for _, text := range c.listen {
		if err := d.add(ctx, text, nobodyAsked); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	if c.tls() && !slices.ContainsFunc(d.all, func(d door) bool { return d.scheme == listen.TLS }) {
		return nil, errors.Join(usage(errors.New("there is a certificate, but no --listen speaks TLS: give HOST:PORT or https://HOST:PORT")), d.close())
	}
	return d, nil
}

func (d *doors) add(ctx context.Context, text string, nobodyAsked bool) error {
	p, err := listen.Parse(text)
	if err != nil {
		return usage(fmt.Errorf("--listen %s: %w", text, err))
	}
	switch {
	case p.Scheme == listen.TLS && !d.cfg.tls():
		return usage(fmt.Errorf("--listen %s needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed", text))
	case p.Scheme == "" && d.cfg.tls():
		p.Scheme = listen.TLS
	case p.Scheme == "":
		p.Scheme = listen.Plain
	}
	all, err := p.Open(ctx)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", text, err)
	}
	for _, l := range all {
		d.all = append(d.all, door{l, p.Scheme})
	}
	if nobodyAsked && slices.ContainsFunc(all, func(l net.Listener) bool { return !listen.Local(l) }) {
		return usage(fmt.Errorf("--listen %s can be reached from other machines and --auth none asks nobody who they are: use 127.0.0.1 or unix:///PATH, or keys", text))
	}
	return nil
}

func (d *doors) close() error {
	var all []net.Listener
	for _, l := range d.all {
		all = append(all, l)
	}
	return listen.Close(all)
}

// listeners are what the API is served at. Certificates are read, and read again until ctx ends. The caller holds the data
// directory.
func (d *doors) listeners(ctx context.Context, h *host, data string) ([]net.Listener, error) {
	refused := h.metrics.Refused()
	d.refused = func(from net.Addr) {
		refused()
		h.log.Debug("connection refused: it is from no network of --allow", "from", from)
	}
	var secure *tls.Config
	if d.cfg.tls() {
		store, err := d.certificates(h, data)
		if err != nil {
			return nil, err
		}
		secure = store.TLS()
		h.metrics.Gauge("tls_certificate_expiry_seconds", "When the certificate of the API expires, in seconds since 1970.", nil, func() float64 { return float64(store.Expires().Unix()) })
		told := func(err error) { tellReload(h, store, err) }
		d.reload = func() { told(store.Reload()) }
		go store.Watch(ctx, pollEvery, told)
	}
	var out []net.Listener
	for _, l := range d.all {
		at := d.gate.At(l)
		if l.scheme == listen.TLS {
			at = tls.NewListener(at, secure)
		}
		out = append(out, at)
	}
	return out, nil
}

func (d *doors) certificates(h *host, data string) (*certs.Store, error) {
	c := certs.Config{Cert: d.cfg.cert, Key: d.cfg.key, ClientCA: d.cfg.clientCA, Names: d.cfg.names}
	if d.cfg.own {
		var err error
		if c.Own, err = certs.OpenCA(data); err != nil {
			return nil, fmt.Errorf("--tls-self-signed: %w", err)
		}
		h.log.Info("clients have to trust this server's own CA", "AWS_CA_BUNDLE", c.Own.Path())
	}
	store, err := certs.Open(c)
	if err != nil {
		return nil, usage(fmt.Errorf("TLS: %w", err))
	}
	tellExpiry(h, store)
	return store, nil
}

func tellExpiry(h *host, store *certs.Store) {
	if at := store.Expires(); time.Now().After(at) {
		h.log.Warn("the certificate has expired: clients will refuse it", "expired", at)
	}
}

func tellReload(h *host, store *certs.Store, err error) {
	if err != nil {
		h.log.Error("certificates stay as they were", "error", err)
		return
	}
	h.log.Info("certificates read again", "expires", store.Expires())
	tellExpiry(h, store)
}

// bySocket reports whether a request came in at a Unix socket.
func bySocket(r *http.Request) bool {
	_, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok
}
