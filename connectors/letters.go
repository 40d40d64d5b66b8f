package connectors

import (
	"slices"
	"sort"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/penstock/penstock/core"
)

// rawData is the data column of a raw batch.
func rawData(raw core.Batch) *array.Binary {
	return raw.Rows.Column(core.HiddenColumns).(*array.Binary)
}

// letters turns the refusals among raw's records into dead letters, without the plan's number.
func (p *Program) letters(pipeline, incarnation, source string, raw core.Batch, refused []Refusal) []DeadLetter {
	if len(refused) == 0 {
		return nil
	}
	handles, arrivals, keys, data := raw.Handles(), raw.Arrivals(), raw.Keys(), rawData(raw)
	out := make([]DeadLetter, 0, len(refused))
	for _, r := range refused {
		i := sort.Search(handles.Len(), func(i int) bool { return handles.Value(i) >= r.Handle })
		if i == handles.Len() || handles.Value(i) != r.Handle {
			panic("a stage refused a row that its batch does not have")
		}
		out = append(out, DeadLetter{
			Pipeline: pipeline, Incarnation: incarnation, Spec: p.Spec, Source: source,
			Shard: raw.Shard, Seq: raw.SequenceOf(i), Ord: r.Ord,
			Stage: r.Stage, Code: r.Code, Reason: r.Reason,
			Arrival: int64(arrivals.Value(i)), Key: keys.Value(i), Raw: slices.Clone(data.Value(i)),
		})
	}
	return out
}

// size is about how many bytes a letter holds in memory.
func (d DeadLetter) size() int64 { return int64(len(d.Raw) + len(d.Key) + len(d.Reason) + 200) }
