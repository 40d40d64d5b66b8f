// Package hash replaces values by the hexadecimal text of their hash, with an optional salt. Null stays null; integers
// and bools are hashed as their decimal or literal text, so that 7 and "7" agree. A column that the schema does not
// have is passed over, since it may appear later.
package hash

import (
	"context"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // offered for old data that is joined with, not for protection
	"crypto/sha1" //nolint:gosec // see md5
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/cespare/xxhash/v2"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/transforms/internal/rows"
)

// Config says which columns and how.
type Config struct {
	Columns   []string    `yaml:"columns" json:"columns" jsonschema:"description=Columns of text, bytes, integers or bools."`
	Algorithm string      `yaml:"algorithm,omitempty" json:"algorithm,omitempty" jsonschema:"enum=sha256,enum=sha512,enum=sha1,enum=md5,enum=xxh64,description=Default sha256."`
	Salt      core.Secret `yaml:"salt,omitempty" json:"salt,omitempty" jsonschema:"description=Makes the hash an HMAC under this key (xxh64: the salt is hashed before the value)."`
}

// Transform hashes columns.
type Transform struct {
	cfg    Config
	mem    memory.Allocator
	digest func() hash.Hash
}

var _ connectors.Transform = (*Transform)(nil)

// Option changes a Transform.
type Option func(*Transform)

// WithAllocator takes memory for columns from mem.
func WithAllocator(mem memory.Allocator) Option { return func(t *Transform) { t.mem = mem } }

// New checks the configuration.
func New(cfg Config, opts ...Option) (*Transform, error) {
	if len(cfg.Columns) == 0 || slices.ContainsFunc(cfg.Columns, core.IsHidden) {
		return nil, fmt.Errorf("hash wants columns: %w", core.ErrInvalid)
	}
	t := &Transform{cfg: cfg, mem: memory.DefaultAllocator}
	switch cfg.Algorithm {
	case "", "sha256":
		t.digest = sha256.New
	case "sha512":
		t.digest = sha512.New
	case "sha1":
		t.digest = sha1.New
	case "md5":
		t.digest = md5.New
	case "xxh64":
		t.digest = func() hash.Hash { return xxhash.New() }
	default:
		return nil, fmt.Errorf("hash: unknown algorithm %q (have md5, sha1, sha256, sha512, xxh64): %w", cfg.Algorithm, core.ErrInvalid)
	}
	for _, o := range opts {
		o(t)
	}
	return t, nil
}

// Columns names the columns that are hashed.
func (t *Transform) Columns() []string { return slices.Clone(t.cfg.Columns) }

// Bind returns an error when a column's type has no text to hash.
func (t *Transform) Bind(in *arrow.Schema) (connectors.Stage, error) {
	s := &stage{t: t, schema: in}
	for _, name := range t.cfg.Columns {
		for _, at := range in.FieldIndices(name) {
			dt := in.Field(at).Type
			switch {
			case dt.ID() == arrow.NULL || slices.Contains(s.at, at):
				continue
			case !hashable(dt):
				return nil, fmt.Errorf("hash: column %s is %s; hash text, bytes, integers or bools, or make it text by compute: %w", name, dt, core.ErrInvalid)
			}
			s.at = append(s.at, at)
			s.schema, _ = rows.With(s.schema, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true})
			s.schemas = append(s.schemas, s.schema)
		}
	}
	return s, nil
}

func hashable(dt arrow.DataType) bool {
	return arrow.IsInteger(dt.ID()) || dt.ID() == arrow.BOOL || dt.ID() == arrow.STRING || dt.ID() == arrow.BINARY
}

type stage struct {
	t       *Transform
	schema  *arrow.Schema
	at      []int
	schemas []*arrow.Schema // after each column
}

func (s *stage) Schema() *arrow.Schema { return s.schema }

func (s *stage) Apply(_ context.Context, b core.Batch, _ *connectors.Verdicts) (core.Batch, error) {
	h := s.hasher()
	b = rows.Rescued(b, s.t.mem, s.t.cfg.Columns, func(name string, v json.RawMessage) (string, json.RawMessage) {
		if string(v) == "null" {
			return name, v
		}
		return name, rows.Quoted(string(s.sum(h, nil, []byte(rows.Plain(v)))))
	})
	for k, at := range s.at {
		next := rows.Put(b, s.schemas[k], at, s.column(h, b.Rows.Column(at)))
		b.Release()
		b = next
	}
	return b, nil
}

func (s *stage) hasher() hash.Hash {
	if s.t.cfg.Salt.Reveal() == "" || s.t.cfg.Algorithm == "xxh64" {
		return s.t.digest()
	}
	return hmac.New(s.t.digest, []byte(s.t.cfg.Salt.Reveal()))
}

func (s *stage) column(h hash.Hash, col arrow.Array) arrow.Array {
	sb := array.NewStringBuilder(s.t.mem)
	defer sb.Release()
	var sum, text []byte
	for i := range col.Len() {
		if col.IsNull(i) {
			sb.AppendNull()
			continue
		}
		switch c := col.(type) {
		case *array.String:
			text = append(text[:0], c.Value(i)...)
		case *array.Binary:
			text = append(text[:0], c.Value(i)...)
		default:
			text = append(text[:0], col.ValueStr(i)...)
		}
		sum = s.sum(h, sum[:0], text)
		sb.Append(string(sum))
	}
	return sb.NewArray()
}

// sum appends the hash of text, in hexadecimal.
func (s *stage) sum(h hash.Hash, to, text []byte) []byte {
	h.Reset()
	if s.t.cfg.Algorithm == "xxh64" {
		_, _ = h.Write([]byte(s.t.cfg.Salt.Reveal()))
	}
	_, _ = h.Write(text)
	var buf [sha512.Size]byte
	return hex.AppendEncode(to, h.Sum(buf[:0]))
}
