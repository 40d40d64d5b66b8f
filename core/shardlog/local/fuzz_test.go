package local

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
)

// bounded runs f, which may allocate little more than a small input explains.
func bounded(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

// resealed makes the checksums of a commit-log file right, so that what lies under them is reached.
func resealed(b []byte) []byte {
	b = append([]byte(nil), b...)
	if len(b) < headerSize {
		return b
	}
	le := binary.LittleEndian
	copy(b, fileMagic)
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	prev, number := uint32(0), le.Uint64(b[40:])
	for off := headerSize; off+groupHeader <= len(b); {
		g := group{file: le.Uint64(b[16:]), number: number, prev: prev, length: le.Uint32(b[off+28:]), flags: le.Uint32(b[off+4:])}
		if off == headerSize {
			g.prev = le.Uint32(b[off+24:])
		}
		g.length = min(g.length, uint32(len(b)-off-groupHeader)) //nolint:gosec // a small file
		g.seal(b[off:])
		prev, number = g.crc, number+1
		off += int(g.size())
	}
	return b
}

// FuzzRecover opens arbitrary files as a log and reads what they hold.
func FuzzRecover(f *testing.F) {
	for _, w := range workloads() {
		d := newDriver(w.cfg, func(string, string) error { return nil })
		if d.run(f.Context(), w.steps) != nil {
			continue
		}
		names, err := d.fs.List("/log")
		require.NoError(f, err)
		var logs [][]byte
		for _, name := range names {
			if _, ok := parseFileName(name); ok {
				logs = append(logs, d.fs.Get("/log/"+name))
			}
		}
		if n := len(logs); n > 1 {
			f.Add(logs[n-2], logs[n-1], d.fs.Get("/log/head"), true)
		}
	}
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, first, second, head []byte, seal bool) {
		fs := vfs.NewMem()
		for i, b := range [][]byte{first, second} {
			if seal {
				b = resealed(b)
			}
			id := uint64(i + 1)
			if len(b) >= headerSize {
				id = binary.LittleEndian.Uint64(b[16:])
			}
			if len(b) > 0 {
				fs.Set(fileName("/log", id), b)
			}
		}
		if len(head) > 0 {
			fs.Set("/log/head", head)
		}
		bounded(t, func() {
			e, err := Open(fs, "/log", Config{Idle: time.Hour})
			if err != nil {
				return
			}
			defer func() { require.NoError(t, e.Close()) }()
			for id := range e.logs {
				readThrough(t, e, id)
			}
		})
	}))
}

// readThrough reads a log to its end, or to the first damage.
func readThrough(t *testing.T, e *Engine, id shardlog.LogID) {
	t.Helper()
	c, err := e.Read(t.Context(), id, 0, shardlog.ReadOpts{NoWait: true})
	if err != nil {
		return
	}
	for {
		if _, err = c.Next(t.Context()); err != nil {
			require.True(t, errors.Is(err, shardlog.ErrTip) || errors.Is(err, io.EOF) || errors.Is(err, shardlog.ErrCorrupt), "%v", err)
			break
		}
	}
	require.NoError(t, c.Close())
}

// FuzzGroup decodes what may be a file's header, a group of entries and a slot of the head.
func FuzzGroup(f *testing.F) {
	d := newDriver(Config{}, func(string, string) error { return nil })
	require.NoError(f, d.run(f.Context(), workloads()[1].steps))
	b := d.fs.Get("/log/commit-0000000000000001.log")
	for _, at := range groupsOf(b) {
		f.Add(b[at:])
	}
	f.Add(b)
	f.Add(d.fs.Get("/log/head"))
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, b []byte) {
		bounded(t, func() {
			if h, err := decodeFileHeader(b); err == nil {
				require.Equal(t, b[:8], h.encode()[:8])
			}
			if m := decodeHeadMark(b); m.seq > 0 {
				require.Equal(t, m, decodeHeadMark(m.encode()))
			}
			if g, payload, err := decodeGroup(b); err == nil {
				require.LessOrEqual(t, len(payload), len(b))
				require.Len(t, payload, int(g.length))
			}
			seen := 0
			err := decodeEntries(b, func(off int, en entry) error {
				require.Less(t, off, len(b))
				seen += entryFixed + len(en.id) + len(en.payload)
				return nil
			})
			if err == nil {
				require.LessOrEqual(t, seen, len(b))
			}
		})
	}))
}

// FuzzPayload decodes what may be an Arrow schema and a batch of it.
func FuzzPayload(f *testing.F) {
	batch := shardlogtest.Batch(1, 1, 2, 3)
	enc, err := newEncoder(batch.Rows.Schema())
	require.NoError(f, err)
	made, err := enc.encode(batch.Rows)
	require.NoError(f, err)
	payload := slices.Concat(made.parts...)
	f.Add(enc.bytes, payload)
	f.Add([]byte{}, payload)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, schema, b []byte) {
		if len(schema) == 0 {
			schema = enc.bytes
		}
		bounded(t, func() {
			d, err := newDecoder(schema)
			if err != nil {
				return
			}
			defer d.r.Release()
			rec, err := d.decode(b)
			if err != nil {
				require.ErrorIs(t, err, errPayload)
				return
			}
			for _, c := range rec.Columns() {
				require.EqualValues(t, rec.NumRows(), c.Len())
			}
			rec.Release()
		})
	}))
}
