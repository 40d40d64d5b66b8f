package local

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
)

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]Config{
		"as it comes":                {},
		"small files, no cache":      {FileSize: 4096, HotTail: 1},
		"nearly all in own segments": {FileSize: 4096, LogSize: 1, OwnSegment: 1, HotTail: 1},
		"nearly all in shared, lz4":  {FileSize: 4096, LogSize: 1, OwnSegment: 1 << 30, HotTail: 1, Compression: "lz4"},
		"own segments, zstd, cached": {FileSize: 8192, LogSize: 1, OwnSegment: 1024, Compression: "zstd"},
	} {
		t.Run(name+" in memory", func(t *testing.T) {
			shardlogtest.Run(t, func(*testing.T) shardlogtest.Harness { return harness(vfs.NewMem(), "/log", cfg) })
		})
		if cfg.Compression != "" || cfg.LogSize == 0 && cfg.FileSize != 0 {
			continue // they differ little from the others, and sync much
		}
		t.Run(name+" on disk", func(t *testing.T) {
			shardlogtest.Run(t, func(t *testing.T) shardlogtest.Harness { return harness(vfs.OS{}, t.TempDir(), cfg) })
		})
	}
}

func harness(fs vfs.FS, dir string, cfg Config) shardlogtest.Harness {
	return shardlogtest.Harness{
		Open: func(t *testing.T) shardlog.Engine {
			t.Helper()
			e, err := Open(fs, dir, cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, e.Close()) })
			return e
		},
		Settle: func(t *testing.T, e shardlog.Engine) {
			t.Helper()
			require.NoError(t, e.(*Engine).tidy())
		},
	}
}
