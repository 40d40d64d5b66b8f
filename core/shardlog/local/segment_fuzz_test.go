package local

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/core/vfs"
)

// FuzzSegment opens whatever bytes as a segment and its index, and reads all that the index says is there: an error or
// what is there, never a panic, and never more memory than the files have. With mend the checksums of the index are
// made right first, so that what they protect is reached too; with inside the index stands in the footer only.
func FuzzSegment(f *testing.F) {
	for _, segment := range seedSegments(f) {
		f.Add(segment[0], segment[1], false, false)
		f.Add(segment[0], segment[1], true, false)
		f.Add(segment[0], segment[1], true, true)
	}
	empty := emptyFooter(f)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, data, index []byte, mend, inside bool) {
		if mend {
			mendIndex(index)
		}
		if inside {
			if end, err := withMetadata(empty, metaIndex, base64.StdEncoding.EncodeToString(index)); err == nil {
				data = append(data[:len(data):len(data)], end...)
			}
			index = nil
		}
		mem := vfs.NewMem()
		seg := &segment{name: segName("/log", "log", 2), id: "log"}
		for name, b := range map[string][]byte{seg.name: data, indexName(seg.name): index} {
			file, err := mem.Create(name)
			require.NoError(t, err)
			_, err = file.WriteAt(b, 0)
			require.NoError(t, err)
		}
		o, err := openSeg(mem, seg)
		if err != nil {
			return
		}
		for _, l := range o.index.logs {
			for _, k := range o.blocksOf(l) {
				rec, err := o.block(k)
				if err != nil {
					continue
				}
				if table, err := o.entries(k); err == nil {
					rows := int64(0)
					for i, e := range table {
						require.True(t, i == 0 || e.pos > table[i-1].pos)
						rows += int64(e.rows)
					}
					require.Equal(t, rec.NumRows(), rows)
				}
				rec.Release()
			}
		}
		require.NoError(t, o.close())
	}))
}

// FuzzFooter looks for metadata in whatever bytes.
func FuzzFooter(f *testing.F) {
	for _, segment := range seedSegments(f) {
		footer, ok := cutFooter(segment[0])
		require.True(f, ok)
		f.Add(footer)
	}
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, footer []byte) {
		if text, err := metadata(footer, metaIndex); err == nil {
			require.LessOrEqual(t, len(text), len(footer))
		}
	}))
}

// mendIndex makes the checksums of an index's header and tables right, where its sizes allow.
func mendIndex(b []byte) {
	if len(b) < indexHeader {
		return
	}
	le := binary.LittleEndian
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	if s, err := decodeIndexHeader(b); err == nil && s.tables <= int64(len(b)) {
		le.PutUint32(b[56:], crc32.Checksum(b[indexHeader:s.tables], castagnoli))
		le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
		for at := indexHeader + s.logs; at < s.tables; at += segBlockSize {
			k := decodeSegBlock(b[at:])
			if end := k.table + int64(k.tabLen); k.table >= 0 && k.table <= end && end <= int64(len(b)) {
				le.PutUint32(b[at+68:], crc32.Checksum(b[k.table:end], castagnoli))
			}
		}
		le.PutUint32(b[56:], crc32.Checksum(b[indexHeader:s.tables], castagnoli))
		le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	}
}

// emptyFooter is the end of an Arrow file without batches.
func emptyFooter(tb testing.TB) []byte {
	tb.Helper()
	segment := seedSegments(tb)[0][0]
	footer, ok := cutFooter(segment)
	require.True(tb, ok)
	return segment[len(segment)-len(footer)-len(arrowMagic)-4:]
}

// seedSegments are small segments and their index files.
func seedSegments(tb testing.TB) (out [][2][]byte) {
	tb.Helper()
	mem := vfs.NewMem()
	cfg := toSegments()
	cfg.GroupSize = 1 // the same files each time
	e, err := Open(mem, "/log", cfg)
	require.NoError(tb, err)
	fill(tb, e, "log", 3)
	fill(tb, e, "other", 40)
	require.NoError(tb, e.Close())
	for _, name := range []string{segName("/log", "log", 2), segName("/log", "other", 2), sharedName("/log", 1, 0)} {
		var pair [2][]byte
		for i, n := range []string{name, indexName(name)} {
			f, err := mem.Open(n)
			if err != nil {
				continue
			}
			size, err := f.Size()
			require.NoError(tb, err)
			pair[i] = make([]byte, size)
			require.NoError(tb, readFull(f, pair[i], 0))
		}
		if pair[0] != nil {
			out = append(out, pair)
		}
	}
	require.NotEmpty(tb, out)
	return out
}
