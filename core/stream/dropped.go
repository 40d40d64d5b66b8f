package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// dropped is a row that names logs which are no stream's: of one that was deleted, or is about to be made. Every log is
// named by a row before it is made and until it is gone, so that none is left behind for ever.
type dropped struct {
	Logs   []shardlog.LogID `json:"logs"`
	Making bool             `json:"making,omitempty"` // a Create takes the row away when it writes the stream's
}

const droppedPrefix = "dropped/"

func droppedKey(streamID string) string { return droppedPrefix + streamID }

func (d dropped) write(key string) control.Write {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings always marshal
	}
	return control.Write{Key: key, Value: b}
}

func decodeDropped(row control.Row) (dropped, error) {
	var d dropped
	if err := json.Unmarshal(row.Value, &d); err != nil {
		return d, fmt.Errorf("read row %s: %w", row.Key, err)
	}
	return d, nil
}

// logs are all that belong to a stream.
func (i Info) logs() []shardlog.LogID {
	var out []shardlog.LogID
	for _, sh := range i.Shards {
		out = append(out, sh.Log)
	}
	if i.Intent != nil {
		for _, sh := range i.Intent.Children {
			out = append(out, sh.Log)
		}
	}
	return append(out, i.Drop...)
}

// intend writes the row of the logs that a Create is about to make, and returns its version. Until settled is called,
// Trim leaves them alone.
func (s *Store) intend(ctx context.Context, info Info) (version int64, settled func(), err error) {
	key := droppedKey(info.ID)
	s.mu.Lock()
	s.making[key] = true
	s.mu.Unlock()
	version, err = s.control.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: key}}, Writes: []control.Write{dropped{info.logs(), true}.write(key)},
	})
	return version, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.making, key)
	}, err
}

// sweep deletes the logs that are no stream's.
func (s *Store) sweep(ctx context.Context) error {
	rows, err := s.control.List(ctx, droppedPrefix)
	if err != nil {
		return fmt.Errorf("list what was dropped: %w", err)
	}
	var errs []error
	for _, row := range rows {
		errs = append(errs, s.clean(ctx, row))
	}
	return errors.Join(errs...)
}

// clean deletes the logs that a row names, then the row. It may run again, and beside itself.
func (s *Store) clean(ctx context.Context, row control.Row) error {
	d, err := decodeDropped(row)
	if err != nil {
		return err
	}
	if d.Making {
		s.mu.Lock()
		alive := s.making[row.Key]
		s.mu.Unlock()
		if alive {
			return nil
		}
		d.Making = false
		// The commit of a Create that gave up may still be on its way: with another version of the row it writes nothing.
		version, err := s.control.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: []control.Write{d.write(row.Key)},
		})
		if errors.Is(err, control.ErrConflict) {
			return nil // the stream was made, or another cleans
		} else if err != nil {
			return fmt.Errorf("give up making the logs of %s: %w", row.Key, err)
		}
		row.Version = version
	}
	for _, id := range d.Logs {
		if err := s.engine.Delete(ctx, id); err != nil {
			return fmt.Errorf("delete log %s: %w", id, err)
		}
		s.retention.forget(id)
	}
	_, err = s.control.Commit(ctx, control.Txn{
		Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: []control.Write{{Key: row.Key}},
	})
	if err != nil && !errors.Is(err, control.ErrConflict) {
		return fmt.Errorf("forget %s: %w", row.Key, err)
	}
	return nil
}
