//go:build linux

package conformance

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sockets is how many connections there are at once, and in how many rounds puts without and with them are compared; with
// PENSTOCK_SOCKETS the times of puts are held against each other.
func sockets(t *testing.T) (n, rounds int, timed bool) {
	t.Helper()
	if os.Getenv("PENSTOCK_SOCKETS") == "" {
		return 1000, 1, false
	}
	return setting(t, "PENSTOCK_SOCKETS", 0), 9, true
}

// p99 is how long all but a hundredth of the next puts take.
func (b *beset) p99(t *testing.T) time.Duration {
	t.Helper()
	puts := 100
	if _, _, timed := sockets(t); timed {
		puts = 500
	}
	b.mu.Lock()
	b.times = nil
	b.mu.Unlock()
	var times []time.Duration
	require.Eventually(t, func() bool {
		b.mu.Lock()
		times = slices.Clone(b.times)
		b.mu.Unlock()
		return len(times) >= puts || b.fail.Load() != nil
	}, 2*time.Minute, 10*time.Millisecond)
	require.Nil(t, b.fail.Load())
	slices.Sort(times)
	return times[len(times)*99/100]
}

// compare compares puts without and with n attackers that go on until their context ends, once all have said to be ready:
// the lower quartile of the rounds of both. On a machine that is busy with other things it may say more than there is, in
// either direction.
func (b *beset) compare(t *testing.T, n int, attacker func(ctx context.Context, ready func())) {
	t.Helper()
	_, rounds, timed := sockets(t)
	var before, meanwhile []time.Duration
	for range rounds {
		before = append(before, b.p99(t))
		ctx, stop := context.WithCancel(t.Context())
		var attackers, ready sync.WaitGroup
		ready.Add(n)
		for range n {
			attackers.Go(func() { attacker(ctx, sync.OnceFunc(ready.Done)) })
		}
		ready.Wait()
		meanwhile = append(meanwhile, b.p99(t))
		b.goesOn(t)
		stop()
		attackers.Wait()
		b.goesOn(t)
	}
	t.Logf("p99 without: %s", before)
	t.Logf("p99 with:    %s", meanwhile)
	slices.Sort(before)
	slices.Sort(meanwhile)
	with, without := meanwhile[rounds/4], before[rounds/4] // other programs make most rounds longer; the best one is luck
	t.Logf("rounds=%d p99_without=%s p99_with=%s ratio=%.2f", rounds, without, with, float64(with)/float64(without))
	if timed {
		require.Less(t, with, 2*without)
	}
}

// TestSlowClientsHarmNobody holds thousands of connections half open, in different states.
func TestSlowClientsHarmNobody(t *testing.T) {
	const whole = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: 2\r\n\r\n{}"
	secure := []string{"--tls-self-signed"}
	for name, c := range map[string]struct {
		flags []string
		begin string
	}{
		"nothing": {nil, ""}, "half a head": {nil, head}, "a body to come": {nil, head + "Content-Length: 1000\r\n\r\n{"}, "HTTP/2's preface": {nil, http2.ClientPreface},
		"HTTP/2, idle": {nil, http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"}, "idle after a request": {nil, whole}, "nothing, where TLS is spoken": {secure, ""}, "half of TLS's hello": {secure, "\x16\x03\x01\x02\x00\x01\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _, _ := sockets(t)
			b := besiege(t, append(slices.Clone(c.flags), "--max-connections", strconv.Itoa(2*n))...)
			b.room = int64(n) << 16
			var dialled atomic.Int64
			b.compare(t, n, func(ctx context.Context, ready func()) {
				// Not all at once, and again a while after the server let go: they are to be there, not to be a flood.
				for pause := 2 * time.Second; ctx.Err() == nil; pause = 10 * time.Second {
					select {
					case <-ctx.Done():
						return
					case <-time.After(rand.N(pause)): //nolint:gosec // a test's
					}
					b.hold(ctx, func(conn net.Conn) {
						_, _ = io.WriteString(conn, c.begin) // or it is closed
						dialled.Add(1)
						ready()
						_, _ = io.Copy(io.Discard, conn) // until it is
					})
				}
			})
			t.Logf("sockets=%d dialled=%d", n, dialled.Load())
		})
	}
}

// hold opens a connection for as long as use takes, which ends early when ctx does.
func (b *beset) hold(ctx context.Context, use func(net.Conn)) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", b.Address())
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	use(c)
	stop()
	_ = c.Close() // by now it may be
}

// TestHeadsHaveToCome shows that a connection whose head does not come is let go.
func TestHeadsHaveToCome(t *testing.T) {
	b := besiege(t)
	c := b.dial(t)
	_, err := io.WriteString(c, head)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = io.ReadAll(c)
	require.NoError(t, err, "let go before the deadline")
	require.NoError(t, c.Close())
}

// TestLargePromisesHarmNobody holds connections that promise large bodies and do not send them.
func TestLargePromisesHarmNobody(t *testing.T) {
	b := besiege(t)
	for range 100 {
		c := b.dial(t)
		_, err := io.WriteString(c, head+"Content-Length: 15000000\r\n\r\n{")
		require.NoError(t, err)
		defer c.Close() //nolint:errcheck // at the end
	}
	b.goesOn(t)
}

// TestRapidResetsHarmNobody opens streams of HTTP/2 and resets them at once: as fast as can be over one connection after
// another, then over some at once and so fast that puts beside them say something about the server, not about who has the
// processor.
func TestRapidResetsHarmNobody(t *testing.T) {
	b := besiege(t)
	sent := 0
	for range 5 {
		c := b.dial(t)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		go func() { _, _ = io.Copy(io.Discard, c) }() // what the server says to it
		sent += resets(c, 20_000, func() {})
		require.NoError(t, c.Close())
		b.goesOn(t)
	}
	t.Logf("%d streams were reset", sent)
	require.GreaterOrEqual(t, sent, 1000)
	var paced atomic.Int64
	b.compare(t, 5, func(ctx context.Context, ready func()) {
		for ctx.Err() == nil {
			b.hold(ctx, func(c net.Conn) {
				resets(c, 20_000, func() {
					ready()
					if paced.Add(1)%10 == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				})
			})
		}
	})
	t.Logf("%d streams were reset beside puts", paced.Load())
}

// resets opens and resets streams until the server has enough of it, calling each after each, and returns how many.
func resets(c net.Conn, most int, each func()) int {
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return 0
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		return 0
	}
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := range most {
		block.Reset()
		for _, h := range [][2]string{{":method", "POST"}, {":path", "/"}, {":scheme", "http"}, {":authority", "127.0.0.1"}, {"content-type", "application/x-amz-json-1.1"}, {"x-amz-target", "Kinesis_20131202.ListStreams"}} {
			if err := e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
				return i
			}
		}
		id := uint32(2*i + 1) //nolint:gosec // a test's
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}) != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			return i
		}
		each()
	}
	return most
}
