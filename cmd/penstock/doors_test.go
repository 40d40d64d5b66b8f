//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/kinesisapi/kinesistest"
)

func TestServeIsAtSeveralPlacesAtOnce(t *testing.T) {
	dir := t.TempDir()
	data, socket, plain, secure, admin := filepath.Join(dir, "data"), filepath.Join(dir, "api.sock"), freeAddress(t), freeAddress(t), freeAddress(t)
	c := spawn(t, "serve", "--data", data, "--auth", "none", "--listen", secure, "--listen", "http://"+plain, "--listen", "unix://"+socket, "--tls-self-signed", "--admin", admin)
	require.Eventually(t, func() bool { code, _ := get(t, admin, "/readyz"); return code == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
	text, err := os.ReadFile(filepath.Join(data, "tls-ca.pem"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	for endpoint, change := range map[string]func(*http.Transport){
		"http://" + plain:   func(*http.Transport) {},
		"https://" + secure: kinesistest.Trust(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		"http://any.name": func(tr *http.Transport) {
			tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			}
		},
	} {
		_, err := kinesistest.Client(endpoint, "key", "secret", change).ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		require.NoError(t, err, endpoint)
	}
	_, err = kinesistest.Client("http://"+secure, "key", "secret").ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	require.Error(t, err, "where there is TLS there is nothing else")
	for _, endpoint := range []string{"http://" + plain, "https://" + secure, "unix://" + socket} {
		require.Contains(t, c.said.String(), "msg=serving endpoint="+endpoint)
	}
	c.signal(syscall.SIGTERM)
	c.ends(20 * time.Second)
	require.Equal(t, exitOK, c.cmd.ProcessState.ExitCode(), c.said)
	require.NoFileExists(t, socket)
}

func TestServeRefusesConnectionsFromElsewhere(t *testing.T) {
	for network, refused := range map[string]string{"10.0.0.0/8": "1", "127.0.0.0/8": "0"} {
		address, admin := freeAddress(t), freeAddress(t)
		spawn(t, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--auth", "none", "--listen", address, "--allow", network, "--admin", admin)
		require.Eventually(t, func() bool { code, _ := get(t, admin, "/readyz"); return code == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
		_, err := kinesistest.Client("http://"+address, "key", "secret").ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		require.Equal(t, refused == "1", err != nil, "%v", err)
		_, figures := get(t, admin, "/metrics")
		require.Contains(t, figures, "\npenstock_refused_connections_total "+refused+"\n")
	}
}

// TestSIGHUPWithNothingToReadDoesNotEndServe also shows that a certificate of its own is issued again.
func TestSIGHUPWithNothingToReadDoesNotEndServe(t *testing.T) {
	for _, flags := range []string{"", "--tls-self-signed"} {
		s := serveTLS(t, strings.Fields(flags)...)
		s.signal(syscall.SIGHUP)
		if flags != "" {
			s.says(t, "certificates read again")
		}
		s.signal(syscall.SIGTERM)
		s.ends(20 * time.Second)
		require.Equal(t, exitOK, s.cmd.ProcessState.ExitCode(), s.said)
	}
}
