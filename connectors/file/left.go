package file

import (
	"context"
	"os"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
)

// Left is what of the file of a shard is not planned yet.
type Left struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Problem string `json:"problem,omitempty"` // why Bytes is not known
}

// Lefts is what of the files of a pipeline is left as they are now, by shard. Nothing is changed.
func Lefts(ctx context.Context, store lease.Store, pipeline string) (map[core.ShardID]Left, error) {
	s, err := New(Config{Paths: []string{"*"}}, connectors.Framing{}, store, pipeline, nil)
	if err != nil {
		return nil, err
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	out := map[core.ShardID]Left{}
	for id, sh := range s.shards {
		out[id] = sh.e.leftOf(sh.n, s.progress[id].Ended)
	}
	return out, nil
}

// leftOf is what is left of run n; of the last one also what no run has yet.
func (e *entry) leftOf(n int, ended bool) Left {
	out := Left{Path: e.Path}
	r, last := e.Runs[n], n == len(e.Runs)-1
	at := r.From
	if m, ok := e.marks[n]; ok && m.End >= 0 {
		at = m.End
	}
	if ended {
		at = r.To
	}
	if r.Done && !last {
		out.Bytes = r.To - at
		return out
	}
	if ended && e.Gone {
		return out
	}
	f, err := os.Open(e.Path)
	if err != nil {
		out.Problem = "the file is not there"
		return out
	}
	defer f.Close() //nolint:errcheck // it was only read
	st, err := f.Stat()
	same := false
	if err == nil {
		same, err = e.evidence().holds(e.Path, f)
	}
	switch {
	case err != nil:
		out.Problem = err.Error()
	case !same:
		out.Problem = "another file is there now"
	case compressed(e.Path) == "":
		out.Bytes = max(0, st.Size()-at)
	case !ended:
		out.Problem = "it is compressed"
	}
	return out
}
