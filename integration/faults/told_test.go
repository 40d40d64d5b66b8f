//go:build unix

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// told is what a parent was told by its children, and what it has seen itself, of one directory.
type told struct {
	streams  map[core.StreamName]*toldStream
	counters [counters]int
	trimmed  int64 // records sent before this may be gone
	opened   bool
	kills    int

	acked, read, missing, extra int
	unheard                     int      // acknowledged without power
	segments, halfway           int      // cuts that left segments, and files of segments that were being made
	wrong                       []string // the first few things that are not as they should be
}

type toldStream struct {
	exists, deleting bool
	records          map[string]toldRecord // by their text
}

type toldRecord struct {
	shard core.ShardID
	seq   core.SequenceNumber
	sent  int64
}

func newTold() *told { return &told{streams: map[core.StreamName]*toldStream{}} }

func (t *told) stream(name core.StreamName) *toldStream {
	s := t.streams[name]
	if s == nil {
		s = &toldStream{records: map[string]toldRecord{}}
		t.streams[name] = s
	}
	return s
}

// hear takes in a line of a child. Its error is what the child failed with by itself.
func (t *told) hear(line string) error {
	w := strings.Split(line, "\t")
	switch w[0] {
	case "open":
		t.opened = true
	case "created":
		t.stream(core.StreamName(w[1])).exists = true
	case "deleting":
		t.stream(core.StreamName(w[1])).deleting = true
	case "deleted":
		t.stream(core.StreamName(w[1])).exists = false
	case "acked":
		sent, _ := strconv.ParseInt(w[4], 10, 64)
		t.stream(core.StreamName(w[1])).records[w[5]] = toldRecord{core.ShardID(w[2]), core.SequenceNumber(w[3]), sent}
		t.acked++
	case "counted":
		i, _ := strconv.Atoi(w[1])
		t.counters[i], _ = strconv.Atoi(w[2])
	case "trimming":
		before, _ := strconv.ParseInt(w[1], 10, 64)
		t.trimmed = max(t.trimmed, before)
	case "failed":
		return fmt.Errorf("a child failed by itself: %s", w[1])
	}
	return nil
}

// late takes in what a child said when nobody could hear it any more: it may have come about.
func (t *told) late(line string) {
	switch word, _, _ := strings.Cut(line, "\t"); word {
	case "deleting", "trimming":
		_ = t.hear(line)
	case "counted":
		t.kills++
	case "acked":
		t.unheard++
	}
}

func (t *told) fault(missing, extra int, format string, args ...any) {
	t.missing, t.extra = t.missing+missing, t.extra+extra
	if len(t.wrong) < 5 {
		t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
	}
}

// verify reads everything that a node holds and compares it. What it sees must be there from then on.
func (t *told) verify(ctx context.Context, n *node) error {
	for i := range counters {
		if err := t.counter(ctx, n, i); err != nil {
			return err
		}
	}
	infos, err := n.streams.List(ctx)
	if err != nil {
		return err
	}
	found := map[core.StreamName]bool{}
	for _, info := range infos {
		found[info.Name] = true
		s := t.stream(info.Name)
		if s.deleting && !s.exists {
			t.fault(0, 1, "stream %s was deleted", info.Name)
		}
		s.exists, s.deleting = true, false
		if err := t.readStream(ctx, n, info); err != nil {
			return fmt.Errorf("stream %s: %w", info.Name, err)
		}
	}
	t.kills = 0
	for name, s := range t.streams {
		switch {
		case !found[name] && s.exists && !s.deleting:
			t.fault(1, 0, "stream %s is gone", name)
		case !found[name]:
			delete(t.streams, name)
		}
	}
	return nil
}

func (t *told) counter(ctx context.Context, n *node, i int) error {
	var values [2]int
	for j, key := range []string{fmt.Sprint("counter/", i), fmt.Sprint("counter/", i, "/twin")} {
		row, ok, err := n.control.Get(ctx, key)
		if err != nil {
			return err
		}
		if ok {
			values[j], _ = strconv.Atoi(string(row.Value))
		}
	}
	// One commit of the child that was killed may have come about without being told; several, of several children.
	if values[0] != values[1] || values[0] < t.counters[i] || values[0] > t.counters[i]+t.kills {
		t.fault(1, 0, "counter %d is %v, told was %d", i, values, t.counters[i])
	}
	t.counters[i] = values[0]
	return nil
}

func (t *told) readStream(ctx context.Context, n *node, info stream.Info) error {
	s, err := n.streams.Open(ctx, info.Name)
	if err != nil {
		return err
	}
	have := t.stream(info.Name)
	seen := map[string]bool{}
	for _, sh := range info.Shards {
		if err := t.readShard(ctx, s, sh.ID, have, seen); err != nil {
			return fmt.Errorf("%s: %w", sh.ID, err)
		}
	}
	for text, r := range have.records {
		if !seen[text] {
			if r.sent >= t.trimmed {
				t.fault(1, 0, "stream %s: acknowledged %.40q at %s of %s is gone", info.Name, text, r.seq, r.shard)
			}
			delete(have.records, text)
		}
	}
	return nil
}

// readShard reads a shard to its tip. Of each writer the records must stand in order.
func (t *told) readShard(ctx context.Context, s *stream.Stream, id core.ShardID, have *toldStream, seen map[string]bool) error {
	r, err := s.Read(ctx, id, "")
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	ended, cancel := context.WithCancel(ctx)
	cancel()
	order := map[string]int{}
	var last core.SequenceNumber
	for {
		b, err := r.Next(ended)
		if errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		col := b.Rows.Column(core.HiddenColumns).(*array.Binary)
		for i := range int(b.NumRows()) {
			text, seq := string(slices.Clone(col.Value(i))), b.SequenceOf(i)
			t.read++
			who, n, ok := whole(text)
			before, again := order[who]
			was, known := have.records[text]
			switch {
			case !ok:
				t.fault(0, 1, "%.40q at %s was never put", text, seq)
			case seen[text]:
				t.fault(0, 1, "%.40q is there twice", text)
			case last != "" && seq.Compare(last) <= 0, again && n <= before:
				t.fault(0, 1, "%.40q at %s stands after %s", text, seq, last)
			case known && (was.seq != seq || was.shard != id):
				t.fault(1, 1, "%.40q is at %s of %s, acknowledged was %s of %s", text, seq, id, was.seq, was.shard)
			}
			last, order[who], seen[text] = seq, n, true
			if !known {
				was.sent = int64(b.Arrivals().Value(i))
			}
			have.records[text] = toldRecord{id, seq, was.sent}
		}
		b.Release()
	}
}
