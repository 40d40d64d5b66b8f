// Package sealing encrypts with data keys, which master keys wrap: what is stored is encrypted by a data key, and beside
// it stands the data key, encrypted by a master key that is kept elsewhere.
//
// It knows where master keys come from and how a data key is used; which data key is whose, its callers know.
package sealing

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// Wrapped is a data key as it is stored.
type Wrapped struct {
	Master string `json:"master"` // names the master key that encrypted it, for good: an alias may come to mean another
	Key    []byte `json:"wrapped"`
}

// Masters wraps and unwraps data keys. What a data key belongs to is said each time, and what was wrapped for one thing
// cannot be unwrapped for another. Implementations are safe for concurrent use.
type Masters interface {
	// Generate returns a new data key, and what the master key of that name made of it.
	Generate(ctx context.Context, master, of string) (key []byte, w Wrapped, err error)
	// Wrap encrypts a data key.
	Wrap(ctx context.Context, master, of string, key []byte) (Wrapped, error)
	// Unwrap decrypts it.
	Unwrap(ctx context.Context, of string, w Wrapped) ([]byte, error)
}

// keyBytes are those of a data key and of a master key: AES-256.
const keyBytes = 32

// MaxUses is how often one data key may be used: nonces are random, and NIST SP 800-38D allows 2^32 of them.
const MaxUses = 1 << 31

// Key encrypts with AES-256-GCM. It is safe for concurrent use.
type Key struct{ aead cipher.AEAD }

// NewKey returns the key of 32 bytes.
func NewKey(b []byte) (*Key, error) {
	if len(b) != keyBytes {
		return nil, fmt.Errorf("a key of %d bytes, want %d", len(b), keyBytes)
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Key{aead}, nil
}

// Overhead is by how many bytes Seal's result is longer than its text.
const Overhead = 28

// Seal appends the encrypted text to dst. bound is where it belongs: Open needs the same.
func (k *Key) Seal(dst, text, bound []byte) []byte { return k.aead.Seal(dst, nil, text, bound) }

// Open appends the text to dst, or returns ErrSealed.
func (k *Key) Open(dst, sealed, bound []byte) ([]byte, error) {
	out, err := k.aead.Open(dst, nil, sealed, bound)
	if err != nil {
		return nil, ErrSealed
	}
	return out, nil
}
