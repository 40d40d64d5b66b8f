package listen

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Gate lets connections in, of all the listeners that it is at together. It is safe for concurrent use.
type Gate struct {
	allow   []netip.Prefix
	slots   chan struct{}
	refused func(net.Addr)
}

// NewGate returns a gate that lets most connections in at a time, from the networks of allow alone unless that is empty;
// refused is told of each that is not from there. Others wait until there is room. Peers at Unix sockets have no address,
// and are let in.
func NewGate(most int, allow []netip.Prefix, refused func(net.Addr)) (*Gate, error) {
	if most < 1 {
		return nil, fmt.Errorf("%d connections at a time: want 1 or more", most)
	}
	return &Gate{allow, make(chan struct{}, most), refused}, nil
}

// ParseNetworks reads networks, such as 10.0.0.0/8, and single addresses.
func ParseNetworks(texts []string) (out []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%s: want a network such as 10.0.0.0/8 or fd00::/8, or an address", text)
		}
		out = append(out, p)
	}
	return out, nil
}

func (g *Gate) allows(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || len(g.allow) == 0 {
		return true
	}
	peer := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range g.allow {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// At puts the gate before a listener.
func (g *Gate) At(l net.Listener) net.Listener {
	return &gated{Listener: l, gate: g, done: make(chan struct{})}
}

// gated is a listener behind a gate.
type gated struct {
	net.Listener
	gate *Gate
	once sync.Once
	done chan struct{}
}

// Accept returns the next connection that is let in. It takes the room after the connection, so that listeners at which
// nobody asks take none from each other.
func (l *gated) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !l.gate.allows(c.RemoteAddr()) {
			l.gate.refused(c.RemoteAddr())
			_ = c.Close() // nothing was promised to it
			continue
		}
		select {
		case l.gate.slots <- struct{}{}:
			return &admitted{Conn: c, leave: sync.OnceFunc(func() { <-l.gate.slots })}, nil
		case <-l.done:
			_ = c.Close()
			return nil, net.ErrClosed
		}
	}
}

// Close ends the listener, and an Accept that waits.
func (l *gated) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// admitted is a connection that has room.
type admitted struct {
	net.Conn
	leave func()
}

// Close ends the connection and gives its room back.
func (c *admitted) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
