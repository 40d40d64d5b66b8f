package certs_test

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/certs"
	"github.com/penstock/penstock/core/certs/certstest"
)

const patience = 20 * time.Second

// lasting is a change to Issue by which a certificate is told from others.
func lasting(hours int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(time.Duration(hours) * time.Hour).Truncate(time.Second)
	}
}

func TestWhatIsWrongWithCertificatesIsSaid(t *testing.T) {
	a := certstest.New(t, "a")
	good, other := a.Issue(t), a.Issue(t)
	for name, c := range map[string]struct {
		cert, key, clients []byte
		mode               os.FileMode
		want               string
	}{
		"no certificate":              {[]byte("text"), good.Key, nil, 0o600, "failed to find any PEM data in certificate input"},
		"a key of another":            {good.Cert, other.Key, nil, 0o600, "private key does not match public key"},
		"certificate and key swapped": {good.Key, good.Cert, nil, 0o600, "PEM inputs may have been switched"},
		"a key that others read":      {good.Cert, good.Key, nil, 0o644, "chmod 600"},
		"an empty client CA":          {good.Cert, good.Key, []byte(""), 0o600, "it has no certificate"},
		"a key as client CA":          {good.Cert, good.Key, good.Key, 0o600, "it has a PRIVATE KEY"},
		"a client CA that is cut":     {good.Cert, good.Key, append(a.PEM, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...), 0o600, "certificate 2"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.mode != 0o600 && runtime.GOOS == "windows" {
				t.Skip("modes are not looked at there")
			}
			dir := t.TempDir()
			cfg := certs.Config{}
			cfg.Cert, cfg.Key = certstest.Pair{Cert: c.cert, Key: c.key}.Write(t, dir)
			require.NoError(t, os.Chmod(cfg.Key, c.mode))
			if c.clients != nil {
				cfg.ClientCA = filepath.Join(dir, "clients.pem")
				certstest.Replace(t, cfg.ClientCA, c.clients)
			}
			_, err := certs.Open(cfg)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, dir, "the file is named")
		})
	}
}

func TestAnErrorKeepsTheCertificate(t *testing.T) {
	a, dir := certstest.New(t, "a"), t.TempDir()
	first, second := a.Issue(t, lasting(2)), a.Issue(t, lasting(3))
	cert, key := first.Write(t, dir)
	s, err := certs.Open(certs.Config{Cert: cert, Key: key})
	require.NoError(t, err)
	require.True(t, s.Expires().Equal(first.TLS.Leaf.NotAfter))
	certstest.Replace(t, cert, second.Cert)
	require.Error(t, s.Reload(), "its key is another")
	require.True(t, s.Expires().Equal(first.TLS.Leaf.NotAfter))
	require.NoError(t, os.Remove(key))
	require.ErrorIs(t, s.Reload(), os.ErrNotExist)
	certstest.Replace(t, key, second.Key)
	require.NoError(t, s.Reload())
	require.True(t, s.Expires().Equal(second.TLS.Leaf.NotAfter))
}

func TestFilesThatChangeAreReadAndErrorsAreToldOnce(t *testing.T) {
	a, dir := certstest.New(t, "a"), t.TempDir()
	first, second := a.Issue(t, lasting(2)), a.Issue(t, lasting(3))
	cert, key := first.Write(t, dir)
	s, err := certs.Open(certs.Config{Cert: cert, Key: key})
	require.NoError(t, err)
	told := make(chan error, 100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go s.Watch(ctx, time.Millisecond, func(err error) { told <- err })
	next := func() error {
		select {
		case err := <-told:
			return err
		case <-time.After(patience):
			t.Fatal("nothing is told")
			return nil
		}
	}
	require.NoError(t, os.Remove(cert))
	require.ErrorIs(t, next(), os.ErrNotExist)
	certstest.Replace(t, cert, []byte("text"))
	require.ErrorContains(t, next(), "failed to find any PEM data")
	require.True(t, s.Expires().Equal(first.TLS.Leaf.NotAfter))
	certstest.Replace(t, key, second.Key)
	require.ErrorContains(t, next(), "failed to find any PEM data", "it was tried, as a file changed")
	certstest.Replace(t, cert, second.Cert)
	require.NoError(t, next())
	require.True(t, s.Expires().Equal(second.TLS.Leaf.NotAfter))
	require.Never(t, func() bool { return len(told) > 0 }, 100*time.Millisecond, time.Millisecond, "what did not change is not tried again")
}
