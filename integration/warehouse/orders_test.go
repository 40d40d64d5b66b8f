package warehouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// order is an order as one event has it.
type order struct {
	ID      int64   `json:"order_id"`
	Version int64   `json:"version"`
	State   string  `json:"state,omitempty"`
	Total   float64 `json:"total"`
	Note    string  `json:"note,omitempty"`
	Deleted bool    `json:"deleted,omitempty"`
}

// orders makes events and folds them: the last event of an order is what it is. What is refused is none of them.
type orders struct {
	soft    bool // deleted orders stay, as such
	rng     *rand.Rand
	made    int64
	now     map[int64]order
	refused []string
}

func newOrders(seed uint64, soft bool) *orders {
	return &orders{soft: soft, rng: rand.New(rand.NewPCG(seed, 11)), now: map[int64]order{}} //nolint:gosec // repeatable
}

const ordersTable = `CREATE TABLE %s (order_id bigint PRIMARY KEY, version bigint NOT NULL, state text, total numeric(12,2) CHECK (total >= 0), note text%s)`

func (o *orders) ddl(table string) string {
	deleted := ""
	if o.soft {
		deleted = ", deleted boolean"
	}
	return fmt.Sprintf(ordersTable, table, deleted)
}

// query asks for the rows as text.
func (o *orders) query(table string) string {
	deleted := "'false'"
	if o.soft {
		deleted = "coalesce(deleted, false)::text"
	}
	return "SELECT concat_ws('|', order_id, version, state, total, note, " + deleted + ") FROM " + table
}

// next makes n events: new orders, changes, deletions, orders that come back, and some that are refused.
func (o *orders) next(t *testing.T, n int) (lines []byte) {
	t.Helper()
	var out bytes.Buffer
	for range n {
		o.made++
		v := order{
			ID: 1 + o.rng.Int64N(1+o.made/4), Version: o.made, State: []string{"new", "paid", "sent", "back"}[o.rng.IntN(4)],
			Total: float64(o.rng.IntN(1_000_000)) / 100, Note: []string{"", "日本", `q"\`, "tab\tline\n"}[o.rng.IntN(4)],
		}
		bad := false
		switch k := o.rng.IntN(1000); {
		case k < 80:
			v = order{ID: v.ID, Version: v.Version, Deleted: true}
		case k == 998:
			v.Note, bad = "nul\x00", true
		case k == 999:
			v.ID, v.Total, bad = 1<<40+o.made, -1, true // an order of its own: one that is replaced at once is not asked about
		}
		line, err := json.Marshal(v)
		require.NoError(t, err)
		out.Write(append(line, '\n'))
		switch {
		case bad:
			o.refused = append(o.refused, string(line))
		case v.Deleted && !o.soft:
			delete(o.now, v.ID)
		default:
			o.now[v.ID] = v
		}
	}
	return out.Bytes()
}

// want are the rows of the table.
func (o *orders) want() []string {
	out := make([]string, 0, len(o.now))
	for _, v := range o.now {
		text := fmt.Sprintf("%d|%d", v.ID, v.Version)
		if v.State != "" {
			text += "|" + v.State
		}
		text += fmt.Sprintf("|%.2f", v.Total)
		if v.Note != "" {
			text += "|" + v.Note
		}
		out = append(out, fmt.Sprintf("%s|%t", text, v.Deleted))
	}
	slices.Sort(out)
	return out
}

// sum is how many rows there are to be, and the sum of their versions, which no two have in common.
func (o *orders) sum() (n, versions int64) {
	for _, v := range o.now {
		versions += v.Version
	}
	return int64(len(o.now)), versions
}

func (o *orders) letters() []string { return slices.Sorted(slices.Values(o.refused)) }
