package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/integration/laketest"
	"github.com/penstock/penstock/pipelines"
)

// mix is what was put into a stream, and what must come out of it.
type mix struct {
	records []stream.Record
	kinds   []*poison // of the records; nil: a good one

	rows     []string           // that must arrive
	filtered int64              // rows that a filter drops
	dead     map[string]*poison // by shard and sequence number
	raw      map[string]string  // of those
	inRows   int64
}

// rounds is how often each kind is mixed in, after the first time, at a rate.
var rounds = map[int]int{1000: 0, 100: 2, 10: 3, 1: 12}

// newMix mixes poison of every kind into good records, at a rate of one in every.
func newMix(every int, seed uint64, huge bool) *mix {
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // repeatable
	m := &mix{}
	var todo []*poison
	for round := range 13 {
		for i := range poisons {
			if p := &poisons[i]; !p.huge || huge && round < 2 {
				todo = append(todo, p)
			}
		}
		if round == rounds[every] {
			break
		}
	}
	rng.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	seen := map[*poison]int{}
	offset := rng.IntN(1000) // so that one round shows different ones of a kind each time
	for _, p := range todo {
		for range every - 1 {
			m.good(len(m.records))
		}
		m.add(p, p.text(offset+seen[p]))
		seen[p]++
	}
	return m
}

func (m *mix) add(p *poison, text string) {
	m.records = append(m.records, stream.Record{Key: strconv.Itoa(len(m.records)), Data: []byte(text)})
	m.kinds = append(m.kinds, p)
}

func (m *mix) good(i int) {
	if i%50 == 0 {
		m.add(nil, `{"kind":"heartbeat"}`)
		return
	}
	m.add(nil, fmt.Sprintf(`{"id":%d,"kind":"good","part":"p%d","at":"2026-01-%02dT00:00:00Z","v":%d.25,"nest":{"a":"%d","l":[1,2,%d]},"div":%d}`, i, i%4, 1+i%28, i, i, i, 1+i%5))
}

// put puts the records into a new stream of two shards, and notes what must become of each.
func (m *mix) put(t *testing.T, dir string) {
	t.Helper()
	n, err := pipelines.OpenNode(t.Context(), dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	_, err = n.Streams.Create(t.Context(), "in", stream.Settings{Shards: 2, MaxRecord: stream.MaxMaxRecord})
	require.NoError(t, err)
	s, err := n.Streams.Open(t.Context(), "in")
	require.NoError(t, err)
	results, err := s.Put(t.Context(), m.records)
	require.NoError(t, err)
	m.dead, m.raw = map[string]*poison{}, map[string]string{}
	for i, r := range results {
		require.NoError(t, r.Err)
		m.expect(t, m.kinds[i], string(m.records[i].Data), place(r.Shard, r.Seq))
	}
}

func place(shard core.ShardID, seq core.SequenceNumber) string {
	return string(shard) + "/" + string(seq)
}

// expect notes what must become of one record.
func (m *mix) expect(t *testing.T, p *poison, text, at string) {
	t.Helper()
	rows := []string{text}
	switch {
	case p == nil && strings.Contains(text, "heartbeat"):
		m.filtered++
		m.inRows++
		return
	case p != nil && p.code != "":
		m.dead[at], m.raw[at] = p, text
		m.inRows++
		return
	case p != nil && p.rows != nil:
		rows = p.rows(text)
	}
	for _, row := range rows {
		m.inRows++
		m.rows = append(m.rows, canonical(object(t, row)))
	}
}

const poisoned = `version: 1
name: %[1]s
source: {stream: in, decode: {json: {}}, schema: {id: int64, kind: string, part: string, at: timestamp, div: int64}}
stages:
  - filter: 'kind != "heartbeat"'
  - compute: {ratio: '100 / div'}
buffer: {max_records: %[2]d}
sink: {file: {path: %[1]s, prefix: 'part=!{partitionKeyFromQuery:part}/', partition_keys: {part: part}, format: %[3]s}}
`

// archive runs a pipeline over the stream and checks all of its ledger.
func (m *mix) archive(t *testing.T, u *user, name, format string) {
	t.Helper()
	file := u.write(t, name+".yaml", fmt.Sprintf(poisoned, name, 1+len(m.records)*2/5, format))
	u.run(t, "run", file, "--until-caught-up")
	var got []string
	for _, row := range laketest.Rows(t, lakeOf(t, filepath.Join(u.dir, name))) {
		got = append(got, restored(t, row, "ratio"))
	}
	requireSameRows(t, m.rows, got)
	m.letters(t, u, name)

	var total connectors.Counts
	for _, p := range answer[[]connectors.Progress](t, u, "pipelines", "describe", name) {
		total = total.Add(p.Totals)
	}
	report := answer[[]connectors.VerifyReport](t, u, "verify", file)
	require.Len(t, report, 1)
	require.Empty(t, report[0].Problems)
	var proven connectors.Counts
	for _, s := range report[0].Shards {
		proven = proven.Add(s.Counts)
	}
	want := connectors.Counts{Records: int64(len(m.records)), Rows: m.inRows, Written: int64(len(m.rows)), Filtered: m.filtered, Dead: int64(len(m.dead))}
	require.Equal(t, want, total, "the ledger of the control store")
	require.Equal(t, want, proven, "the ledger of the manifests")
	require.True(t, total.Balanced())
}

// answer is the result of a command under --json.
func answer[T any](t *testing.T, u *user, args ...string) T {
	t.Helper()
	var e struct {
		OK     bool
		Result T
	}
	require.NoError(t, json.Unmarshal([]byte(u.run(t, append(args, "--json")...)), &e))
	require.True(t, e.OK)
	return e.Result
}

// letters compares the dead letters with the records that must be among them.
func (m *mix) letters(t *testing.T, u *user, name string) {
	t.Helper()
	found := map[string]bool{}
	for _, l := range answer[[]connectors.DeadLetter](t, u, "dlq", "list", name+".dead", "--limit", "0") {
		at := place(l.Shard, l.Seq)
		p := m.dead[at]
		require.NotNil(t, p, "a record that is right is among the dead letters: %.300s: %s", l.Raw, l.Reason)
		require.False(t, found[at], "%s is among the dead letters twice", p.name)
		found[at] = true
		stage := p.stage
		if stage == "" {
			stage = "decode"
		}
		require.Equal(t, []string{p.code, stage}, []string{l.Code, l.Stage}, "%s: %.300s: %s", p.name, l.Raw, l.Reason)
		require.NotEmpty(t, l.Reason)
		require.True(t, bytes.Equal([]byte(m.raw[at]), l.Raw), "%s: the raw record of %d bytes is not what was put, %d bytes", p.name, len(l.Raw), len(m.raw[at]))
	}
	require.Len(t, found, len(m.dead))
}

// TestPoisonIsKeptApartAndNothingElseIs mixes records of every bad and odd kind into good ones. Each good row arrives as
// it was, each odd one too, what its columns cannot hold rescued; each bad record is among the dead letters once, as it
// was; and the ledger says so. PENSTOCK_POISON_SEEDS says how often.
func TestPoisonIsKeptApartAndNothingElseIs(t *testing.T) {
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_POISON_SEEDS")); err == nil {
		seeds = n
	}
	var records, rows, dead int
	for seed := range seeds {
		for _, every := range []int{1000, 100, 10, 1} {
			t.Run(fmt.Sprintf("%g %% of seed %d", 100/float64(every), seed), func(t *testing.T) {
				u := newUser(t)
				m := newMix(every, uint64(seed), seeds > 1 || every == 10) //nolint:gosec // not negative
				m.put(t, filepath.Join(u.dir, "penstock-data"))
				m.archive(t, u, "nd", "{ndjson: {compression: none}}")
				if seeds > 1 || every == 10 {
					m.archive(t, u, "pq", "{parquet: {}}")
				}
				records, rows, dead = records+len(m.records), rows+len(m.rows), dead+len(m.dead)
			})
		}
	}
	t.Logf("campaign=poison kinds=%d records=%d rows=%d dead=%d missing=0 extra=0", len(poisons), records, rows, dead)
}

// TestAStreamMayBeginWithPoison: what a pipeline sees first, and infers its columns from, may hold none.
func TestAStreamMayBeginWithPoison(t *testing.T) {
	for name, first := range map[string]string{"bad JSON": "{broken\n", "no fields": "{}\n", "no rows": "[]\n", "nothing known": `{"a":null,"b":[],"c":{}}` + "\n"} {
		for _, format := range []string{"{parquet: {}}", "{ndjson: {compression: none}}"} {
			t.Run(name+" "+format, func(t *testing.T) {
				u := newUser(t)
				file := u.write(t, "p.yaml", "version: 1\nname: p\nsource: {stream: in, decode: {json: {}}}\nsink: {file: {path: lake, format: "+format+"}}\n")
				u.run(t, "streams", "create", "in")
				for _, text := range []string{first, `{"a":1,"b":[2]}` + "\n"} {
					code, _, errOut := u.try(t, []byte(text), "put", "in")
					require.Zero(t, code, errOut)
					u.run(t, "run", file, "--until-caught-up")
				}
				rows := laketest.Rows(t, lakeOf(t, filepath.Join(u.dir, "lake")))
				for i := range rows {
					rows[i] = restored(t, rows[i])
				}
				require.Contains(t, rows, `{"a":1e0,"b":[2e0]}`)
				require.Contains(t, u.run(t, "verify", file), "clean")
			})
		}
	}
}
