package kinesisapi

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/sealing"
)

// What clients hold for the server, iterators and tokens, is sealed: nobody can make one, or change one, or use it for
// another thing than it was given for. What it is written in has no "-", which command lines would take for a flag.

// sealer seals what clients hold.
type sealer struct{ key *sealing.Key }

// sealKey is the row of the key.
const sealKey = "kinesisapi/seal"

// newSealer reads the key, or makes one where there is none yet.
func newSealer(ctx context.Context, store *control.Store) (*sealer, error) {
	for {
		row, ok, err := store.Get(ctx, sealKey)
		if err != nil {
			return nil, fmt.Errorf("read the key of iterators: %w", err)
		}
		if ok {
			k, err := sealing.NewKey(row.Value)
			if err != nil {
				return nil, fmt.Errorf("the key of iterators: %w", err)
			}
			return &sealer{k}, nil
		}
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		_, err = store.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: sealKey}}, Writes: []control.Write{{Key: sealKey, Value: key}},
		})
		if err != nil && !errors.Is(err, control.ErrConflict) {
			return nil, fmt.Errorf("store the key of iterators: %w", err)
		}
	}
}

// Kinds of what is sealed; a token of one kind is not one of another.
const (
	kindIterator  = "iterator"
	kindShards    = "ListShards"
	kindStreams   = "ListStreams"
	kindConsumers = "ListStreamConsumers"
)

// lifetime is how long iterators and tokens can be used.
const lifetime = 5 * time.Minute

// position is what a client holds: a place in a stream.
type position struct {
	made   time.Time
	stream string              // its generated id: a stream of the same name is another one
	name   core.StreamName     //
	shard  string              // the shard to read, or the last one listed
	after  core.SequenceNumber // the record read last, empty is the trim horizon; or what else was listed last
}

func (s *sealer) seal(kind string, p position) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.made.UnixMilli())) //nolint:gosec // after 1970
	for _, part := range []string{p.stream, string(p.name), p.shard, string(p.after)} {
		b = append(b, byte(len(part))) // none is longer than 128
		b = append(b, part...)
	}
	return base64.RawStdEncoding.EncodeToString(s.key.Seal(nil, b, []byte(kind)))
}

var errForged = errors.New("not a token of this server")

// open returns what was sealed. That it is too old is for the caller to say.
func (s *sealer) open(kind, token string) (position, error) {
	b, err := base64.RawStdEncoding.DecodeString(token)
	if err != nil {
		return position{}, errForged
	}
	if b, err = s.key.Open(nil, b, []byte(kind)); err != nil || len(b) < 12 {
		return position{}, errForged
	}
	p := position{made: time.UnixMilli(int64(binary.BigEndian.Uint64(b)))} //nolint:gosec // as it was sealed
	var parts [4]string
	b = b[8:]
	for i := range parts {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return position{}, errForged
		}
		parts[i], b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	p.stream, p.name, p.shard, p.after = parts[0], core.StreamName(parts[1]), parts[2], core.SequenceNumber(parts[3])
	return p, nil
}

// expired reports whether the lifetime is over.
func (p position) expired(now time.Time) bool { return now.Sub(p.made) > lifetime }
