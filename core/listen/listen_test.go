package listen_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/listen"
)

const patience = 20 * time.Second

func open(t *testing.T, place string) []net.Listener {
	t.Helper()
	p, err := listen.Parse(place)
	require.NoError(t, err)
	all, err := p.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listen.Close(all)) })
	return all
}

func TestPlaces(t *testing.T) {
	for text, scheme := range map[string]string{
		"127.0.0.1:4567": "", ":4567": "", "[::1]:4567": "", "http://localhost:4567": "http", "https://0.0.0.0:4567/": "https", "unix:///run/a.sock": "unix",
		"unix:///run/a.sock?mode=0660": "unix",
	} {
		p, err := listen.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, scheme, p.Scheme, text)
	}
	for text, want := range map[string]string{
		"4567": "HOST:PORT", "": "HOST:PORT", "tls://127.0.0.1:4567": "https://HOST:PORT", "unix://": "unix:///PATH", "unix:///a?mode=999": "octal", "unix:///a?mode=01777": "octal",
		"unix:///a?mode=": "octal", "unix:///a?owner=me": "octal",
	} {
		_, err := listen.Parse(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestAnInterfaceIsAllItsAddresses(t *testing.T) {
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			continue
		}
		addrs, err := i.Addrs()
		require.NoError(t, err)
		var have, want []string
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; !ip.IsLinkLocalUnicast() {
				want = append(want, ip.String())
			}
		}
		for _, l := range open(t, i.Name+":0") {
			have = append(have, l.Addr().(*net.TCPAddr).IP.String())
			require.True(t, listen.Local(l))
		}
		require.Equal(t, want, have)
		return
	}
	t.Skip("there is no loopback interface")
}

func TestASocketIsForItsOwnerAndGoesWithItsListener(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of sockets are not there")
	}
	for query, mode := range map[string]os.FileMode{"": 0o600, "?mode=0660": 0o660} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.sock")
		l := open(t, "unix://"+path+query)[0]
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode|os.ModeSocket, info.Mode())
		require.Equal(t, path, l.Addr().String())
		require.True(t, listen.Local(l))
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.NoError(t, l.Close())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func TestOnlyAStaleSocketIsReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a dead socket cannot be made there")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	p, err := listen.Parse("unix://" + path)
	require.NoError(t, err)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	_, err = p.Open(t.Context())
	require.ErrorContains(t, err, "another process listens")
	require.NoError(t, dead.Close())
	l := open(t, "unix://"+path)[0]

	require.NoError(t, os.Rename(path, path+".old"))
	require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
	require.NoError(t, l.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err, "what came in its place stays")
	require.Equal(t, "text", string(text))
	_, err = p.Open(t.Context())
	require.ErrorContains(t, err, "no socket")
}

func TestNetworks(t *testing.T) {
	out, err := listen.ParseNetworks([]string{"10.0.0.0/8", "127.0.0.1", "fd00::/8"})
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8")}, out)
	for _, text := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "example", "::ffff:10.0.0.0/104"} {
		_, err := listen.ParseNetworks([]string{text})
		require.ErrorContains(t, err, "want a network", text)
	}
}

// let connects to l, whose gate is asked, and reports whether it was let in within a while.
func let(t *testing.T, l net.Listener) bool {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	defer c.Close() //nolint:errcheck // at the end
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	n, _ := c.Read(make([]byte, 1)) // or it is closed
	return n == 1
}

// greet says a byte to each connection that is let in.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("x"))
	}
}

func TestAGateLetsInFromItsNetworksAlone(t *testing.T) {
	for network, want := range map[string]bool{"127.0.0.0/8": true, "10.0.0.0/8": false, "::/0": false} {
		networks, err := listen.ParseNetworks([]string{network})
		require.NoError(t, err)
		refused := make(chan net.Addr, 10)
		g, err := listen.NewGate(10, networks, func(a net.Addr) { refused <- a })
		require.NoError(t, err)
		l := g.At(open(t, "127.0.0.1:0")[0])
		go greet(l)
		require.Equal(t, want, let(t, l), network)
		require.Equal(t, !want, len(refused) == 1, network)
		if runtime.GOOS != "windows" {
			s := g.At(open(t, "unix://"+filepath.Join(t.TempDir(), "a.sock"))[0])
			go greet(s)
			require.True(t, let(t, s), "peers at a socket have no address")
		}
	}
}

// TestAGateCountsTheConnectionsOfAllItsListeners also shows that a listener at which nobody asks takes no room.
func TestAGateCountsTheConnectionsOfAllItsListeners(t *testing.T) {
	g, err := listen.NewGate(1, nil, nil)
	require.NoError(t, err)
	a, b := g.At(open(t, "127.0.0.1:0")[0]), g.At(open(t, "127.0.0.1:0")[0])
	at := make(chan net.Conn, 2)
	for _, l := range []net.Listener{a, b} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				at <- c
			}
		}()
	}
	in := func() net.Conn {
		select {
		case c := <-at:
			return c
		case <-time.After(patience):
			t.Fatal("nobody is let in")
			return nil
		}
	}
	dial := func(l net.Listener) {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
	}
	dial(b)
	first := in()
	dial(a)
	require.Never(t, func() bool { return len(at) > 0 }, 200*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, first.Close())
	require.Error(t, first.Close(), "and gives its room back once")
	second := in()
	dial(b)
	require.NoError(t, b.Close(), "also while it waits for room")
	require.NoError(t, second.Close())
	_, err = listen.NewGate(0, nil, nil)
	require.Error(t, err)
}
