package local

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/shardlogtest"
	"github.com/penstock/penstock/core/vfs"
)

// fill appends entries of one value each, 0 and up, to a new log, and moves all that can be moved.
func fill(tb testing.TB, e *Engine, id shardlog.LogID, entries int64) {
	tb.Helper()
	require.NoError(tb, e.Create(tb.Context(), id))
	w, _, err := e.Claim(tb.Context(), id, 1, "test")
	require.NoError(tb, err)
	var futures []*shardlog.Future
	for i := range entries {
		b := shardlogtest.Batch(i+1, i)
		futures = append(futures, w.Append(shardlog.Anywhere, b))
		b.Rows.Release()
	}
	for _, f := range futures {
		_, err := f.Wait(tb.Context())
		require.NoError(tb, err)
	}
	require.NoError(tb, e.tidy())
}

func open(tb testing.TB, fs vfs.FS, dir string, cfg Config) *Engine {
	tb.Helper()
	e, err := Open(fs, dir, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, e.Close()) })
	return e
}

// onDisk are the segments of a log in a folder of the operating system, its own and those it shares.
func onDisk(tb testing.TB, dir string) []string {
	tb.Helper()
	own, err := filepath.Glob(filepath.Join(dir, segFolder, "*", "*"+segSuffix))
	require.NoError(tb, err)
	shared, err := filepath.Glob(filepath.Join(dir, segFolder, "*"+segSuffix))
	require.NoError(tb, err)
	return append(own, shared...)
}

func TestASegmentIsAnArrowFile(t *testing.T) {
	for _, compression := range []string{"none", "lz4", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			dir := t.TempDir()
			e := open(t, vfs.OS{}, dir, Config{FileSize: 1 << 20, GroupSize: 64 << 10, LogSize: 1, OwnSegment: 1, Compression: compression})
			fill(t, e, "log", 5_000)
			names := onDisk(t, dir)
			require.NotEmpty(t, names)
			next := int64(0)
			for _, name := range names {
				f, err := os.Open(name)
				require.NoError(t, err)
				r, err := ipc.NewFileReader(f)
				require.NoError(t, err)
				require.Equal(t, []string{"n", "s"}, []string{r.Schema().Field(0).Name, r.Schema().Field(1).Name})
				for i := range r.NumRecords() {
					rec, err := r.Record(i)
					require.NoError(t, err)
					if i+1 < r.NumRecords() {
						require.Greater(t, rec.NumRows(), int64(1000), "entries are gathered")
					}
					for row, v := range rec.Column(0).(*array.Int64).Int64Values() {
						require.Equal(t, next, v)
						require.Equal(t, fmt.Sprint("v", v), rec.Column(1).(*array.String).Value(row))
						next++
					}
				}
				require.NoError(t, r.Close())
			}
			require.Greater(t, next, int64(2_000))
		})
	}
}

func TestTheFooterHoldsTheIndex(t *testing.T) {
	dir := t.TempDir()
	e := open(t, vfs.OS{}, dir, Config{FileSize: 1 << 20, GroupSize: 64 << 10, LogSize: 1, OwnSegment: 1})
	fill(t, e, "log", 4_000)
	for _, name := range onDisk(t, dir) {
		side, err := os.ReadFile(indexName(name))
		require.NoError(t, err)
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		footer, ok := cutFooter(b)
		require.True(t, ok)
		text, err := metadata(footer, metaIndex)
		require.NoError(t, err)
		require.Equal(t, base64.StdEncoding.EncodeToString(side), text)
		sums, err := metadata(footer, metaChecksum)
		require.NoError(t, err)
		x, err := decodeIndex(side)
		require.NoError(t, err)
		require.Len(t, strings.Fields(sums), len(x.blocks))
		require.True(t, bytes.HasPrefix(b, []byte(arrowMagic)))
	}
}

// TestPyarrowReadsSegments needs a Python that has pyarrow, named by PENSTOCK_PYTHON.
func TestPyarrowReadsSegments(t *testing.T) {
	python := os.Getenv("PENSTOCK_PYTHON")
	if python == "" {
		t.Skip("PENSTOCK_PYTHON names no Python")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import pyarrow").CombinedOutput(); err != nil {
		if os.Getenv("REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("%s has no pyarrow: %s", python, out)
		}
		t.Skipf("%s has no pyarrow", python)
	}
	dir := t.TempDir()
	for _, compression := range []string{"none", "lz4", "zstd"} {
		e := open(t, vfs.OS{}, filepath.Join(dir, compression), Config{FileSize: 1 << 20, GroupSize: 64 << 10, LogSize: 1, OwnSegment: 1, Compression: compression})
		fill(t, e, "log", 5_000)
		names := onDisk(t, filepath.Join(dir, compression))
		script := `
import sys, pyarrow as pa, pyarrow.ipc as ipc
rows = []
for name in sys.argv[1:]:
    r = ipc.open_file(name)
    for i in range(r.num_record_batches):
        b = r.get_batch(i)
        b.validate(full=True)
        rows += b.column("n").to_pylist()
        assert b.column("s").to_pylist() == ["v%d" % v for v in b.column("n").to_pylist()]
    t = ipc.open_stream(pa.memory_map(name).read_buffer()[8:]).read_all()
    assert t.equals(r.read_all())
assert rows == list(range(len(rows)))
print("pyarrow", pa.__version__, "files", len(sys.argv) - 1, "rows", len(rows))
`
		out, err := exec.CommandContext(t.Context(), python, append([]string{"-c", script}, names...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		t.Logf("%s: %s", compression, out)
	}
}

func TestTheLogKeepsItsSize(t *testing.T) {
	dir := t.TempDir()
	e := open(t, vfs.OS{}, dir, Config{FileSize: 64 << 10, GroupSize: 4096, LogSize: 256 << 10, OwnSegment: 32 << 10, MoveRate: 1 << 40})
	fill(t, e, "large", 2000)
	fill(t, e, "small", 20)
	fill(t, e, "larger", 3000)
	names, err := filepath.Glob(filepath.Join(dir, "commit-*"))
	require.NoError(t, err)
	size := int64(0)
	for _, name := range names {
		st, err := os.Stat(name)
		require.NoError(t, err)
		size += st.Size()
	}
	require.LessOrEqual(t, size, int64(256<<10))
	require.Greater(t, size, int64(128<<10), "it is not emptied either")
	shared, err := filepath.Glob(filepath.Join(dir, segFolder, sharedPrefix+"*"))
	require.NoError(t, err)
	require.NotEmpty(t, shared)
	require.NoDirExists(t, filepath.Join(dir, segFolder, "small"), "it has not enough for a segment of its own")
	for id, want := range map[shardlog.LogID]int{"large": 2000, "small": 20, "larger": 3000} {
		got, err := shardlogtest.ReadAll(t, e, id, 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Len(t, got, want)
		require.IsIncreasing(t, got)
	}
	require.NoError(t, e.Trim(t.Context(), "large", shardlog.MaxPos))
	require.NoError(t, e.Delete(t.Context(), "larger"))
	require.NoError(t, e.tidy())
	require.NoDirExists(t, filepath.Join(dir, segFolder, "large"))
	require.NoDirExists(t, filepath.Join(dir, segFolder, "larger"))
}

func TestEntriesInSegmentsTakeNoMemoryEach(t *testing.T) {
	e := open(t, vfs.NewMem(), "/log", Config{FileSize: 64 << 10, GroupSize: 4096, LogSize: 1, OwnSegment: 1})
	fill(t, e, "log", 5_000)
	refs, runs := inMemory(e, "log")
	require.Less(t, refs, 2_000)
	require.Positive(t, runs)
	require.Less(t, runs, 100)
}

func TestManySegmentsAreReadWithFewFilesOpen(t *testing.T) {
	mem := vfs.NewMem()
	e := open(t, mem, "/log", Config{FileSize: 4096, GroupSize: 1, LogSize: 1, OwnSegment: 1, HotTail: 1})
	fill(t, e, "log", 3000)
	got, err := shardlogtest.ReadAll(t, e, "log", 0)
	require.ErrorIs(t, err, shardlog.ErrTip)
	require.Len(t, got, 3000)
	_, runs := inMemory(e, "log")
	require.Greater(t, runs, 2*maxOpenSegments)
	e.segs.mu.Lock()
	open := e.segs.order.Len()
	e.segs.mu.Unlock()
	require.LessOrEqual(t, open, maxOpenSegments)
}

// TestReadersGoOnOnceThereAreDescriptors reads while the process has none left.
func TestReadersGoOnOnceThereAreDescriptors(t *testing.T) {
	mem := vfs.NewMem()
	e, err := Open(mem, "/log", toSegments())
	require.NoError(t, err)
	fill(t, e, "log", 200)
	require.NoError(t, e.Close())
	require.NotEmpty(t, segmentFiles(t, mem))
	e = open(t, mem, "/log", toSegments()) // which has none of them open
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	refused := 0
	mem.Fail(func(op, name string) error {
		if op == "open" && strings.Contains(name, segFolder) && refused < 3 {
			refused++
			return syscall.EMFILE
		}
		return nil
	})
	for n := 0; n < 200; {
		_, err := c.Next(t.Context())
		if err == nil {
			n++
			continue
		}
		require.True(t, vfs.Scarce(err), err)
	}
	require.Equal(t, 3, refused)
}

// inMemory is how many entries of a log are known one by one, and how many runs.
func inMemory(e *Engine, id shardlog.LogID) (refs, runs int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.logs[id].refs), len(e.logs[id].runs)
}

func TestReadersGoOnWhileTheirEntriesMove(t *testing.T) {
	e := open(t, vfs.NewMem(), "/log", Config{FileSize: 4096, LogSize: 1, OwnSegment: 1, HotTail: 1})
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	const entries = 1500
	done := make(chan error, 3)
	for range 3 {
		go func() {
			done <- func() error {
				c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{})
				if err != nil {
					return err
				}
				for want := range int64(entries) {
					en, err := c.Next(t.Context())
					if err != nil {
						return err
					}
					if got := shardlogtest.Values(en); got[0] != want {
						return fmt.Errorf("got %d, want %d", got[0], want)
					}
				}
				return c.Close()
			}()
		}()
	}
	for i := range int64(entries) {
		b := shardlogtest.Batch(i+1, i)
		_, err := w.Append(shardlog.Anywhere, b).Wait(t.Context())
		require.NoError(t, err)
		b.Rows.Release()
	}
	for range 3 {
		require.NoError(t, <-done)
	}
}

func TestTypesThatCannotBeGatheredStandAlone(t *testing.T) {
	e := open(t, vfs.NewMem(), "/log", Config{FileSize: 4096, LogSize: 1, OwnSegment: 1})
	require.NoError(t, e.Create(t.Context(), "log"))
	w, _, err := e.Claim(t.Context(), "log", 1, "test")
	require.NoError(t, err)
	union := arrow.SparseUnionOf([]arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String}}, []arrow.UnionTypeCode{0})
	s := arrow.NewSchema([]arrow.Field{{Name: "v", Type: union}}, nil)
	require.False(t, gathers(s))
	for i := range 40 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		b.Field(0).(*array.SparseUnionBuilder).Append(0)
		b.Field(0).(*array.SparseUnionBuilder).Child(0).(*array.StringBuilder).Append(fmt.Sprint("text ", i))
		rec := b.NewRecord()
		b.Release()
		_, err := w.Append(shardlog.Anywhere, shardlog.Batch{Rows: rec}).Wait(t.Context())
		require.NoError(t, err)
		rec.Release()
	}
	require.NoError(t, e.tidy())
	c, err := e.Read(t.Context(), "log", 0, shardlog.ReadOpts{NoWait: true})
	require.NoError(t, err)
	for i := range 40 {
		en, err := c.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("text ", i), en.Rows.Column(0).(*array.SparseUnion).Field(0).(*array.String).Value(0))
	}
	require.NoError(t, c.Close())
}

func TestALogOfFormat1Opens(t *testing.T) {
	mem := vfs.NewMem()
	names, err := filepath.Glob("testdata/format1/*.log")
	require.NoError(t, err)
	require.Len(t, names, 3)
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		f, err := mem.Create(filepath.Join("/log", filepath.Base(name)))
		require.NoError(t, err)
		_, err = f.WriteAt(b, 0)
		require.NoError(t, err)
	}
	for range 3 { // as it is, with its files moved, and without them
		e, err := Open(mem, "/log", toSegments())
		require.NoError(t, err)
		got, err := shardlogtest.ReadAll(t, e, "log", 0)
		require.ErrorIs(t, err, shardlog.ErrTip)
		require.Equal(t, []int64{5, 6, 7, 8, 9, 10, 11}, got)
		got, _ = shardlogtest.ReadAll(t, e, "sealed", 0)
		require.Len(t, got, 12)
		tail, err := e.Tail(t.Context(), "sealed")
		require.NoError(t, err)
		require.True(t, tail.Sealed)
		require.NoError(t, e.tidy())
		require.NoError(t, e.Close())
	}
	require.NotEmpty(t, segmentFiles(t, mem))
}

func TestAConfigIsChecked(t *testing.T) {
	_, err := Open(vfs.NewMem(), "/log", Config{Compression: "gzip"})
	require.ErrorContains(t, err, `"gzip" must be none, lz4 or zstd`)
	_, err = Open(vfs.NewMem(), "/log", Config{LogSize: -1})
	require.ErrorContains(t, err, "must be positive")
}
