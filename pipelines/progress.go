package pipelines

import (
	"context"
	"errors"
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
	Owner   string              `json:"owner,omitempty"`   // the worker that has the shard, or had it when it died
	File    *file.Left          `json:"file,omitempty"`    // of a shard that is a file: what is left of it, in place of Lag
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
