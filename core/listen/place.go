package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Schemes of places.
const (
	Plain = "http"
	TLS   = "https"
	Unix  = "unix"
)

// Place is where to listen.
type Place struct {
	Scheme     string // Plain, TLS or Unix; empty where only HOST:PORT was said
	host, port string
	path       string
	mode       fs.FileMode
}

// Parse reads a place. A host may be a name, an address or a network interface, which stands for all its addresses; the
// path of a socket may be followed by ?mode=0660, else it has mode 0600.
func Parse(text string) (Place, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	}
	switch scheme {
	case Unix:
		return parseSocket(rest)
	case "", Plain, TLS:
	default:
		return Place{}, fmt.Errorf("unknown %s://: use HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:///PATH", scheme)
	}
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil {
		return Place{}, fmt.Errorf("want HOST:PORT: %w", err)
	}
	return Place{Scheme: scheme, host: host, port: port}, nil
}

func parseSocket(rest string) (Place, error) {
	path, query, _ := strings.Cut(rest, "?")
	p := Place{Scheme: Unix, path: path, mode: 0o600}
	if path == "" {
		return p, errors.New("want unix:///PATH")
	}
	said, err := url.ParseQuery(query)
	if err != nil {
		return p, err
	}
	for name, values := range said {
		mode, err := strconv.ParseUint(values[0], 8, 9)
		if name != "mode" || len(values) > 1 || err != nil {
			return p, errors.New("only ?mode= and up to three octal digits may follow the path, such as ?mode=0660")
		}
		p.mode = fs.FileMode(mode)
	}
	return p, nil
}

// Open listens at a place: once, or at every address of an interface. Sockets of processes that are gone are replaced.
func (p Place) Open(ctx context.Context) ([]net.Listener, error) {
	if p.Scheme == Unix {
		l, err := openSocket(ctx, p.path, p.mode)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	hosts, err := addresses(p.host)
	if err != nil {
		return nil, err
	}
	var out []net.Listener
	for _, h := range hosts {
		var cfg net.ListenConfig
		l, err := cfg.Listen(ctx, "tcp", net.JoinHostPort(h, p.port))
		if err != nil {
			return nil, errors.Join(err, Close(out))
		}
		out = append(out, l)
	}
	return out, nil
}

// addresses are those of an interface but the link-local ones, which clients could not write in an endpoint; of what is no
// interface, itself.
func addresses(host string) ([]string, error) {
	i, err := net.InterfaceByName(host)
	if err != nil {
		return []string{host}, nil //nolint:nilerr // a name or an address
	}
	all, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("interface %s has no address", host)
	}
	return out, nil
}

// Close closes listeners.
func Close(all []net.Listener) (err error) {
	for _, l := range all {
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Local reports whether only this machine reaches a listener.
func Local(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return !ok || a.IP.IsLoopback()
}
