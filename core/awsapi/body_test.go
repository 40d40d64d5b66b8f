package awsapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/memory"
)

// size is a service that says how long a text is.
func size() Service {
	type long struct {
		Text string `aws:"Text,required"`
	}
	type length struct {
		N int64 `aws:"N,required"`
	}
	return Service{Name: "echo", Target: "Echo_2026", Operations: []Operation{
		Op("Size", func(*long) string { return "*" }, func(_ context.Context, _ *Call, in *long) (*length, error) {
			return &length{int64(len(in.Text))}, nil
		}),
	}}
}

func large(bytes int) string { return `{"Text":"` + strings.Repeat("x", bytes) + `"}` }

func TestABodyIsTakenHoweverSmallTheBudget(t *testing.T) {
	budget, err := memory.New(memory.Min)
	require.NoError(t, err)
	s := httptest.NewServer(New(size(), Config{Guard: Anyone, Memory: budget}))
	defer s.Close()
	resp, said := ask(t, s.URL, "Size", large(14<<20), nil)
	require.Equal(t, http.StatusOK, resp.StatusCode, said)
	held := func() int64 { reading, _ := budget.Used(); return reading }
	require.Eventually(t, func() bool { return held() == 0 }, 10*time.Second, time.Millisecond)
}

// TestLargeBodiesDoNotWaitForEachOther sends bodies of which each has a part of the memory that all need.
func TestLargeBodiesDoNotWaitForEachOther(t *testing.T) {
	budget, err := memory.New(memory.Default)
	require.NoError(t, err)
	server := New(size(), Config{Guard: Anyone, Memory: budget})
	server.bodies.wait = time.Minute // on a slow machine
	s := httptest.NewServer(server)
	defer s.Close()
	const bodies = 6
	half := sync.WaitGroup{}
	half.Add(bodies)
	var all sync.WaitGroup
	for range bodies {
		all.Go(func() {
			text := large(14 << 20)
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, text[:3<<20])
				half.Done()
				half.Wait() // now each has some
				_, _ = io.WriteString(w, text[3<<20:])
				_ = w.Close()
			}()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, r)
			require.NoError(t, err)
			req.ContentLength = int64(len(text))
			req.Header.Set("Content-Type", typeJSON)
			req.Header.Set("X-Amz-Target", "Echo_2026.Size")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			said, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error(string(said))
			}
		})
	}
	all.Wait()
	held := func() int64 { reading, _ := budget.Used(); return reading }
	require.Eventually(t, func() bool { return held() == 0 }, 10*time.Second, time.Millisecond)
}

// TestWholeBodiesNeedNoMoreToGoOn sends many bodies at once that have no room beside each other, to a service that needs
// a while. None has a part of its memory and waits for the rest, so none needs to go ahead.
func TestWholeBodiesNeedNoMoreToGoOn(t *testing.T) {
	budget, err := memory.New(memory.Min)
	require.NoError(t, err)
	server := New(size(), Config{Guard: slowly{Anyone}, Memory: budget})
	server.bodies.wait = 20 * time.Second // on a slow machine
	<-server.bodies.ahead                 // nobody may
	s := httptest.NewServer(server)
	defer s.Close()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if resp, said := ask(t, s.URL, "Size", large(300<<10), nil); resp.StatusCode != http.StatusOK {
				t.Error(said)
			}
		})
	}
	all.Wait()
}

// TestWhoFindsNoRoomIsAnswered sends a large body to a server without memory, whole before it reads the answer.
func TestWhoFindsNoRoomIsAnswered(t *testing.T) {
	budget, err := memory.New(memory.Min)
	require.NoError(t, err)
	server := New(size(), Config{Guard: Anyone, Memory: budget})
	server.bodies.wait = 10 * time.Millisecond
	<-server.bodies.ahead // nobody may
	for _, h := range []*memory.Holder{budget.Holder(), server.bodies.memory} {
		all, err := h.Take(t.Context(), budget.Reading())
		require.NoError(t, err)
		defer all.Give()
	}
	s := httptest.NewServer(server)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // it was only read
	text := large(8 << 20)
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nX-Amz-Target: Echo_2026.Size\r\nContent-Length: %d\r\n\r\n%s", typeJSON, len(text), text)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
}

// slowly is a guard that takes a disk's time.
type slowly struct{ Guard }

func (g slowly) Verify(r *http.Request, doc []byte) (Caller, error) {
	time.Sleep(20 * time.Millisecond)
	return g.Guard.Verify(r, doc)
}
