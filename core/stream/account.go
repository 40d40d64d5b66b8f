package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core/control"
)

// Commitment is the account's promise to use a least throughput. Nobody is billed here; what it unlocks for on-demand
// streams, warm throughput and more consumers, it unlocks.
type Commitment struct {
	Started  time.Time `json:"started"`
	Earliest time.Time `json:"earliest"`       // when it may end
	Ended    time.Time `json:"ended,omitzero"` // when it did, or will
}

const (
	accountKey = "account"
	// commitmentLasts is the least that a commitment lasts.
	commitmentLasts = 24 * time.Hour
)

// Active reports whether the commitment holds at a time.
func (c Commitment) Active(now time.Time) bool {
	return !c.Started.IsZero() && (c.Ended.IsZero() || now.Before(c.Ended))
}

// Commitment is the account's; zero if it never made one.
func (s *Store) Commitment(ctx context.Context) (Commitment, error) {
	_, c, err := s.commitment(ctx)
	return c, err
}

func (s *Store) commitment(ctx context.Context) (control.Row, Commitment, error) {
	row, ok, err := s.control.Get(ctx, accountKey)
	var c Commitment
	if err == nil && ok {
		err = json.Unmarshal(row.Value, &c)
	}
	if err != nil {
		return row, c, fmt.Errorf("read the account's settings: %w", err)
	}
	row.Key = accountKey
	return row, c, nil
}

// Committed is nil while the account's commitment holds; else an InvalidError.
func (s *Store) Committed(ctx context.Context) error {
	c, err := s.Commitment(ctx)
	if err == nil && !c.Active(time.Now()) {
		err = &InvalidError{"warm throughput needs the account's MinimumThroughputBillingCommitment to be ENABLED"}
	}
	return err
}

// Commit makes the commitment hold, or ends it: at the earliest time at which it may end. To make it again before that
// cancels its end.
func (s *Store) Commit(ctx context.Context, hold bool) (Commitment, error) {
	for {
		row, c, err := s.commitment(ctx)
		if err != nil {
			return c, err
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		switch active := c.Active(now); {
		case hold && active:
			c.Ended = time.Time{}
		case hold:
			c = Commitment{Started: now, Earliest: now.Add(commitmentLasts)}
		case active && c.Ended.IsZero():
			c.Ended = c.Earliest
			if now.After(c.Earliest) {
				c.Ended = now
			}
		default:
			return c, nil // ended, or is about to end
		}
		b, err := json.Marshal(c)
		if err != nil {
			panic(err) // times always marshal
		}
		_, err = s.control.Commit(ctx, control.Txn{
			Checks: []control.Check{{Key: row.Key, Version: row.Version}}, Writes: []control.Write{{Key: row.Key, Value: b}},
		})
		if errors.Is(err, control.ErrConflict) {
			continue
		} else if err != nil {
			return c, fmt.Errorf("change the account's settings: %w", err)
		}
		return c, nil
	}
}
