package local

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
)

// store is a closed engine's files, nearly all of it in segments, and what each log holds.
type store struct {
	mem  *vfs.Mem
	want map[shardlog.LogID][]int64
}

func makeStore(t *testing.T) store {
	t.Helper()
	s := store{vfs.NewMem(), map[shardlog.LogID][]int64{}}
	e, err := Open(s.mem, "/log", toSegments())
	require.NoError(t, err)
	writers := map[shardlog.LogID]shardlog.Writer{}
	for _, id := range []shardlog.LogID{"own", "few", "fewer"} {
		require.NoError(t, e.Create(t.Context(), id))
		writers[id], _, err = e.Claim(t.Context(), id, 1, "test")
		require.NoError(t, err)
	}
	for i := range int64(60) {
		for id, every := range map[shardlog.LogID]int64{"own": 1, "few": 4, "fewer": 10} {
			if i%every == 0 {
				b := shardlogtest.Batch(i+1, i)
				_, err := writers[id].Append(shardlog.Anywhere, b).Wait(t.Context())
				require.NoError(t, err)
				b.Rows.Release()
				s.want[id] = append(s.want[id], i)
			}
		}
	}
	require.NoError(t, e.tidy())
	for id := range s.want {
		_, runs := inMemory(e, id)
		require.Positive(t, runs, "%s is in segments", id)
	}
	require.NoError(t, e.Close())
	return s
}

// logsIn are the logs that have entries in a segment, or in that of an index.
func (s store) logsIn(t *testing.T, file string) map[shardlog.LogID]segLog {
	t.Helper()
	out := map[shardlog.LogID]segLog{}
	for _, name := range segmentFiles(t, s.mem) {
		if strings.TrimSuffix(name, segSuffix) == strings.TrimSuffix(strings.TrimSuffix(file, segSuffix), indexSuffix) {
			f, err := s.mem.Open(indexName(name))
			require.NoError(t, err)
			x, err := readIndex(f)
			require.NoError(t, err)
			for _, l := range x.logs {
				out[l.id] = l
			}
		}
	}
	return out
}

// segmentFiles are the files of the segments and their indexes.
func segmentFiles(t *testing.T, fs vfs.FS) (out []string) {
	t.Helper()
	names, err := fs.List("/log/segments")
	require.NoError(t, err)
	for _, name := range names {
		if strings.Contains(name, ".") {
			out = append(out, filepath.Join("/log/segments", name))
			continue
		}
		inside, err := fs.List(filepath.Join("/log/segments", name))
		require.NoError(t, err)
		for _, n := range inside {
			out = append(out, filepath.Join("/log/segments", name, n))
		}
	}
	return out
}

// checkHurt opens a store with a damaged file and reports whether the damage was seen. Logs outside the file are whole;
// those in it are too, or their reader is told, has got everything before, and gets everything behind.
func checkHurt(t *testing.T, s store, hurt *vfs.Mem, file string) (seen bool) {
	t.Helper()
	e, err := Open(hurt, "/log", toSegments())
	require.NoError(t, err, "the node goes on")
	defer func() { require.NoError(t, e.Close()) }()
	for id, want := range s.want {
		got, err := shardlogtest.ReadAll(t, e, id, 0)
		if err == nil || errors.Is(err, shardlog.ErrTip) {
			require.Equal(t, want, got, "%s with %s damaged", id, file)
			continue
		}
		require.ErrorIs(t, err, shardlog.ErrCorrupt)
		require.ErrorContains(t, err, "at byte ")
		require.ErrorContains(t, err, "from a copy")
		require.ErrorContains(t, err, "/log/segments")
		part, inFile := s.logsIn(t, file)[id]
		require.True(t, inFile, "%s stopped by %s: %v", id, file, err)
		require.Equal(t, want[:len(got)], append([]int64{}, got...))
		for _, from := range want[len(got):] { // whoever asks by time does not miss what is lost
			pos, err := e.Find(t.Context(), id, time.UnixMilli(from+1))
			require.NoError(t, err)
			tail, err := shardlogtest.ReadAll(t, e, id, pos)
			if errors.Is(err, shardlog.ErrTip) && len(tail) > 0 {
				require.Equal(t, want[len(want)-len(tail):], tail)
				require.Equal(t, from, tail[0])
			}
		}
		tail, err := shardlogtest.ReadAll(t, e, id, part.last+1)
		require.ErrorIs(t, err, shardlog.ErrTip, "%s is read behind what is damaged", id)
		require.Equal(t, want[len(want)-len(tail):], append([]int64{}, tail...))
		require.NoError(t, e.Trim(t.Context(), id, shardlog.MaxPos), "what is damaged can be trimmed")
		got, err = shardlogtest.ReadAll(t, e, id, 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Empty(t, got)
		seen = true
	}
	return seen
}

func TestAFlippedBitInASegmentIsSeenOrHarmless(t *testing.T) {
	s := makeStore(t)
	seen, harmless := 0, 0
	stride := int64(max(3, 1200/seeds(6)))
	for _, name := range segmentFiles(t, s.mem) {
		f, err := s.mem.Open(name)
		require.NoError(t, err)
		size, err := f.Size()
		require.NoError(t, err)
		for bit := int64(len(name)) % stride; bit < size*8; bit += stride {
			hurt := s.mem.CrashClone(nil)
			hurt.Flip(name, bit)
			if checkHurt(t, s, hurt, name) {
				require.True(t, strings.HasSuffix(name, segSuffix), "the footer stands in for %s", name)
				seen++
			} else {
				harmless++
			}
		}
	}
	t.Logf("campaign=segment-flips flips=%d seen=%d harmless=%d missing=0 extra=0", seen+harmless, seen, harmless)
	require.Positive(t, seen)
}

func TestAMutilatedSegmentIsSeenOrHarmless(t *testing.T) {
	s := makeStore(t)
	resize := func(size func(int64) int64) func(*testing.T, *vfs.Mem, string) {
		return func(t *testing.T, m *vfs.Mem, name string) {
			f, err := m.Open(name)
			require.NoError(t, err)
			n, err := f.Size()
			require.NoError(t, err)
			require.NoError(t, f.Truncate(size(n)))
		}
	}
	files := segmentFiles(t, s.mem)
	kinds := map[string]func(*testing.T, *vfs.Mem, string){
		"missing":       func(t *testing.T, m *vfs.Mem, name string) { require.NoError(t, m.Remove(name)) },
		"empty":         resize(func(int64) int64 { return 0 }),
		"cut in half":   resize(func(n int64) int64 { return n / 2 }),
		"cut by a byte": resize(func(n int64) int64 { return n - 1 }),
		"longer":        resize(func(n int64) int64 { return n + 4096 }),
		"zeroed": func(t *testing.T, m *vfs.Mem, name string) {
			f, err := m.Open(name)
			require.NoError(t, err)
			n, err := f.Size()
			require.NoError(t, err)
			_, err = f.WriteAt(make([]byte, min(n, 4096)), 0)
			require.NoError(t, err)
		},
		"its sector zeroed": func(t *testing.T, m *vfs.Mem, name string) {
			f, err := m.Open(name)
			require.NoError(t, err)
			_, err = f.WriteAt(make([]byte, 64), 256)
			require.NoError(t, err)
		},
	}
	for kind, hurtIt := range kinds {
		for _, name := range files {
			t.Run(kind+" "+filepath.Base(name), func(t *testing.T) {
				hurt := s.mem.CrashClone(nil)
				hurtIt(t, hurt, name)
				seen := checkHurt(t, s, hurt, name)
				if strings.HasSuffix(name, indexSuffix) {
					require.False(t, seen, "the footer stands in for it")
				} else if kind == "missing" || kind == "empty" || kind == "zeroed" {
					require.True(t, seen)
				}
			})
		}
	}
}

func TestASegmentUnderAnotherNameIsSeenOrHarmless(t *testing.T) {
	s := makeStore(t)
	files := segmentFiles(t, s.mem)
	for i, name := range files {
		for _, other := range []string{files[(i+2)%len(files)], files[(i+1)%len(files)], files[(i+len(files)/2)%len(files)]} {
			if other == name {
				continue
			}
			t.Run(fmt.Sprintf("%s over %s", filepath.Base(name), filepath.Base(other)), func(t *testing.T) {
				hurt := s.mem.CrashClone(nil)
				require.NoError(t, hurt.Rename(name, other))
				hurtBoth(t, s, hurt, name, other)
			})
			t.Run(fmt.Sprintf("%s and %s exchanged", filepath.Base(name), filepath.Base(other)), func(t *testing.T) {
				hurt := s.mem.CrashClone(nil)
				require.NoError(t, hurt.Rename(name, "/log/aside"))
				require.NoError(t, hurt.Rename(other, name))
				require.NoError(t, hurt.Rename("/log/aside", other))
				hurtBoth(t, s, hurt, name, other)
			})
		}
	}
}

// hurtBoth is checkHurt where two files are damaged: each log that has entries in either may be stopped.
func hurtBoth(t *testing.T, s store, hurt *vfs.Mem, a, b string) {
	t.Helper()
	e, err := Open(hurt, "/log", toSegments())
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	for id, want := range s.want {
		got, err := shardlogtest.ReadAll(t, e, id, 0)
		if errors.Is(err, shardlog.ErrTip) {
			require.Equal(t, want, got)
			continue
		}
		require.ErrorIs(t, err, shardlog.ErrCorrupt)
		require.Equal(t, want[:len(got)], append([]int64{}, got...))
		require.Positive(t, s.logsIn(t, a)[id].last+s.logsIn(t, b)[id].last, "%s stopped", id)
	}
}

func TestADuplicateOfASegmentIsHarmless(t *testing.T) {
	s := makeStore(t)
	for _, name := range segmentFiles(t, s.mem) {
		hurt := s.mem.CrashClone(nil)
		in, err := hurt.Open(name)
		require.NoError(t, err)
		size, err := in.Size()
		require.NoError(t, err)
		b := make([]byte, size)
		require.NoError(t, readFull(in, b, 0))
		copied := filepath.Join(filepath.Dir(name), "00000000000000ff"+filepath.Ext(name))
		if strings.Contains(name, sharedPrefix) {
			copied = strings.Replace(name, "-0.", "-9.", 1)
		}
		out, err := hurt.Create(copied)
		require.NoError(t, err)
		_, err = out.WriteAt(b, 0)
		require.NoError(t, err)
		require.False(t, checkHurt(t, s, hurt, name), name)
	}
}

func TestWithoutItsCommitLogNoSegmentIsDeleted(t *testing.T) {
	s := makeStore(t)
	names, err := s.mem.List("/log")
	require.NoError(t, err)
	for _, name := range names {
		if _, ok := parseFileName(name); ok {
			require.NoError(t, s.mem.Remove("/log/"+name))
		}
	}
	before := segmentFiles(t, s.mem)
	_, err = Open(s.mem, "/log", toSegments())
	require.ErrorIs(t, err, shardlog.ErrCorrupt)
	require.ErrorContains(t, err, "is missing, or cut")
	require.NoError(t, s.mem.Remove("/log/"+headName))
	_, err = Open(s.mem, "/log", toSegments())
	require.ErrorIs(t, err, shardlog.ErrCorrupt)
	require.ErrorContains(t, err, "the commit log is missing")
	require.Equal(t, before, segmentFiles(t, s.mem))
}

func TestWithoutItsOldestCommitLogFileAndItsHeadALogIsToldWhatIsMissing(t *testing.T) {
	mem := vfs.NewMem()
	e, err := Open(mem, "/log", Config{FileSize: 4096})
	require.NoError(t, err)
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	for i := range int64(30) {
		b := shardlogtest.Batch(i+1, i)
		_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
		require.NoError(t, err)
		b.Rows.Release()
	}
	require.NoError(t, e.Close())
	require.NoError(t, mem.Remove(fileName("/log", 1)))
	_, err = Open(mem, "/log", Config{FileSize: 4096})
	require.ErrorIs(t, err, shardlog.ErrCorrupt)
	require.ErrorContains(t, err, fileName("/log", 1))
	require.NoError(t, mem.Remove("/log/"+headName)) // it goes on without what is missing when it is told to
	e, err = Open(mem, "/log", Config{FileSize: 4096})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	got, err := shardlogtest.ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrCorrupt)
	require.Empty(t, got)
}
