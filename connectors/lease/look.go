package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Picture is what the rows say of leases at one moment, for who looks on.
type Picture struct {
	Owners map[string]string // of the leases that have one, by their rows
	stamps map[string]string // of workers that have not left: what they move as long as they live
}

// Look reads who has the leases whose rows are below prefix, which may be those of several managers.
func Look(ctx context.Context, store Store, prefix string) (Picture, error) {
	rows, err := store.List(ctx, prefix)
	if err != nil {
		return Picture{}, err
	}
	p := Picture{Owners: map[string]string{}, stamps: map[string]string{}}
	for _, r := range rows {
		if _, name, ok := cutLast(r.Key, "/"+memberRows); ok {
			if m, ok := decodeMember(r.Value); ok && !m.Left {
				p.stamps[name] += fmt.Sprint(r.Version, " ")
			}
		} else if st, ok := decodeState(r.Value); ok && st.Owner != "" {
			p.Owners[r.Key] = st.Owner
		}
	}
	return p, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Holders are the owners of leases that beat, in order: those that may be alive. A worker that has its store to itself does
// not beat.
func (p Picture) Holders() []string {
	out := map[string]bool{}
	for _, owner := range p.Owners {
		if _, beats := p.stamps[owner]; beats {
			out[owner] = true
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// Moved are the holders of the later picture that moved since p: they are alive.
func (p Picture) Moved(later Picture) []string {
	return slices.DeleteFunc(later.Holders(), func(owner string) bool { return p.stamps[owner] == later.stamps[owner] })
}
