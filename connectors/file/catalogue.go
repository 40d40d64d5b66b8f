package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// known is the row of a file: what it is known by, where it was last, and its shards.
type known struct {
	ID      string  `json:"id"`      // names its shards
	Path    string  `json:"path"`    // where it was last
	Inode   string  `json:"inode"`   // there; a hint, which content has to confirm
	Head    piece   `json:"head"`    // of its text
	Packed  *packed `json:"packed"`  // of a compressed file, as it is stored
	Stored  *piece  `json:"stored"`  // the first bytes of a compressed file, all that earlier versions kept of one
	Seen    int64   `json:"seen"`    // when first, in milliseconds: the arrival time of its records
	Runs    []run   `json:"runs"`    // its shards
	Moved   bool    `json:"moved"`   // it was found at another path than at first
	Changed int64   `json:"changed"` // when it was written to last, in milliseconds
	Out     bool    `json:"out"`     // it is beyond the paths of the source since it left them, and is read to its end there
	Gone    bool    `json:"gone"`    // it was not found any more
	Lost    bool    `json:"lost"`    // and more of it had been there than was read
}

// run is a shard: a part of the text of a file.
type run struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`   // unbounded until it was read to its end
	Done bool   `json:"done"` // it was
	Tail string `json:"tail"` // of the text before To, then
	Cut  *cut   `json:"cut"`  // its last record, which ended only because the text did
	// Old says that From and To count bytes of the compressed file, as earlier versions did.
	Old bool `json:"old,omitempty"`
}

// cut is a record that nothing but the end of the text ended.
type cut struct {
	At     int64 `json:"at"`
	Length int   `json:"length"`
}

// mark is the row of how far a shard was planned: it is written with the plan.
type mark struct {
	Seq  core.SequenceNumber `json:"seq"`
	End  int64               `json:"end"`  // of the record, in the text; -1 where it is not known
	Tail string              `json:"tail"` // of the text before it
	Size int64               `json:"size"` // of the text then, as far as it was known
}

// unbounded is the end of a run that has none yet.
const unbounded = 1<<62 - 1

// entry is a file and what this process knows of it besides its row.
type entry struct {
	known
	old   string // the key of the row of an earlier version, which goes with the next commit
	marks map[int]mark

	handed  map[int][]mark // what readers handed over, by run, from the last that was planned on
	stale   bool           // it changed since more of it was looked for
	kept    bool           // it was read to its end after it had left its path
	info    os.FileInfo    // when it was last looked at
	left    time.Time      // since when it is in none of the paths
	readers int            // that read it for the first time
	live    *plain         // what the last of them reads
}

func newEntry() *entry { return &entry{marks: map[int]mark{}, handed: map[int][]mark{}} }

// handedThrough is the mark of the last records that were handed over and are not behind seq.
func (e *entry) handedThrough(n int, seq core.SequenceNumber) (mark, bool) {
	all := e.handed[n]
	i := slices.IndexFunc(all, func(m mark) bool { return m.Seq.Compare(seq) > 0 })
	if i < 0 {
		i = len(all)
	}
	if i == 0 {
		return mark{}, false
	}
	e.handed[n] = all[i-1:]
	return all[i-1], true
}

func shardID(id string, n int) core.ShardID {
	return core.ShardID(fmt.Sprintf("file-%s-%d", id, n))
}

// evidence is what the file is known by now: the further it was read, the stronger.
func (e *entry) evidence() evidence {
	ev := evidence{head: e.Head, packed: e.Packed, stored: e.Stored}
	for i, r := range e.Runs {
		if r.Done && !r.Old && r.Tail != "" && r.To >= ev.at {
			ev.at, ev.tail = r.To, r.Tail
		}
		if m, ok := e.marks[i]; ok && m.Tail != "" && m.End >= ev.at {
			ev.at, ev.tail = m.End, m.Tail
		}
	}
	if e.live != nil {
		if at, tail := e.live.read(); at >= ev.at {
			ev.at, ev.tail = at, tail
		}
	}
	return ev
}

// exhausted reports whether nothing of run n is known behind a record, so that it may end although the file is gone.
func (e *entry) exhausted(n int, after core.SequenceNumber) bool {
	m := e.marks[n]
	switch r := e.Runs[n]; {
	case after == "":
		return r.Done && r.From == r.To
	case m.Seq != after:
		return false
	case r.Done:
		return m.End >= r.To
	default:
		return m.End >= 0 && m.End >= m.Size
	}
}

// oldRow is a row of earlier versions: one a path, of the file as it is stored.
type oldRow struct {
	Path   string `json:"path"`
	Prefix int64  `json:"prefix"`
	Hash   string `json:"hash"`
	Seen   int64  `json:"seen"`
	Sizes  []int64
}

func (o oldRow) entry() *entry {
	e := newEntry()
	e.ID, e.Path, e.Seen = idOf(o.Path, o.Hash, 0), o.Path, o.Seen
	if compressed(o.Path) == "" {
		e.Head = piece{o.Prefix, o.Hash}
	} else {
		e.Stored = &piece{o.Prefix, o.Hash}
	}
	from := int64(0)
	for _, to := range o.Sizes {
		e.Runs = append(e.Runs, run{From: from, To: to, Old: e.Stored != nil})
		from = to
	}
	return e
}

// idOf names a file that was first seen at a path, with a number that tells it from others that began alike there.
func idOf(path, hash string, n int) string {
	text := path + "\x00" + hash
	if n > 0 {
		text = fmt.Sprintf("%s\x00%d", text, n)
	}
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:8])
}

func (s *Source) rows() string { return connectors.SourceRows(s.pipeline) }

// load reads the rows of the files, and which shards were read to their ends.
func (s *Source) load(ctx context.Context) error {
	rows, err := s.store.List(ctx, s.rows())
	if err != nil {
		return err
	}
	marks := map[string]mark{}
	for _, row := range rows {
		name := strings.TrimPrefix(row.Key, s.rows())
		if strings.Contains(name, "/") {
			var m mark
			if err := json.Unmarshal(row.Value, &m); err != nil {
				return fmt.Errorf("read %s: %w", row.Key, err)
			}
			marks[name] = m
			continue
		}
		e := newEntry()
		if err := json.Unmarshal(row.Value, &e.known); err != nil {
			return fmt.Errorf("read %s: %w", row.Key, err)
		}
		if e.ID == "" {
			var o oldRow
			if err := json.Unmarshal(row.Value, &o); err != nil {
				return fmt.Errorf("read %s: %w", row.Key, err)
			}
			e = o.entry()
			e.old = row.Key
		}
		s.files = append(s.files, e)
	}
	for _, e := range s.files {
		for n := range e.Runs {
			if m, ok := marks[fmt.Sprintf("%s/%d", e.ID, n)]; ok {
				e.marks[n] = m
			}
			s.shards[shardID(e.ID, n)] = shard{e, n}
		}
	}
	return s.loadProgress(ctx)
}

// loadProgress reads how far the shards were delivered.
func (s *Source) loadProgress(ctx context.Context) error {
	all, err := connectors.ListProgress(ctx, s.store, s.pipeline)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Source == s.ID() {
			s.progress[p.Shard] = p
		}
	}
	return nil
}

// commit makes the rows of files durable, some at a time.
func (s *Source) commit(ctx context.Context, files ...*entry) error {
	for chunk := range slices.Chunk(files, 500) {
		if err := s.commitSome(ctx, chunk); err != nil {
			return fmt.Errorf("note %d files: %w", len(chunk), err)
		}
	}
	return nil
}

// commitSome writes what this process knows: nobody else reads the files of a pipeline at the same time.
func (s *Source) commitSome(ctx context.Context, files []*entry) error {
	for {
		var t control.Txn
		for _, e := range files {
			key := s.rows() + e.ID
			row, _, err := s.store.Get(ctx, key)
			if err != nil {
				return err
			}
			b, err := json.Marshal(e.known)
			if err != nil {
				return err
			}
			t.Checks = append(t.Checks, control.Check{Key: key, Version: row.Version})
			t.Writes = append(t.Writes, control.Write{Key: key, Value: b})
			if e.old != "" && e.old != key {
				t.Writes = append(t.Writes, control.Write{Key: e.old})
			}
		}
		_, err := s.store.Commit(ctx, t)
		if err == nil {
			for _, e := range files {
				e.old = ""
			}
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) {
			return err
		}
	}
}
