package certs

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/vfs"
)

// check verifies a certificate as clients that trust a CA do.
func check(t *testing.T, s *Store, ca *CA, name string) error {
	t.Helper()
	text, err := os.ReadFile(ca.Path())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	_, err = s.now.Load().leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
	return err
}

func TestACertificateOfItsOwnIsForThisMachineAndNames(t *testing.T) {
	dir := t.TempDir()
	ca, err := OpenCA(dir)
	require.NoError(t, err)
	s, err := Open(Config{Own: ca, Names: []string{"streams.example", "192.0.2.7"}})
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host, "streams.example", "192.0.2.7"} {
		require.NoError(t, check(t, s, ca, name), name)
	}
	for _, name := range []string{"other.example", "192.0.2.8"} {
		require.Error(t, check(t, s, ca, name), name)
	}
	for _, name := range []string{caFile, caKeyFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.True(t, runtime.GOOS == "windows" || info.Mode() == 0o600, "%s has mode %s", name, info.Mode())
	}
	again, err := OpenCA(dir)
	require.NoError(t, err)
	require.True(t, ca.cert.Equal(again.cert), "it stays")
}

func TestACertificateOfItsOwnIsIssuedAgainBeforeItExpires(t *testing.T) {
	ca, err := OpenCA(t.TempDir())
	require.NoError(t, err)
	s, err := Open(Config{Own: ca})
	require.NoError(t, err)
	tried, err := s.poll()
	require.NoError(t, err)
	require.False(t, tried)
	cert, err := ca.issue(nil, time.Now().Add(-leafLasts+renewBefore/2))
	require.NoError(t, err)
	s.now.Store(&material{leaf: cert.Leaf})
	tried, err = s.poll()
	require.NoError(t, err)
	require.True(t, tried)
	require.Greater(t, time.Until(s.Expires()), renewBefore)
	require.False(t, ca.due(ca.cert.NotAfter, ca.cert.NotAfter), "none lasts longer than the CA")
}

func TestACAWithoutItsKeyIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenCA(dir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, caKeyFile)))
	_, err = OpenCA(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.Remove(filepath.Join(dir, caFile)))
	_, err = OpenCA(dir)
	require.NoError(t, err)
}

func TestACAThatExpiresIsSaidToBe(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, makeCA(vfs.OS{}, filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile), time.Now().Add(-caLasts+renewBefore/2)))
	_, err := OpenCA(dir)
	require.ErrorContains(t, err, "expires at")
}

// TestACAIsWholeOrNotThere has each step of its making fail.
func TestACAIsWholeOrNotThere(t *testing.T) {
	failed := errors.New("failed")
	for n := 0; ; n++ {
		dir := t.TempDir()
		path, key := filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile)
		err := makeCA(&failing{FS: vfs.OS{}, left: n, err: failed}, path, key, time.Now())
		if err == nil {
			require.Greater(t, n, 3)
			return
		}
		require.ErrorIs(t, err, failed)
		_, err = OpenCA(dir)
		require.NoError(t, err, "step %d", n)
	}
}

// failing is a disk of which the calls that make names durable fail from one on, once.
type failing struct {
	vfs.FS
	left int
	err  error
}

func (f *failing) step() error {
	f.left--
	if f.left == -1 {
		return f.err
	}
	return nil
}

func (f *failing) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *failing) SyncDir(dir string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}
