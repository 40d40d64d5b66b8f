package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/penstock/penstock/core"
)

// Key is a credential that requests may be signed with.
type Key struct {
	AccessKey    string
	Secret       core.Secret
	SessionToken core.Secret // what X-Amz-Security-Token must be; empty: the header must not be there
	Active       bool        // else it is refused as if it were not known
	Expires      time.Time   // zero: never
}

// Keys finds credentials. It is asked for every request and must be safe for concurrent use.
type Keys interface {
	Key(accessKey string) (Key, bool)
}

// signingKey is the credential's secret bound to a day, a region and a service.
type signingKey [sha256.Size]byte

// maxDerived bounds the cache; it takes 2 entries a credential around midnight.
const maxDerived = 4096

// derivedID holds the secret too, so that a credential whose secret was changed gets another signing key.
type derivedID struct{ accessKey, secret, scope string }

// derived remembers signing keys: deriving one takes four HMACs, more than all the rest of a check. Its entries come from
// known credentials and days near today only, so a client cannot fill it.
type derived struct {
	mu   sync.RWMutex
	keys map[derivedID]signingKey
}

func (d *derived) key(k Key, a *authorization) signingKey {
	id := derivedID{k.AccessKey, k.Secret.Reveal(), a.scope}
	d.mu.RLock()
	key, ok := d.keys[id]
	d.mu.RUnlock()
	if ok {
		return key
	}
	key = derive(id.secret, a.date, a.region, a.service)
	id.scope = string(append([]byte(nil), id.scope...)) // a.scope is part of a request's header, which need not live on
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil || len(d.keys) >= maxDerived {
		d.keys = map[derivedID]signingKey{}
	}
	d.keys[id] = key
	return key
}

func derive(secret, date, region, service string) signingKey {
	k := sign([]byte("AWS4"+secret), []byte(date))
	for _, part := range [3]string{region, service, terminator} {
		k = sign(k[:], []byte(part))
	}
	return k
}

func sign(key, text []byte) (out signingKey) {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	h.Sum(out[:0])
	return out
}
