//go:build unix

package faults

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

const controlLog shardlog.LogID = "control"

// small makes everything that happens rarely happen often: new files, snapshots, empty groups.
var small = local.Config{FileSize: 32 << 10, HotTail: 64 << 10, Idle: 5 * time.Millisecond}

// moving moves every file of the log to segments besides, as soon as it is full; some logs get their own.
func moving() local.Config {
	cfg := small
	cfg.LogSize, cfg.OwnSegment = 1, 4<<10
	return cfg
}

// node is a log engine, its control store and its streams in one directory.
type node struct {
	engine  *local.Engine
	control *control.Store
	streams *stream.Store
}

func openNode(ctx context.Context, fs vfs.FS, dir string, cfg local.Config) (*node, error) {
	e, err := local.Open(fs, filepath.Join(dir, "log"), cfg)
	if err != nil {
		return nil, err
	}
	c, err := control.Open(ctx, e, controlLog, "faults", control.Config{SnapshotBytes: 4000})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return &node{e, c, stream.NewStore(e, c, "faults")}, nil
}

func (n *node) close() error { return errors.Join(n.control.Close(), n.engine.Close()) }

// trim lets go, of every stream, the entries that arrived before a moment, whatever the retention.
func (n *node) trim(ctx context.Context, before time.Time) error {
	infos, err := n.streams.List(ctx)
	if err != nil {
		return err
	}
	for _, info := range infos {
		for _, sh := range info.Shards {
			pos, err := n.engine.Find(ctx, sh.Log, before)
			if err == nil {
				err = n.engine.Trim(ctx, sh.Log, pos)
			}
			if err != nil && !errors.Is(err, shardlog.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}
