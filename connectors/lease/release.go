package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/penstock/penstock/core/control"
)

// tries bounds how often a release is tried: the row may be asked for, or renewed, at the same time.
const tries = 10

// Release gives leases up so that another worker can take them at once, first the one that asks. Their epochs stay, so
// they still rise when taken.
func (m *Manager) Release(ctx context.Context, leases ...*Lease) error {
	for _, l := range leases {
		m.mu.Lock()
		m.releasing[l.name] = true
		m.mu.Unlock()
		m.forget(l)
	}
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, l := range leases {
			delete(m.releasing, l.name)
		}
	}()
	for range tries {
		released := 0
		ops, err := m.releases(ctx, leases, &released)
		if err != nil {
			return err
		}
		if err := m.commitAll(ctx, ops); err != nil && !errors.Is(err, errBehind) || released == len(ops) {
			return err
		}
	}
	return fmt.Errorf("release %d leases: %w", len(leases), control.ErrConflict)
}

// releases are the writes that release those leases that are still ours by their rows.
func (m *Manager) releases(ctx context.Context, leases []*Lease, released *int) (ops []op, err error) {
	rows := map[string]control.Row{}
	if len(leases) == 1 {
		if rows[leases[0].key], _, err = m.store.Get(ctx, leases[0].key); err != nil {
			return nil, err
		}
	} else {
		list, err := m.store.List(ctx, m.cfg.Prefix+leaseRows)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			rows[r.Key] = r
		}
	}
	for _, l := range leases {
		row := rows[l.key]
		st, ok := decodeState(row.Value)
		if !ok || !l.ours(st) {
			continue
		}
		st.Owner = ""
		ops = append(ops, op{
			checks: []control.Check{{Key: l.key, Version: row.Version}},
			write:  control.Write{Key: l.key, Value: encode(st)},
			done:   func(int64) { *released++ },
		})
	}
	return ops, nil
}

// Leave gives up whatever is held, and says that this worker has ended. It is for the end, when Run has returned.
func (m *Manager) Leave(ctx context.Context) error {
	m.mu.Lock()
	held := slices.Collect(maps.Values(m.held))
	m.mu.Unlock()
	if len(held) > 0 {
		if err := m.Release(ctx, held...); err != nil {
			return err // they run out by themselves
		}
	}
	if m.cfg.Exclusive {
		return nil
	}
	m.beats++
	_, err := m.store.Commit(ctx, control.Txn{Writes: []control.Write{{
		Key: m.mind.memberKey(m.cfg.Owner), Value: encode(member{Counter: m.beats, Left: true}),
	}}})
	if errors.Is(err, control.ErrUnknown) {
		return nil
	}
	return err
}
