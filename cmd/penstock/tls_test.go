//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/core/certs/certstest"
	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
)

// tlsCampaign counts cases, and those that went wrong.
type tlsCampaign struct {
	t            *testing.T
	cases, wrong int
}

func (c *tlsCampaign) run(name string, f func(*testing.T)) {
	c.cases++
	if !c.t.Run(name, f) {
		c.wrong++
	}
}

// tlsServer is penstock serve in a process of its own.
type tlsServer struct {
	*child
	data, address string
}

func serveTLS(t *testing.T, flags ...string) *tlsServer {
	t.Helper()
	s := &tlsServer{data: filepath.Join(t.TempDir(), "data"), address: freeAddress(t)}
	s.begin(t, flags...)
	return s
}

func (s *tlsServer) begin(t *testing.T, flags ...string) {
	t.Helper()
	admin := freeAddress(t)
	s.child = spawn(t, append([]string{"serve", "--auth", "none", "--listen", s.address, "--data", s.data, "--admin", admin}, flags...)...)
	require.Eventually(t, func() bool { code, _ := get(t, admin, "/readyz"); return code == http.StatusOK }, 20*time.Second, 10*time.Millisecond, "%s", s.said)
}

// says waits until the server has said something.
func (s *tlsServer) says(t *testing.T, what string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.said.String(), what) }, 20*time.Second, 10*time.Millisecond, "%s: %s", what, s.said)
}

const listStreams = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: 2\r\n\r\n{}"

// ask asks over a new connection for the streams. No error means that they were told.
func (s *tlsServer) ask(t *testing.T, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	d := tls.Dialer{Config: c}
	conn, err := d.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close() //nolint:errcheck // its answer was read
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, _ = io.WriteString(conn, listStreams) // an alert is read below
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // the connection ends with it
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, string(text), "StreamNames")
	return conn.(*tls.Conn).ConnectionState(), nil
}

func (s *tlsServer) client(c *tls.Config, change ...func(*http.Transport)) *kinesis.Client {
	return kinesistest.Client("https://"+s.address, "key", "secret", append(change, kinesistest.Trust(c))...)
}

// TestTLS is of what clients meet that speak TLS, and of those that should not get in.
func TestTLS(t *testing.T) {
	c := &tlsCampaign{t: t}
	c.handshakes()
	c.protocols()
	c.clientCertificates()
	c.replacedFiles()
	c.ownCA()
	requests, reloads := c.underLoad()
	t.Logf("campaign=tls cases=%d reloads=%d requests=%d dropped=0 wrong=%d", c.cases, reloads, requests, c.wrong)
	require.GreaterOrEqual(t, c.cases, 20)
}

// handshakes are of servers' certificates, versions and ciphers.
func (c *tlsCampaign) handshakes() {
	good, other := certstest.New(c.t, "good"), certstest.New(c.t, "other")
	trusting := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{RootCAs: good.Pool()} //nolint:gosec // some versions are to be refused
		change(c)
		return c
	}
	expired := func(x *x509.Certificate) { certstest.Expired(x) }
	for _, k := range []struct {
		name   string
		server func(*x509.Certificate)
		client func(*tls.Config)
		want   string // the error; none: it works
	}{
		{"TLS 1.3", nil, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, ""},
		{"TLS 1.2", nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
		{"TLS 1.1", nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "protocol version not supported"},
		{"TLS 1.0", nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }, "protocol version not supported"},
		{"a broken cipher", nil, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}
		}, "handshake failure"},
		{"a protocol that nobody speaks", nil, func(c *tls.Config) { c.NextProtos = []string{"spdy/3"} }, "no application protocol"},
		{"by address", nil, func(c *tls.Config) { c.ServerName = "127.0.0.1" }, ""},
		{"by name", nil, func(c *tls.Config) { c.ServerName = "localhost" }, ""},
		{"another name", nil, func(c *tls.Config) { c.ServerName = "other.example" }, "not other.example"},
		{"a CA that is not trusted", nil, func(c *tls.Config) { c.RootCAs = other.Pool() }, "certificate signed by unknown authority"},
		{"an expired certificate", expired, func(*tls.Config) {}, "expired or is not yet valid"},
		{"a certificate to come", certstest.Early, func(*tls.Config) {}, "expired or is not yet valid"},
		{"a certificate for clients only", func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, func(*tls.Config) {}, "incompatible key usage"},
	} {
		c.run(k.name, func(t *testing.T) {
			var change []func(*x509.Certificate)
			if k.server != nil {
				change = append(change, k.server)
			}
			cert, key := good.Issue(t, change...).Write(t, t.TempDir())
			_, err := serveTLS(t, "--tls-cert", cert, "--tls-key", key).ask(t, trusting(k.client))
			if k.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, k.want)
			}
		})
	}
}

// protocols are those spoken over TLS, and what is not answered without it.
func (c *tlsCampaign) protocols() {
	a := certstest.New(c.t, "a")
	cert, key := a.Issue(c.t).Write(c.t, c.t.TempDir())
	s := serveTLS(c.t, "--tls-cert", cert, "--tls-key", key)
	client := s.client(&tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12})
	for name, protocols := range map[string][]string{"HTTP/2.0": {"h2", "http/1.1"}, "HTTP/1.1": {"http/1.1"}} {
		c.run(name, func(t *testing.T) {
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool(), NextProtos: protocols, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: protocols[0] == "h2"}
			defer tr.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address, strings.NewReader("{}"))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/x-amz-json-1.1")
			req.Header.Set("X-Amz-Target", "Kinesis_20131202.ListStreams")
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Equal(t, name, resp.Proto)
			require.Equal(t, protocols[0], resp.TLS.NegotiatedProtocol)
		})
	}
	c.run("SubscribeToShard over HTTP/2", func(t *testing.T) { subscribed(t, client) })
	c.run("HTTP/1.1 without TLS", func(t *testing.T) {
		resp, err := http.Post("http://"+s.address, "application/x-amz-json-1.1", strings.NewReader("{}"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.Empty(t, resp.Header.Get("X-Amzn-Requestid"), "the API was not asked")
	})
	c.run("HTTP/2 without TLS", func(t *testing.T) {
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: p}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address, strings.NewReader("{}"))
		require.NoError(t, err)
		_, err = tr.RoundTrip(req) //nolint:bodyclose // there is none
		require.Error(t, err)
	})
}

// subscribed puts records, and has them pushed.
func subscribed(t *testing.T, client *kinesis.Client) {
	t.Helper()
	const records = 300
	_, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("clicks"), ShardCount: aws.Int32(1)})
	require.NoError(t, err)
	require.NoError(t, kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond }).
		Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("clicks")}, time.Minute))
	made, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/clicks"), ConsumerName: aws.String("app")})
	require.NoError(t, err)
	var sub *kinesis.SubscribeToShardEventStream
	require.Eventually(t, func() bool {
		out, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
			ConsumerARN: made.Consumer.ConsumerARN, ShardId: aws.String("shardId-000000000000"), StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
		})
		if err != nil {
			return false // the consumer is being made
		}
		sub = out.GetStream()
		return true
	}, 20*time.Second, 50*time.Millisecond)
	defer sub.Close() //nolint:errcheck // what it had to say was read
	for n := range records {
		_, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: aws.String("k"), Data: strconv.AppendInt(nil, int64(n), 10)})
		require.NoError(t, err)
	}
	var got []string
	for len(got) < records {
		e, ok := <-sub.Events()
		require.True(t, ok, "%v", sub.Err())
		for _, r := range e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value.Records {
			got = append(got, string(r.Data))
		}
	}
	for n, data := range got {
		require.Equal(t, strconv.Itoa(n), data)
	}
}

// clientCertificates are of who has to show one.
func (c *tlsCampaign) clientCertificates() {
	a, clients, other := certstest.New(c.t, "a"), certstest.New(c.t, "clients"), certstest.New(c.t, "other")
	dir := c.t.TempDir()
	cert, key := a.Issue(c.t).Write(c.t, dir)
	authorities := filepath.Join(dir, "clients.pem")
	certstest.Replace(c.t, authorities, clients.PEM)
	s := serveTLS(c.t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authorities)
	with := func(p *certstest.Pair, most uint16) *tls.Config {
		return &tls.Config{ //nolint:gosec // 1.2 or more
			RootCAs: a.Pool(), MaxVersion: most, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // whatever the server asks for
				if p == nil {
					return &tls.Certificate{}, nil
				}
				return &p.TLS, nil
			},
		}
	}
	issued := func(a *certstest.Authority, change ...func(*x509.Certificate)) *certstest.Pair {
		p := a.Issue(c.t, change...)
		return &p
	}
	right := issued(clients)
	for _, k := range []struct {
		name   string
		client *certstest.Pair
		want   string
	}{
		{"the right one", right, ""},
		{"none", nil, "certificate required"},
		{"expired", issued(clients, certstest.Expired), "expired certificate"},
		{"to come", issued(clients, certstest.Early), "expired certificate"},
		{"of another CA", issued(other), "unknown certificate authority"},
		{"of the server's CA", issued(a), "unknown certificate authority"},
		{"for servers only", issued(clients, func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "bad certificate"},
	} {
		for version, most := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
			c.run("a client's certificate: "+k.name+", "+version, func(t *testing.T) {
				_, err := s.ask(t, with(k.client, most))
				switch {
				case k.want == "":
					require.NoError(t, err)
				case k.client == nil && most == tls.VersionTLS12:
					require.ErrorContains(t, err, "handshake failure", "as 1.2 has it")
				default:
					require.ErrorContains(t, err, k.want)
				}
			})
		}
	}
	c.run("a client CA that is replaced", func(t *testing.T) {
		for _, most := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			before := with(right, most) // which would resume its session
			_, err := s.ask(t, before)
			require.NoError(t, err)
			certstest.Replace(t, authorities, other.PEM)
			s.signal(syscall.SIGHUP)
			require.Eventually(t, func() bool { _, err := s.ask(t, with(issued(other), most)); return err == nil }, 20*time.Second, 10*time.Millisecond)
			_, err = s.ask(t, before)
			require.ErrorContains(t, err, "unknown certificate authority")
			certstest.Replace(t, authorities, clients.PEM)
			s.signal(syscall.SIGHUP)
			require.Eventually(t, func() bool { _, err := s.ask(t, before); return err == nil }, 20*time.Second, 10*time.Millisecond)
		}
	})
	c.run("a client CA that is emptied", func(t *testing.T) {
		certstest.Replace(t, authorities, nil)
		s.says(t, "clients.pem: it has no certificate")
		_, err := s.ask(t, with(right, tls.VersionTLS13))
		require.NoError(t, err)
		_, err = s.ask(t, with(nil, tls.VersionTLS13))
		require.ErrorContains(t, err, "certificate required", "it is still asked for")
	})
}

// replacedFiles are of certificates that change while the server runs.
func (c *tlsCampaign) replacedFiles() {
	a, dir := certstest.New(c.t, "a"), c.t.TempDir()
	now := a.Issue(c.t)
	cert, key := now.Write(c.t, dir)
	s := serveTLS(c.t, "--tls-cert", cert, "--tls-key", key)
	shown := func(t *testing.T) string {
		t.Helper()
		state, err := s.ask(t, &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12})
		require.NoError(t, err)
		return state.PeerCertificates[0].SerialNumber.String()
	}
	becomes := func(t *testing.T, p certstest.Pair) {
		t.Helper()
		require.Eventually(t, func() bool { return shown(t) == p.TLS.Leaf.SerialNumber.String() }, 20*time.Second, 20*time.Millisecond)
	}
	c.run("another certificate", func(t *testing.T) {
		now = a.Issue(t)
		now.Write(t, dir)
		becomes(t, now)
	})
	c.run("another certificate, at SIGHUP", func(t *testing.T) {
		now = a.Issue(t)
		now.Write(t, dir)
		s.signal(syscall.SIGHUP)
		becomes(t, now)
	})
	for _, k := range []struct{ name, file, text, want string }{
		{"a certificate of another key", cert, string(a.Issue(c.t).Cert), "private key does not match public key"},
		{"a certificate that is no PEM", cert, "text", "failed to find any PEM data in certificate input"},
		{"a key that is cut", key, string(now.Key[:len(now.Key)/2]), "failed to find any PEM data in key input"},
	} {
		c.run(k.name, func(t *testing.T) {
			certstest.Replace(t, k.file, []byte(k.text))
			s.says(t, k.want)
			require.Equal(t, now.TLS.Leaf.SerialNumber.String(), shown(t))
			now = a.Issue(t)
			now.Write(t, dir)
			s.signal(syscall.SIGHUP)
			becomes(t, now)
		})
	}
	c.run("a certificate that is gone", func(t *testing.T) {
		require.NoError(t, os.Remove(cert))
		s.says(t, "no such file")
		require.Equal(t, now.TLS.Leaf.SerialNumber.String(), shown(t))
	})
}

// ownCA are of --tls-self-signed.
func (c *tlsCampaign) ownCA() {
	flags := []string{"--tls-self-signed", "--tls-name", "streams.example"}
	s := serveTLS(c.t, flags...)
	trusting := func(t *testing.T, name string) *tls.Config {
		t.Helper()
		path := filepath.Join(s.data, "tls-ca.pem")
		require.Contains(t, s.said.String(), "AWS_CA_BUNDLE="+path)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(text))
		return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
	}
	host, err := os.Hostname()
	require.NoError(c.t, err)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host, "streams.example"} {
		c.run("a certificate of its own: "+name, func(t *testing.T) {
			_, err := s.ask(t, trusting(t, name))
			require.NoError(t, err)
		})
	}
	c.run("a certificate of its own: another name", func(t *testing.T) {
		_, err := s.ask(t, trusting(t, "other.example"))
		require.ErrorContains(t, err, "not other.example")
	})
	c.run("a CA of its own stays over a restart", func(t *testing.T) {
		before := trusting(t, "localhost")
		s.signal(syscall.SIGTERM)
		s.ends(20 * time.Second)
		s.begin(t, flags...)
		_, err := s.ask(t, before)
		require.NoError(t, err)
	})
}

// underLoad replaces the certificate again and again while it is put to over connections that stay and ones that are new
// each time. PENSTOCK_TLS_RELOADS says how often.
func (c *tlsCampaign) underLoad() (requests int64, reloads int) {
	reloads = 10
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_TLS_RELOADS")); err == nil {
		reloads = n
	}
	var done atomic.Int64
	c.run("reloads under load", func(t *testing.T) {
		a, dir := certstest.New(t, "a"), t.TempDir()
		cert, key := a.Issue(t).Write(t, dir)
		s := serveTLS(t, "--tls-cert", cert, "--tls-key", key)
		trusting := &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12}
		newEach := func(tr *http.Transport) { tr.DisableKeepAlives = true }
		oldProtocol := func(tr *http.Transport) { tr.ForceAttemptHTTP2 = false }
		clients := []*kinesis.Client{s.client(trusting), s.client(trusting, newEach), s.client(trusting, oldProtocol), s.client(trusting, oldProtocol, newEach)}
		subscribed(t, clients[0])
		var g errgroup.Group
		var end atomic.Bool
		for _, client := range clients {
			g.Go(func() error {
				for !end.Load() {
					if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), PartitionKey: aws.String("k"), Data: []byte("data")}); err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			})
		}
		for i := range reloads {
			p := a.Issue(t)
			p.Write(t, dir)
			if i%2 == 0 {
				s.signal(syscall.SIGHUP)
			}
			require.Eventually(t, func() bool {
				state, err := s.ask(t, trusting)
				return err == nil && state.PeerCertificates[0].SerialNumber.Cmp(p.TLS.Leaf.SerialNumber) == 0
			}, 20*time.Second, 10*time.Millisecond, "%s", s.said)
		}
		end.Store(true)
		require.NoError(t, g.Wait())
	})
	return done.Load(), reloads
}
