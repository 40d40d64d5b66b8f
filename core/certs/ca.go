package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/core/vfs"
)

// Names of a CA's files.
const (
	caFile    = "tls-ca.pem"
	caKeyFile = "tls-ca-key.pem"
)

// How long certificates last. Some clients take none for servers that last longer than these.
const (
	caLasts     = 10 * 365 * 24 * time.Hour
	leafLasts   = 397 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	early       = time.Hour // that clocks of clients may be behind
)

// CA is an authority of a server's own. Its certificates are issued anew at every start and never stand on disk; clients
// trust the CA, which stays.
type CA struct {
	path string
	cert *x509.Certificate
	key  crypto.Signer
}

// OpenCA reads the CA in a folder, or makes it where there is none. The caller sees to it that no other process does.
func OpenCA(dir string) (*CA, error) {
	path, keyPath := filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeCA(vfs.OS{}, path, keyPath, time.Now()); err != nil {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
	}
	cert, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	key, err := vfs.ReadPrivate(keyPath, maxFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w: without both files new ones are made, which clients then have to be given", path, keyPath, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || time.Until(pair.Leaf.NotAfter) < renewBefore {
		return nil, fmt.Errorf("%s expires at %s: without it and %s new ones are made, which clients then have to be given", path, pair.Leaf.NotAfter.Format(time.RFC3339), keyPath)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return &CA{path, pair.Leaf, signer}, nil
}

// Path is the file of the CA's certificate, which clients need.
func (c *CA) Path() string { return c.path }

// makeCA writes the key first: a certificate without its key would be of no use, and stay.
func makeCA(disk vfs.FS, path, keyPath string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{ // named by chance, as clients may trust several
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"Penstock"}, CommonName: "Penstock CA " + rand.Text()[:8]},
		NotBefore: now.Add(-early), NotAfter: now.Add(caLasts),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := vfs.WritePrivate(disk, keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})); err != nil {
		return err
	}
	return vfs.WritePrivate(disk, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// issue makes a certificate for this machine and names, which are of hosts or addresses.
func (c *CA) issue(names []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"Penstock"}, CommonName: "localhost"},
		NotBefore: now.Add(-early), NotAfter: now.Add(leafLasts), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if t.NotAfter.After(c.cert.NotAfter) {
		t.NotAfter = c.cert.NotAfter
	}
	all := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		all = append(all, host)
	}
	for _, n := range append(all, names...) {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, c.cert, key.Public(), c.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// due reports whether a certificate should make way for one that lasts longer.
func (c *CA) due(expires, now time.Time) bool {
	return expires.Sub(now) < renewBefore && expires.Before(c.cert.NotAfter)
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return new(big.Int).Rsh(new(big.Int).SetBytes(b[:]), 1)
}
