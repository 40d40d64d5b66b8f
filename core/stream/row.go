package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// Info is what a stream is: its row in the control store.
type Info struct {
	Name      core.StreamName `json:"name"`
	ID        string          `json:"id"` // generated; another stream of the same name has another
	Created   time.Time       `json:"created"`
	Retention time.Duration   `json:"retention"`
	MaxRecord int64           `json:"max_record"` // bytes of key and data
	Shards    []Shard         `json:"shards"`     // in the order they were made
}

// Shard is a part of a stream.
type Shard struct {
	ID      core.ShardID        `json:"id"`
	Index   int64               `json:"index"`
	Log     shardlog.LogID      `json:"log"`
	Range   core.HashRange      `json:"range"`
	Parents []core.ShardID      `json:"parents,omitempty"`
	Base    int64               `json:"base"`    // its positions count from here
	Created int64               `json:"created"` // seconds; part of its sequence numbers
	Closed  bool                `json:"closed,omitempty"`
	Start   core.SequenceNumber `json:"start"` // before every record
}

func (s Shard) numbering() numbering { return numbering{s.Created, s.Index} }

const rowPrefix = "streams/"

func rowKey(n core.StreamName) string { return rowPrefix + string(n) }

// load reads a stream's row.
func load(ctx context.Context, store *control.Store, name core.StreamName) (control.Row, Info, error) {
	row, ok, err := store.Get(ctx, rowKey(name))
	if err != nil {
		return row, Info{}, fmt.Errorf("read stream %s: %w", name, err)
	}
	if !ok {
		return control.Row{Key: rowKey(name)}, Info{}, fmt.Errorf("stream %s: %w", name, ErrNotFound)
	}
	info, err := decode(row)
	return row, info, err
}

func decode(row control.Row) (Info, error) {
	var info Info
	if err := json.Unmarshal(row.Value, &info); err != nil {
		return info, fmt.Errorf("read row %s: %w", row.Key, err)
	}
	return info, nil
}

func (i Info) write() control.Write {
	b, err := json.Marshal(i)
	if err != nil {
		panic(err) // strings, integers and times always marshal
	}
	return control.Write{Key: rowKey(i.Name), Value: b}
}
