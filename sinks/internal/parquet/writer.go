package parquet

import (
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// PlanKey is the footer key under which a file says which plan wrote it.
const PlanKey = "penstock.plan"

// Writer encodes the rows of one file. It is used by one goroutine. After an error it is broken: begin a new file.
type Writer struct {
	out    io.Writer
	cfg    Config
	schema *arrow.Schema
	w      *parquet.Writer //nolint:staticcheck // the generic one needs a Go type
	cols   []*parquet.ColumnWriter
	values []parquet.Value
	paged  []int64 // rows of each column since its last page

	rows  int64
	group int64 // rows of the open row group
	held  int64 // value bytes of the open row group

	closed bool
}

// New writes rows of schema to out, which is not closed. Nothing is written before the first rows.
func New(out io.Writer, schema *arrow.Schema, cfg Config) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := Check(schema); err != nil {
		return nil, err
	}
	return &Writer{out: out, cfg: cfg, schema: schema}, nil
}

// Write appends the given rows of rec, or all when rows is nil. rec has the schema of the file.
func (w *Writer) Write(rec arrow.Record, rows []int32) error {
	leaves, err := leavesOf(rec)
	if err != nil {
		return err
	}
	if err := w.open(leaves); err != nil {
		return err
	}
	n := len(rows)
	if rows == nil {
		n = int(rec.NumRows())
	}
	for at := 0; at < n; {
		take := min(n-at, int(w.cfg.rowGroupRows()-w.group))
		for i := range leaves {
			if err := w.writeLeaf(&leaves[i], rows, at, at+take); err != nil {
				return err
			}
		}
		at += take
		w.rows += int64(take)
		w.group += int64(take)
		if w.group >= w.cfg.rowGroupRows() || w.held >= maxRowGroupBytes {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	chunkValues           = 4096
	chunkBytes            = 256 << 10
	rowsPerDictionaryPage = 32768
)

// writeLeaf writes rows[from:to] of one column in chunks, since a page closes only between two of them.
func (w *Writer) writeLeaf(l *leaf, rows []int32, from, to int) error {
	col := w.cols[l.column]
	buf, size := w.values[:0], 0
	for r := from; r < to; r++ {
		i := r
		if rows != nil {
			i = int(rows[r])
		}
		before := len(buf)
		buf = l.shred(buf, i)
		size += sizeOf(l, buf[before:])
		if len(buf) < chunkValues && size < chunkBytes && r != to-1 {
			continue
		}
		if _, err := col.WriteRowValues(buf); err != nil {
			return fmt.Errorf("encode column %d: %w", l.column, err)
		}
		w.held += int64(size)
		buf, size = buf[:0], 0
	}
	w.values = buf[:0]
	// A dictionary that outgrew its bound is given up when a page closes; its indexes alone would fill a page too late.
	if w.paged[l.column] += int64(to - from); w.paged[l.column] >= rowsPerDictionaryPage {
		w.paged[l.column] = 0
		if l.size != nil {
			return col.Flush()
		}
	}
	return nil
}

func sizeOf(l *leaf, values []parquet.Value) int {
	if l.size == nil {
		return 8 * len(values)
	}
	size := 0
	for _, v := range values {
		size += 4 + len(v.ByteArray())
	}
	return size
}

// open makes the encoder once the first rows are known: they tell which columns are worth a dictionary.
func (w *Writer) open(leaves []leaf) error {
	if w.w != nil {
		return nil
	}
	codec, err := w.cfg.codec()
	if err != nil {
		return err
	}
	node, err := nodeOf(w.schema, func(i int) encoding.Encoding {
		if i < len(leaves) && repeats(leaves[i].steps[len(leaves[i].steps)-1].arr) {
			return &parquet.RLEDictionary
		}
		return &parquet.Plain
	})
	if err != nil {
		return err
	}
	w.w = parquet.NewWriter(w.out, parquet.NewSchema("penstock", node),
		parquet.Compression(codec), parquet.PageBufferSize(pageBytes), parquet.CreatedBy("penstock", "1", ""),
		parquet.DataPageVersion(1), parquet.DictionaryMaxBytes(maxDictionaryBytes), parquet.WriteBufferSize(0))
	w.cols = w.w.ColumnWriters()
	w.paged = make([]int64, len(w.cols))
	return nil
}

const sampleValues = 1024

// repeats reports whether the first values of a column of strings or bytes recur enough for a dictionary to pay.
func repeats(a arrow.Array) bool {
	var at func(int) string
	switch a := a.(type) {
	case *array.String:
		at = a.Value
	case *array.LargeString:
		at = a.Value
	case *array.Binary:
		at = a.ValueString
	case *array.LargeBinary:
		at = a.ValueString
	default:
		return false
	}
	seen := map[string]struct{}{}
	count := 0
	for i := 0; i < a.Len() && count < sampleValues; i++ {
		if a.IsValid(i) {
			count++
			seen[at(i)] = struct{}{}
		}
	}
	return count < 64 || len(seen)*2 < count
}

// Flush ends the row group that is open, if any, and writes it out.
func (w *Writer) Flush() error {
	if w.group == 0 {
		return nil
	}
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("encode row group: %w", err)
	}
	w.group, w.held = 0, 0
	clear(w.paged)
	return nil
}

// SetMetadata puts a key and value into the footer; call it before Close.
func (w *Writer) SetMetadata(key, value string) error {
	if err := w.open(nil); err != nil {
		return err
	}
	w.w.SetKeyValueMetadata(key, value)
	return nil
}

// Rows is how many were written.
func (w *Writer) Rows() int64 { return w.rows }

// columnBytes is about what the buffers of a column take however little is in them.
const columnBytes = 20 << 10

// Held estimates the memory of the file, which is that of its columns and of the row group that is open.
func (w *Writer) Held() int64 { return w.held + int64(len(w.cols))*columnBytes }

// Close writes what is left and the footer. A file without rows is a valid one.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	if err := w.open(nil); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := w.w.Close(); err != nil {
		return fmt.Errorf("write parquet footer: %w", err)
	}
	w.w, w.cols, w.values, w.closed = nil, nil, nil, true // the file may wait for others
	return nil
}
