package connectors

import (
	"fmt"
	"slices"
	"sort"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// rawData is the data column of a raw batch.
func rawData(raw core.Batch) *array.Binary {
	return raw.Rows.Column(core.HiddenColumns).(*array.Binary)
}

// letters are the dead letters of what became of raw, with where these were read.
func (w *Worker) letters(p *Program, incarnation, source string, raw core.Batch, o outcome) []DeadLetter {
	out := p.letters(w.cfg.Pipeline, incarnation, source, raw, o)
	if placing, ok := w.cfg.Source.(Placing); ok && len(out) > 0 {
		path := placing.Place(raw.Shard)
		for i := range out {
			out[i].Path = path
		}
	}
	return out
}

// letterRawBytes bounds what the letters of one record hold of it, beyond the first: it may have many rows, and each a letter.
const letterRawBytes = 1 << 20

// lettered is a record, or a user record, that has letters.
type lettered struct {
	raw  []byte
	held int // bytes of it in its letters
}

// letters turns the refusals of what became of raw into dead letters, without the plan's number. Those of a record share its
// data; of a record that was taken apart, it is that of the user record.
func (p *Program) letters(pipeline, incarnation, source string, raw core.Batch, o outcome) []DeadLetter {
	refused := o.verdicts.Refused
	if len(refused) == 0 {
		return nil
	}
	handles, arrivals := raw.Handles(), raw.Arrivals()
	find := o.unpacked.finder(raw)
	out, records := make([]DeadLetter, 0, len(refused)), map[found]*lettered{}
	for _, r := range refused {
		i := sort.Search(handles.Len(), func(i int) bool { return handles.Value(i) >= r.Handle })
		if i == handles.Len() || handles.Value(i) != r.Handle {
			panic("a stage refused a row that its batch does not have")
		}
		at, key, data := find(i, r.Ord)
		l := DeadLetter{
			Pipeline: pipeline, Incarnation: incarnation, Spec: p.Spec, Source: source,
			Shard: raw.Shard, Seq: raw.SequenceOf(i), Ord: r.Ord,
			Stage: r.Stage, Code: r.Code, Reason: r.Reason,
			Arrival: int64(arrivals.Value(i)), Key: key,
		}
		rec := records[at]
		if rec == nil {
			rec = &lettered{raw: slices.Clone(data)}
			records[at] = rec
		}
		if rec.held == 0 || rec.held+len(rec.raw) <= letterRawBytes {
			l.Raw = rec.raw
			rec.held += len(rec.raw)
		} else {
			l.Reason += fmt.Sprintf(" (the record of %d bytes stands in its first letter)", len(rec.raw))
		}
		out = append(out, l)
	}
	return out
}

// size is about how many bytes a letter holds in memory.
func (d DeadLetter) size() int64 { return int64(len(d.Raw) + len(d.Key) + len(d.Reason) + 200) }
