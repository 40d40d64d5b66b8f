package lease

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock/penstock/core/control"
)

// maxRows bounds the rows of one transaction: DynamoDB takes a hundred.
const maxRows = 99

// op is a part of a round that happens or not by itself, whatever it shares a transaction with.
type op struct {
	checks []control.Check
	write  control.Write
	done   func(version int64)
}

// carryOut does what the policy says, in as few transactions as there can be.
func (m *Manager) carryOut(ctx context.Context, do todo) error {
	for _, s := range do.lost {
		m.forget(s.held)
		m.tell()
	}
	m.handOver(ctx, do.handOver)
	var ops []op
	if do.beat {
		ops = append(ops, m.beat())
	}
	for _, s := range do.restore {
		ops = append(ops, m.keep(s))
	}
	for _, s := range do.renew {
		s.held.rate.noted = m.mind.now
		ops = append(ops, m.keep(s))
	}
	for _, s := range do.take {
		ops = append(ops, m.take(s, s.state.Owner))
	}
	for _, s := range do.force {
		ops = append(ops, m.take(s, ""))
	}
	for _, s := range do.ask {
		st := s.state
		st.Wanted = m.cfg.Owner
		ops = append(ops, m.put(s, st, func(int64) {}))
	}
	for _, s := range do.drop {
		ops = append(ops, op{
			checks: []control.Check{{Key: s.row.Key, Version: s.row.Version}}, write: control.Write{Key: s.row.Key},
			done: func(int64) { m.forget(s.held); m.tell() },
		})
	}
	for _, c := range do.remove {
		ops = append(ops, op{checks: []control.Check{c}, write: control.Write{Key: c.Key}, done: func(int64) {}})
	}
	return m.commitAll(ctx, ops)
}

// handOver tells those who read under leases that others ask for them.
func (m *Manager) handOver(ctx context.Context, list []*sight) {
	wanted := map[*Lease]bool{}
	for _, s := range list {
		wanted[s.held] = true
	}
	for _, l := range m.Held() {
		if l.wanted.Swap(wanted[l]) != wanted[l] && wanted[l] {
			m.tell()
		}
		if wanted[l] && m.off.flush {
			_ = m.Release(ctx, l)
		}
	}
}

// beat writes this worker's row, whatever it says: nobody else does.
func (m *Manager) beat() op {
	m.beats++
	at := m.mind.now
	return op{
		write: control.Write{Key: m.mind.memberKey(m.cfg.Owner), Value: encode(member{Counter: m.beats})},
		done:  func(int64) { m.mind.beaten = at },
	}
}

// put writes a lease's row as it was seen.
func (m *Manager) put(s *sight, st State, done func(version int64)) op {
	key, value := m.mind.key(s.name), encode(st)
	return op{
		checks: []control.Check{{Key: key, Version: s.row.Version}},
		write:  control.Write{Key: key, Value: value},
		done: func(version int64) {
			m.mind.now = m.now() // the store may have taken its time
			m.mind.wrote(s, value, version)
			done(version)
		},
	}
}

// keep writes the row of a held lease anew.
func (m *Manager) keep(s *sight) op {
	st := State{Owner: m.cfg.Owner, Epoch: s.held.epoch, Counter: s.state.Counter + 1, Wanted: s.state.Wanted, Load: s.held.rate.load()}
	return m.put(s, st, func(int64) {})
}

// take takes a lease, from an owner only if it has not moved since it was seen.
func (m *Manager) take(s *sight, from string) op {
	st := State{Owner: m.cfg.Owner, Epoch: s.epochs + 1, Counter: s.state.Counter + 1, Load: s.state.Load}
	out := m.put(s, st, func(version int64) {
		l := &Lease{
			name: s.name, key: m.mind.key(s.name), owner: st.Owner, epoch: st.Epoch, store: m.store, off: &m.off, lost: make(chan struct{}),
			rate: rate{since: m.mind.now, at: m.mind.now, noted: m.mind.now, perSecond: float64(st.Load)},
		}
		l.known.Store(version)
		m.mu.Lock()
		m.held[s.name] = l
		m.mu.Unlock()
		m.tell()
	})
	if m.off.version {
		out.checks = nil
	}
	if from != "" && from != m.cfg.Owner && !m.cfg.Exclusive && !m.off.renewed {
		c := control.Check{Key: m.mind.memberKey(from)}
		if w := m.mind.members[from]; w != nil {
			c.Version = w.version
		}
		out.checks = append(out.checks, c)
	}
	return out
}

// maxConflicts bounds how often others may be first before a worker looks again rather than goes on with an old picture.
const maxConflicts = 10

// commitAll commits ops, together as far as they fit into transactions. It returns the store's errors, but not that
// others were first or that an outcome is not known: the next look tells.
func (m *Manager) commitAll(ctx context.Context, ops []op) error {
	conflicts := 0
	for len(ops) > 0 {
		rows, n := map[string]bool{}, 0
		for n < len(ops) && len(rows) <= maxRows-2 {
			rows[ops[n].write.Key] = true
			for _, c := range ops[n].checks {
				rows[c.Key] = true
			}
			n++
		}
		if err := m.commit(ctx, ops[:n], &conflicts); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// errBehind says that others were first too often.
var errBehind = errors.New("the rows have changed much since they were read")

// commit commits ops in one transaction, and where another worker was first at one of them, the halves by themselves.
func (m *Manager) commit(ctx context.Context, ops []op, conflicts *int) error {
	version, err := m.store.Commit(ctx, together(ops))
	switch {
	case err == nil:
		for _, o := range ops {
			o.done(version)
		}
		return nil
	case errors.Is(err, control.ErrConflict):
		if *conflicts++; *conflicts > maxConflicts {
			return errBehind
		}
		if len(ops) == 1 {
			return nil
		}
		half := len(ops) / 2
		if err := m.commit(ctx, ops[:half], conflicts); err != nil {
			return err
		}
		return m.commit(ctx, ops[half:], conflicts)
	case errors.Is(err, control.ErrUnknown):
		return nil
	}
	return fmt.Errorf("commit leases: %w", err)
}

// together is one transaction of several ops, which check a row that several of them need once.
func together(ops []op) (t control.Txn) {
	checked := map[string]bool{}
	for _, o := range ops {
		for _, c := range o.checks {
			if !checked[c.Key] {
				checked[c.Key] = true
				t.Checks = append(t.Checks, c)
			}
		}
		t.Writes = append(t.Writes, o.write)
	}
	return t
}
