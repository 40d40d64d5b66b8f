// Package sealing encrypts with data keys, which master keys wrap: what is stored is encrypted by a data key, and beside
// it stands the data key, encrypted by a master key that is kept elsewhere.
//
// It knows where master keys come from and how a data key is used; which data key is whose, its callers know.
package sealing

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// ErrNoKey says that there is no master key of that name here. Name one that is configured.
var ErrNoKey = errors.New("no such encryption key")

// ErrSealed says that something cannot be decrypted: it was changed, moved, or is not of this data key.
var ErrSealed = errors.New("cannot be decrypted")

// Masters wraps and unwraps data keys. Implementations are safe for concurrent use.
type Masters interface {
	// Wrap encrypts a data key with a master key, or returns ErrNoKey.
	Wrap(ctx context.Context, master string, key []byte) ([]byte, error)
	// Unwrap is the inverse.
	Unwrap(ctx context.Context, master string, wrapped []byte) ([]byte, error)
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

// NewDataKey returns a new data key beside what its master key made of it.
func NewDataKey(ctx context.Context, m Masters, master string) (wrapped []byte, err error) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	return m.Wrap(ctx, master, key)
}

// OpenDataKey unwraps a data key.
func OpenDataKey(ctx context.Context, m Masters, master string, wrapped []byte) (*Key, error) {
	key, err := m.Unwrap(ctx, master, wrapped)
	if err != nil {
		return nil, err
	}
	return NewKey(key)
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
