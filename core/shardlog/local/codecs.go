package local

import (
	"fmt"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"
)

// schema is one Arrow schema that entries are stored under.
type schema struct {
	id    uint64 // hash of bytes
	bytes []byte // its IPC message
	arrow *arrow.Schema
	pool  sync.Pool // of *encoder
}

// codecs knows the schemas in use. Safe for concurrent use.
type codecs struct {
	mu    sync.Mutex
	known map[uint64]*schema
	by    map[*arrow.Schema]*schema // a cache; bounded by maxSchemas
}

// maxSchemas bounds the cache of schemas by identity; equal ones are found by their bytes.
const maxSchemas = 1024

// of is the schema that records of s are stored under.
func (c *codecs) of(s *arrow.Schema) (*schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.by[s]; got != nil {
		return got, nil
	}
	for _, f := range s.Fields() {
		if hasDictionary(f.Type) {
			return nil, fmt.Errorf("column %s has a dictionary, which the log does not store: decode it first: %w", f.Name, core.ErrInvalid)
		}
	}
	e, err := newEncoder(s)
	if err != nil {
		return nil, err
	}
	got := c.add(e.id, e.bytes)
	got.arrow = s
	if c.by == nil || len(c.by) >= maxSchemas {
		c.by = map[*arrow.Schema]*schema{}
	}
	c.by[s] = got
	return got, nil
}

// hasDictionary reports whether values of t need a dictionary beside their batch.
func hasDictionary(t arrow.DataType) bool {
	if t.ID() == arrow.DICTIONARY {
		return true
	}
	if x, ok := t.(arrow.ExtensionType); ok {
		return hasDictionary(x.StorageType())
	}
	if n, ok := t.(arrow.NestedType); ok {
		return slices.ContainsFunc(n.Fields(), func(f arrow.Field) bool { return hasDictionary(f.Type) })
	}
	return false
}

// stored is the schema of a schema entry.
func (c *codecs) stored(id uint64, message []byte) *schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(id, append([]byte(nil), message...))
}

func (c *codecs) add(id uint64, message []byte) *schema {
	if got := c.known[id]; got != nil {
		return got
	}
	if c.known == nil {
		c.known = map[uint64]*schema{}
	}
	c.known[id] = &schema{id: id, bytes: message}
	return c.known[id]
}

// encode returns rec as a payload that is good as long as rec is retained.
func (c *codecs) encode(rec arrow.Record) (*schema, payload, error) {
	s, err := c.of(rec.Schema())
	if err != nil {
		return nil, payload{}, err
	}
	e, _ := s.pool.Get().(*encoder)
	if e == nil {
		if e, err = newEncoder(rec.Schema()); err != nil {
			return nil, payload{}, err
		}
	}
	p, err := e.encode(rec)
	if err != nil {
		return nil, payload{}, fmt.Errorf("encode a batch for the log: %w", err)
	}
	s.pool.Put(e)
	return s, p, nil
}
