package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// Info is what a stream is: its row in the control store.
type Info struct {
	Name       core.StreamName  `json:"name"`
	ID         string           `json:"id"` // generated; another stream of the same name has another
	Created    time.Time        `json:"created"`
	Retention  time.Duration    `json:"retention"`
	MaxRecord  int64            `json:"max_record"`           // bytes of key and data
	Shards     []Shard          `json:"shards"`               // in the order they were made, so parents before children
	Intent     *Intent          `json:"intent,omitempty"`     // a split or merge that was begun
	Drop       []shardlog.LogID `json:"drop,omitempty"`       // logs of shards that are gone, to be deleted
	Phase      Status           `json:"phase,omitempty"`      // that it passes through
	Encryption *Encryption      `json:"encryption,omitempty"` // of what is put from now on; nil: none
	Keys       int64            `json:"keys,omitempty"`       // data keys that there ever were
	Since      time.Time        `json:"since,omitzero"`       // when the phase began
	Until      time.Time        `json:"until,omitzero"`       // when it ends

	Scale        *Scaling          `json:"scale,omitempty"`  // a change of the number of shards that was begun
	Scaled       []time.Time       `json:"scaled,omitempty"` // when it was changed lately
	Mode         Mode              `json:"mode,omitempty"`   // a row of before there were modes has none, and is Provisioned
	Tags         map[string]string `json:"tags,omitempty"`
	Switched     []time.Time       `json:"switched,omitempty"`     // when the mode was changed lately
	Warm         int               `json:"warm,omitempty"`         // MiB a second that an on-demand stream is to have shards for
	Metrics      []string          `json:"metrics,omitempty"`      // by shard, that were asked for
	Policy       string            `json:"policy,omitempty"`       // who else may use the stream: a document of AWS's
	Deregistered int64             `json:"deregistered,omitempty"` // seconds; consumers that come later have later times
}

// Shard is a part of a stream.
type Shard struct {
	ID       core.ShardID        `json:"id"`
	Index    int64               `json:"index"`
	Log      shardlog.LogID      `json:"log"`
	Range    core.HashRange      `json:"range"`
	Parents  []core.ShardID      `json:"parents,omitempty"` // some may be trimmed and gone
	Base     int64               `json:"base"`              // its positions count from here
	Created  int64               `json:"created"`           // seconds; part of its sequence numbers
	Floor    int64               `json:"floor,omitempty"`   // milliseconds; no record of it arrived before
	Start    core.SequenceNumber `json:"start"`             // before every record
	Closed   bool                `json:"closed,omitempty"`
	ClosedAt time.Time           `json:"closed_at,omitzero"`
	End      core.SequenceNumber `json:"end,omitempty"` // of a closed shard: after every record
}

func (s Shard) numbering() numbering { return numbering{s.Created, s.Index} }

// Intent is a split or merge that was begun and will be finished, by whoever meets it first: there is no way back.
type Intent struct {
	Children []Shard `json:"children"` // without what only the closing of their parents fixes
}

// parents are the shards that the intent closes, each once.
func (i *Intent) parents() []core.ShardID {
	var out []core.ShardID
	seen := map[core.ShardID]bool{}
	for _, c := range i.Children {
		for _, p := range c.Parents {
			if !seen[p] {
				out, seen[p] = append(out, p), true
			}
		}
	}
	return out
}

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
	if info.Mode == "" {
		info.Mode = Provisioned
	}
	info.resume(time.Now())
	return info, nil
}

func (i Info) write() control.Write {
	b, err := json.Marshal(i)
	if err != nil {
		panic(err) // strings, integers and times always marshal
	}
	return control.Write{Key: rowKey(i.Name), Value: b}
}

// errSame is what a change returns to leave the row as it is.
var errSame = errors.New("nothing to change")

// update changes a stream's row, as often as it takes until nobody else changed it meanwhile. change may be called
// several times, each time with the row as it is then.
func (s *Store) update(ctx context.Context, name core.StreamName, change func(*Info) error) error {
	return s.updateWith(ctx, name, func(i *Info) ([]control.Write, error) { return nil, change(i) })
}

// updateWith is update of rows that go with the stream's, too: change returns their writes. The stream's row is written
// even if it stays the same, so its version guards what rows there are under the stream's id.
func (s *Store) updateWith(ctx context.Context, name core.StreamName, change func(*Info) ([]control.Write, error)) error {
	for {
		row, info, err := load(ctx, s.control, name)
		if err != nil {
			return err
		}
		writes, err := change(&info)
		if errors.Is(err, errSame) {
			return nil
		} else if err != nil {
			return err
		}
		_, err = s.control.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: append(writes, info.write()),
		})
		if errors.Is(err, control.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("change stream %s: %w", name, err)
		}
		return nil
	}
}
