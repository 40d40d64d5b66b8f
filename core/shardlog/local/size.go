package local

import (
	"context"

	"github.com/penstock/penstock/core/shardlog"
)

var _ shardlog.Sizer = (*Engine)(nil)

// Within adds entries up from the newest before a position. What is in segments counts by the run, each of which is what
// one file of the commit log held.
func (e *Engine) Within(_ context.Context, id shardlog.LogID, before shardlog.Pos, bytes int64) (shardlog.Pos, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, err := e.find(id)
	if err != nil {
		return 0, err
	}
	for i := l.at(before) - 1; i >= 0; i-- {
		if bytes -= int64(l.refs[i].size); bytes < 0 {
			return l.refs[i].pos + 1, nil
		}
	}
	for i := len(l.runs) - 1; i >= 0; i-- {
		r := &l.runs[i]
		if r.first >= before {
			continue
		}
		for _, p := range r.parts {
			bytes -= p.log.bytes
		}
		if bytes < 0 {
			return min(before, r.last+1), nil
		}
	}
	return 0, nil
}
