package local

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Config has the engine's settings; zero means the documented default.
type Config struct {
	FileSize  int64         // a commit-log file is closed at about this size. Default 256 MiB
	LogSize   int64         // the commit log's files are kept at this size in all; the oldest are moved to segments. Default 1 GiB
	GroupSize int64         // a group takes appends until it has about this size. Default 1 MiB
	HotTail   int64         // bytes of recent entries kept in memory for readers at the tip. Default 64 MiB
	Queue     int64         // bytes of appends that may wait for their group; and four times as many may wait to leave the log. Default 256 MiB
	Idle      time.Duration // after this long without a group, an empty one is written. Default 100 ms
	Reserve   int64         // bytes of space kept for Vital logs and trims when the disk is full. Default 64 MiB; negative for none

	OwnSegment  int64  // a log with this many bytes in a file that leaves the commit log gets its own segment. Default 1 MiB
	MoveRate    int64  // bytes a second at which segments are written, while the log keeps its size. Default 64 MiB
	Compression string // of segments: none, lz4 or zstd. Default none

	Vital []shardlog.LogID // logs that must go on when the disk is full, because space is freed through them

	Synced func(bytes int64, took time.Duration) // told of each group's sync; must return quickly. May be nil
}

func (c Config) withDefaults() Config {
	if c.FileSize == 0 {
		c.FileSize = 256 << 20
	}
	if c.LogSize == 0 {
		c.LogSize = 1 << 30
	}
	if c.OwnSegment == 0 {
		c.OwnSegment = 1 << 20
	}
	if c.MoveRate == 0 {
		c.MoveRate = 64 << 20
	}
	if c.Compression == "" {
		c.Compression = "none"
	}
	if c.GroupSize == 0 {
		c.GroupSize = 1 << 20
	}
	if c.HotTail == 0 {
		c.HotTail = 64 << 20
	}
	if c.Queue == 0 {
		c.Queue = 256 << 20
	}
	if c.Reserve == 0 {
		c.Reserve = DefaultReserve
	}
	if c.Idle == 0 {
		c.Idle = 100 * time.Millisecond
	}
	return c
}

func (c Config) validate() error {
	switch c.Compression {
	case "none", "lz4", "zstd":
	default:
		return fmt.Errorf("compression of segments %q must be none, lz4 or zstd: %w", c.Compression, core.ErrInvalid)
	}
	if c.FileSize < 1<<12 || c.GroupSize < 1 || c.HotTail < 0 || c.Queue < 1 || c.LogSize < 1 || c.OwnSegment < 1 || c.MoveRate < 1 {
		return fmt.Errorf("log sizes must be positive, and a file at least 4 KiB: %w", core.ErrInvalid)
	}
	return nil
}

// maxGroup is the most bytes a group may have; a length above it is damage.
const maxGroup = 256 << 20
