package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/core/vfs"
)

// maxFile is room for the authorities of a whole operating system.
const maxFile = 4 << 20

// Config says where a server's certificate comes from.
type Config struct {
	Cert, Key string   // PEM files: a certificate with those between it and its root, and its key
	ClientCA  string   // PEM file of the authorities of which clients need a certificate. Empty: clients need none
	Own       *CA      // issues the certificate, in place of Cert and Key
	Names     []string // that Own issues it for, beside those of this machine
}

// Store is a certificate that can be read again. It is safe for concurrent use.
type Store struct {
	cfg     Config
	reading sync.Mutex // guards what follows but now
	read    [][]byte   // the texts of the files as they were last tried
	seen    [][]byte   // when last polled
	now     atomic.Pointer[material]
}

// material is what connections are made with.
type material struct {
	config *tls.Config
	leaf   *x509.Certificate
}

// Open reads a server's certificate.
func Open(c Config) (*Store, error) {
	s := &Store{cfg: c}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the certificate again. From its return on, new connections have what was read; after an error they have
// what they had.
func (s *Store) Reload() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	texts, err := s.texts()
	if err != nil {
		return err
	}
	return s.use(texts)
}

// texts are those of the certificate, its key and the clients' authorities.
func (s *Store) texts() (out [][]byte, err error) {
	out = make([][]byte, 3)
	for i, path := range []string{s.cfg.Cert, s.cfg.Key, s.cfg.ClientCA} {
		read := readFile
		if i == 1 {
			read = vfs.ReadPrivate
		}
		var e error
		if path != "" {
			out[i], e = read(path, maxFile)
		}
		err = errors.Join(err, e)
	}
	return out, err
}

func readFile(path string, most int64) (text []byte, err error) {
	file, err := os.Open(path) //nolint:gosec // the user named it
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return io.ReadAll(io.LimitReader(file, most))
}

// use makes connections from texts on.
func (s *Store) use(texts [][]byte) error {
	s.read, s.seen = texts, texts
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	cert, err := s.certificate(texts[0], texts[1])
	if err != nil {
		return err
	}
	c.Certificates = []tls.Certificate{cert}
	if s.cfg.ClientCA != "" {
		if c.ClientCAs, err = pool(texts[2]); err != nil {
			return fmt.Errorf("%s: %w", s.cfg.ClientCA, err)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
		c.SessionTicketsDisabled = true // so that every connection's certificate is held against the authorities of now
	}
	s.now.Store(&material{c, cert.Leaf})
	return nil
}

func (s *Store) certificate(cert, key []byte) (tls.Certificate, error) {
	if s.cfg.Own != nil {
		return s.cfg.Own.issue(s.cfg.Names, time.Now())
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return c, fmt.Errorf("%s with %s: %w", s.cfg.Cert, s.cfg.Key, err)
	}
	return c, nil
}

// pool is the certificates of a PEM file, of which each has to be one.
func pool(text []byte) (*x509.CertPool, error) {
	p, n := x509.NewCertPool(), 0
	for len(text) > 0 {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it has a %s, and only certificates belong there", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		p.AddCert(c)
		n++
	}
	if n == 0 {
		return nil, errors.New("it has no certificate")
	}
	return p, nil
}

// TLS configures a listener, whose connections are each made with what was read last.
func (s *Store) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.now.Load().config, nil
	}}
}

// Expires is when the certificate of now does.
func (s *Store) Expires() time.Time { return s.now.Load().leaf.NotAfter }

// Watch reads the certificate again when its files change, and before one of its own CA's expires, until ctx ends. It
// looks every so often, and takes files that were the same twice; told is called with each outcome.
func (s *Store) Watch(ctx context.Context, every time.Duration, told func(error)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if tried, err := s.poll(); tried {
			told(err)
		}
	}
}

// poll looks at the files, and tries them if they changed since they were last tried.
func (s *Store) poll() (tried bool, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	texts, err := s.texts()
	if err != nil { // as its text, so that it is told once
		texts = [][]byte{nil, nil, nil, []byte(err.Error())}
	}
	still := slices.EqualFunc(texts, s.seen, bytes.Equal)
	s.seen = texts
	due := s.cfg.Own != nil && s.cfg.Own.due(s.Expires(), time.Now())
	if !due && (!still || slices.EqualFunc(texts, s.read, bytes.Equal)) {
		return false, nil
	}
	if err != nil {
		s.read = texts
		return true, err
	}
	return true, s.use(texts)
}
