package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
)

// ShardProgress is how far a pipeline got in a shard, and how far it is behind.
type ShardProgress struct {
	connectors.Progress
	Last    core.SequenceNumber `json:"last"`              // of the shard's last record; empty where it has none, or is not of this node
	Lag     connectors.Duration `json:"lag"`               // age of the first record after the checkpoint; 0 where there is none
	Problem string              `json:"problem,omitempty"` // why Lag is not known
	File    *file.Left          `json:"file,omitempty"`    // of a shard that is a file: what is left of it, in place of Lag
}

// Progress is how far the pipeline's present incarnation got in each shard.
func (n *Node) Progress(ctx context.Context, pipeline string) ([]ShardProgress, error) {
	all, err := connectors.ListProgress(ctx, n.Control, pipeline)
	if err != nil {
		return nil, err
	}
	infos, err := n.Streams.List(ctx)
	if err != nil {
		return nil, err
	}
	streams := map[string]core.StreamName{}
	for _, i := range infos {
		streams[i.ID] = i.Name
	}
	files, err := file.Lefts(ctx, n.Control, pipeline)
	if err != nil {
		return nil, err
	}
	out := make([]ShardProgress, len(all))
	for i, p := range all {
		out[i].Progress = p
		if left, ok := files[p.Shard]; ok {
			out[i].File = &left
			continue
		}
		name, ok := streams[p.Source]
		if !ok {
			out[i].Problem = "not a stream of this node"
			continue
		}
		if err := n.lag(ctx, name, &out[i]); err != nil {
			return nil, fmt.Errorf("find the lag in %s of stream %s: %w", p.Shard, name, err)
		}
	}
	return out, nil
}

// lag finds the end of the shard, and the age of the first record that is not delivered.
func (n *Node) lag(ctx context.Context, name core.StreamName, p *ShardProgress) error {
	s, err := n.Streams.Open(ctx, name)
	if err != nil {
		return err
	}
	if p.Last, err = s.Last(ctx, p.Shard); errors.Is(err, stream.ErrNotFound) {
		p.Problem = "the shard is gone"
		return nil
	} else if err != nil || p.Last == "" || p.Checkpoint != "" && p.Last.Compare(p.Checkpoint) <= 0 {
		return err
	}
	r, err := s.Read(ctx, p.Shard, p.Checkpoint)
	if errors.Is(err, shardlog.ErrTrimmed) {
		p.Problem = "records after the checkpoint are past their retention"
		return nil
	} else if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // a reader has nothing to lose
	b, err := r.Next(ctx)
	if err != nil {
		return err
	}
	defer b.Release()
	p.Lag = connectors.Duration(max(0, time.Since(time.UnixMilli(int64(b.Arrivals().Value(0))))).Round(time.Millisecond))
	return nil
}
