package file

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
)

// folder is a folder of files that a pipeline reads, one source a run.
type folder struct {
	*testing.T
	dir   string
	store *control.Store
	cfg   Config
	said  []string
}

func newFolder(t *testing.T, paths string) *folder {
	t.Helper()
	f := &folder{T: t, dir: t.TempDir(), store: table(t)}
	f.cfg.Paths = []string{filepath.Join(f.dir, paths)}
	return f
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) move(from, to string) { require.NoError(f, os.Rename(f.path(from), f.path(to))) }

func (f *folder) source(framing connectors.Framing) *Source {
	s, err := New(f.cfg, framing, f.store, "p", func(what string) { f.said = append(f.said, what) })
	require.NoError(f, err)
	return s
}

func (f *folder) shards(s *Source) (ids []core.ShardID) {
	shards, err := s.Shards(f.Context())
	require.NoError(f, err)
	for _, sh := range shards {
		ids = append(ids, sh.ID)
	}
	return ids
}

// put writes a row of the control store.
func (f *folder) put(key, value string) {
	row, _, err := f.store.Get(f.Context(), key)
	require.NoError(f, err)
	_, err = f.store.Commit(f.Context(), control.Txn{
		Checks: []control.Check{{Key: key, Version: row.Version}}, Writes: []control.Write{{Key: key, Value: []byte(value)}},
	})
	require.NoError(f, err)
}

// end notes that shards were delivered through a record, and to their ends.
func (f *folder) end(s *Source, ids ...core.ShardID) {
	f.put("pipelines/p/state", `{"incarnation":"i"}`)
	for _, id := range ids {
		f.put("pipelines/p/i/shards/files/"+string(id), fmt.Sprintf(`{"source":"files","shard":%q,"ended":true}`, id))
		if s == nil {
			continue
		}
		notes, err := s.Note(f.Context(), []connectors.PlanSpan{{Shard: id, Through: "9223372036854775807"}})
		require.NoError(f, err)
		for _, n := range notes {
			f.put(n.Key, string(n.Value))
		}
	}
}

// run reads everything that is new, delivers it and returns it.
func (f *folder) run(framing connectors.Framing) (lines []string) {
	s := f.source(framing)
	for _, id := range f.shards(s) {
		got, _ := readShard(f.T, s, id, "", -1)
		lines = append(lines, got...)
		f.end(s, id)
	}
	return lines
}

// oldCatalogue is the row that earlier versions had of a path.
func (f *folder) oldCatalogue(name string, sizes ...int64) core.ShardID {
	b, err := os.ReadFile(f.path(name))
	require.NoError(f, err)
	hash := hashOf(b)
	row, err := json.Marshal(map[string]any{"path": f.path(name), "prefix": len(b), "hash": hash, "seen": 5, "Sizes": sizes})
	require.NoError(f, err)
	f.put("pipelines/p/files/"+hashOf([]byte(f.path(name)))[:32], string(row))
	return core.ShardID("file-" + hashOf([]byte(f.path(name) + "\x00" + hash))[:16] + fmt.Sprintf("-%d", len(sizes)-1))
}

func TestRowsOfEarlierVersionsGoOn(t *testing.T) {
	lines := connectors.Framing{}
	t.Run("delivered", func(t *testing.T) {
		f := newFolder(t, "*")
		write(t, f.path("a"), "one\ntwo\n")
		f.end(nil, f.oldCatalogue("a", 8))
		require.Empty(t, f.run(lines))
		f.move("a", "b")
		require.Empty(t, f.run(lines))
		write(t, f.path("b"), "three\n")
		require.Equal(t, []string{"three"}, f.run(lines))
	})
	t.Run("moved meanwhile", func(t *testing.T) {
		f := newFolder(t, "*")
		write(t, f.path("a"), "one\ntwo\n")
		f.end(nil, f.oldCatalogue("a", 8))
		f.move("a", "b")
		write(t, f.path("a"), "three\n")
		require.Equal(t, []string{"three"}, f.run(lines))
		require.Empty(t, f.run(lines))
	})
	t.Run("not delivered, and grown", func(t *testing.T) {
		f := newFolder(t, "*")
		write(t, f.path("a"), "one\ntw")
		id := f.oldCatalogue("a", 6)
		write(t, f.path("a"), "o\n")
		s := f.source(lines)
		require.Equal(t, []core.ShardID{id}, f.shards(s))
		got, seqs := readShard(t, s, id, "", -1)
		require.Equal(t, []string{"one", "tw"}, got, "as the version that began it would read on")
		require.Equal(t, core.SequenceNumber("4"), seqs[1])
		f.end(s, id)
		require.Equal(t, []string{"two"}, f.run(lines))
		require.Len(t, f.said, 1)
	})
	t.Run("followed", func(t *testing.T) {
		f := newFolder(t, "*")
		write(t, f.path("a"), "one\ntwo\n")
		id := f.oldCatalogue("a", unbounded)
		f.cfg.Follow = true
		s := f.source(lines)
		require.Equal(t, []core.ShardID{id}, f.shards(s))
		got, _ := readShard(t, s, id, "0", 1)
		require.Equal(t, []string{"two"}, got)
	})
	t.Run("compressed", func(t *testing.T) {
		f := newFolder(t, "*")
		write(t, f.path("a.gz"), "one\ntwo\n")
		st, err := os.Stat(f.path("a.gz"))
		require.NoError(t, err)
		f.end(nil, f.oldCatalogue("a.gz", st.Size()))
		require.Empty(t, f.run(lines))
		f.move("a.gz", "b.gz")
		require.Empty(t, f.run(lines))
		write(t, f.path("b.gz"), "three\n")
		require.Equal(t, []string{"three"}, f.run(lines))
		require.Empty(t, f.run(lines))
	})
}

// TestAPlanFindsItsFile: its records are read again wherever the file is by then.
func TestAPlanFindsItsFile(t *testing.T) {
	text, want := numbered(3000)
	for name, c := range map[string]struct {
		paths string
		then  func(f *folder)
		lost  bool
	}{
		"renamed":                      {"*", func(f *folder) { f.move("a", "a.1") }, false},
		"renamed out of the paths":     {"a", func(f *folder) { f.move("a", "a.1") }, false},
		"compressed":                   {"*", func(f *folder) { write(f, f.path("a.gz"), text); require.NoError(f, os.Remove(f.path("a"))) }, false},
		"compressed, out of the paths": {"a", func(f *folder) { write(f, f.path("a.gz"), text); require.NoError(f, os.Remove(f.path("a"))) }, false},
		"copied and truncated":         {"*", func(f *folder) { write(f, f.path("b"), text); require.NoError(f, os.Truncate(f.path("a"), 0)) }, false},
		"replaced by its like": {"*", func(f *folder) {
			f.move("a", "b")
			write(f, f.path("a"), text[:10_000])
		}, false},
		"edited": {"*", func(f *folder) {
			require.NoError(f, os.WriteFile(f.path("a"), []byte(strings.Replace(text, "line 7 ", "line seven ", 1)), 0o600))
		}, true},
		"removed": {"*", func(f *folder) { require.NoError(f, os.Remove(f.path("a"))) }, true},
	} {
		for when, begun := range map[string]bool{"in this run": true, "in the next": false} {
			t.Run(name+" "+when, func(t *testing.T) {
				f := newFolder(t, c.paths)
				write(t, f.path("a"), text)
				s := f.source(connectors.Framing{})
				id := f.shards(s)[0]
				lines, seqs := readShard(t, s, id, "", -1)
				require.Equal(t, want, lines)
				notes, err := s.Note(t.Context(), []connectors.PlanSpan{{Shard: id, Through: seqs[2999]}})
				require.NoError(t, err)
				for _, n := range notes {
					f.put(n.Key, string(n.Value))
				}
				c.then(f)
				if !begun {
					s = f.source(connectors.Framing{})
					f.shards(s)
				}
				r, err := s.Reread(t.Context(), id, seqs[9])
				if c.lost {
					require.ErrorIs(t, err, shardlog.ErrTrimmed)
					return
				}
				require.NoError(t, err)
				b, err := r.Next(t.Context())
				require.NoError(t, err)
				require.Equal(t, seqs[10], b.SequenceOf(0))
				b.Release()
				require.NoError(t, r.Close())
			})
		}
	}
}

// TestWhatIsKnownToBeGoneIsLost: bytes that were seen and never read.
func TestWhatIsKnownToBeGoneIsLost(t *testing.T) {
	f := newFolder(t, "*")
	write(t, f.path("a"), "one\ntwo\n")
	write(t, f.path("b"), "three\n")
	s := f.source(connectors.Framing{})
	ids := f.shards(s)
	lines, _ := readShard(t, s, ids[1], "", -1)
	require.Equal(t, []string{"three"}, lines)
	f.end(s, ids[1])
	require.NoError(t, os.Remove(f.path("a")))
	require.NoError(t, os.Remove(f.path("b")))
	write(t, f.path("c"), "four\n")
	s = f.source(connectors.Framing{})
	require.Len(t, f.shards(s), 1)
	gap, err := s.Gap(t.Context(), ids[0], "")
	require.ErrorIs(t, err, shardlog.ErrTrimmed)
	require.Contains(t, gap.Why, f.path("a"))
	_, err = s.Gap(t.Context(), ids[1], "0")
	require.NoError(t, err)
}

// TestRecordsThatAreNotWhole: what ends a record is asked of its format.
func TestRecordsThatAreNotWhole(t *testing.T) {
	for name, c := range map[string]struct {
		format       string
		framing      connectors.Framing
		first, then  string
		before, want []string
	}{
		"a CSV row":                      {"", withHeader(rfc4180), "h\n1\n2", "3\n", []string{"h\n1", "h\n2"}, []string{"h\n23"}},
		"a CSV row that only ends":       {"", withHeader(rfc4180), "h\n1\n2", "\n3\n", []string{"h\n1", "h\n2"}, []string{"h\n3"}},
		"a CSV row in quotes":            {"", rfc4180, "1\n\"a\n", "b\"\n2\n", []string{"1", "\"a"}, []string{"\"a\nb\"", "2"}},
		"a header alone":                 {"", withHeader(rfc4180), "h", "ead\n1\n", nil, []string{"head\n1"}},
		"an object of an array":          {formatJSON, connectors.Framing{}, `[{"a":1},{"a":`, `2}]`, []string{`{"a":1}`, `{"a":`}, []string{`{"a":2}`}},
		"an object that ends":            {formatJSON, connectors.Framing{}, `{"a":1}`, "\n{\"a\":2}", []string{`{"a":1}`}, []string{`{"a":2}`}},
		"a number that goes on":          {formatJSON, connectors.Framing{}, "[1,2", "3,4]", []string{"1", "2"}, []string{"23", "4"}},
		"a number that ends":             {formatJSON, connectors.Framing{}, "[1,2", ",4]", []string{"1", "2"}, []string{"4"}},
		"a line that goes on twice":      {"", connectors.Framing{}, "a", "b", []string{"a"}, []string{"ab"}},
		"half of a line end":             {"", connectors.Framing{}, "a\r", "\nb\n", []string{"a"}, []string{"b"}},
		"blank lines are none":           {"", connectors.Framing{}, "a\n\n", "\nb\n", []string{"a"}, []string{"b"}},
		"what is appended to compressed": {"", connectors.Framing{}, "a\nb", "c\n", []string{"a", "b"}, []string{"bc"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, "*")
			f.cfg.Format = c.format
			file := f.path("a")
			if strings.Contains(name, "compressed") {
				file = f.path("a.gz")
			}
			write(t, file, c.first)
			require.Equal(t, c.before, f.run(c.framing))
			require.Empty(t, f.run(c.framing))
			write(t, file, c.then)
			require.Equal(t, c.want, f.run(c.framing))
			require.Empty(t, f.run(c.framing))
		})
	}
}

// TestFilesThatBeginAlikeAreNotConfused: where little of a file was read, its inode tells it from others.
func TestFilesThatBeginAlikeAreNotConfused(t *testing.T) {
	for name, paths := range map[string]string{"both in the paths": "a*", "one of them": "a"} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, paths)
			write(t, f.path("a"), "#fields\n")
			require.Equal(t, []string{"#fields"}, f.run(connectors.Framing{}))
			write(t, f.path("a"), "1\n")
			f.move("a", "a.1")
			write(t, f.path("a"), "#fields\n2\n")
			require.ElementsMatch(t, []string{"1", "#fields", "2"}, f.run(connectors.Framing{}))
			require.Empty(t, f.run(connectors.Framing{}))
		})
	}
}

// TestTheLastLineIsWaitedForWhereItGoesOn: a file that grows while it is read ends behind a whole line.
func TestTheLastLineIsWaitedForWhereItGoesOn(t *testing.T) {
	f := newFolder(t, "a")
	write(t, f.path("a"), "one\ntw")
	s := f.source(connectors.Framing{})
	id := f.shards(s)[0]
	r, err := s.Read(t.Context(), id, "")
	require.NoError(t, err)
	write(t, f.path("a"), "o\nthree\n")
	b, err := r.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), b.Records)
	require.Equal(t, "two", b.Rows.Column(core.HiddenColumns).(*array.Binary).ValueString(1))
	b.Release()
	_, err = r.Next(t.Context())
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.Close())
	f.end(s, id)
	require.Equal(t, []string{"three"}, f.run(connectors.Framing{}))
	require.Empty(t, f.said)
}

// TestAFollowedFileThatLeftIsReadToItsEnd: also what was written to it after it left, and the last line without an end.
func TestAFollowedFileThatLeftIsReadToItsEnd(t *testing.T) {
	f := newFolder(t, "a")
	f.cfg.Follow = true
	write(t, f.path("a"), "one\ntw")
	s := f.source(connectors.Framing{})
	s.linger = time.Second
	id := f.shards(s)[0]
	r, err := s.Read(t.Context(), id, "")
	require.NoError(t, err)
	next := func() string {
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		defer b.Release()
		return b.Rows.Column(core.HiddenColumns).(*array.Binary).ValueString(0)
	}
	require.Equal(t, "one", next())
	f.move("a", "b")
	write(t, f.path("a"), "new\n")
	ids := f.shards(s)
	require.Len(t, ids, 2)
	write(t, f.path("b"), "o\nthr")
	require.Equal(t, "two", next())
	require.Equal(t, "thr", next())
	_, err = r.Next(t.Context())
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, r.Close())
	lines, _ := readShard(t, s, ids[1], "", 1)
	require.Equal(t, []string{"new"}, lines)
	f.end(s, id)
	require.Equal(t, ids[1:], f.shards(s))
	require.Empty(t, f.said)
	write(t, f.path("b"), "ee\n")
	require.Len(t, f.shards(s), 2, "it goes on while it is known where it is")
	require.Len(t, f.said, 1)
}
