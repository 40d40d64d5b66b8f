package parquet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/penstock/penstock/core"
)

// PlanKey is the footer key under which a file says which plan wrote it.
const PlanKey = "penstock.plan"

// Writer encodes the rows of one file. It is used by one goroutine, but pages are compressed beside it. After an error
// it is broken: begin a new file.
type Writer struct {
	out    *bufio.Writer
	cfg    Config
	schema *arrow.Schema
	footer *format.FileMetaData // nil until something is to be written
	cols   []*column
	busy   sync.WaitGroup // pages being compressed
	offset int64          // in the file

	rows  int64
	group int64 // rows of the open row group
}

// New writes rows of schema to out, which is not closed. Nothing is written before the first rows.
func New(out io.Writer, schema *arrow.Schema, cfg Config) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := Check(schema); err != nil {
		return nil, err
	}
	return &Writer{out: bufio.NewWriter(out), cfg: cfg, schema: schema}, nil
}

// open makes the columns once they are needed.
func (w *Writer) open() error {
	if w.footer != nil {
		return nil
	}
	codec, err := w.cfg.codec()
	if err != nil {
		return err
	}
	root, err := nodeOf(w.schema)
	if err != nil {
		return err
	}
	footer, err := newFooter(root)
	if err != nil {
		return err
	}
	for _, spec := range columnsOf(footer.Schema) {
		w.cols = append(w.cols, &column{columnSpec: spec, codec: codec, busy: &w.busy})
	}
	w.footer = footer
	return w.write([]byte(magic))
}

func (w *Writer) write(b []byte) error {
	n, err := w.out.Write(b)
	w.offset += int64(n)
	return err
}

// chunkRows bounds how many rows of a column are encoded in one go, since a page closes only after that.
const chunkRows = 8192

// Write appends the given rows of rec, or all when rows is nil. rec has the schema of the file.
func (w *Writer) Write(rec arrow.Record, rows []int32) error {
	leaves, err := leavesOf(rec)
	if err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	if len(leaves) != len(w.cols) {
		return fmt.Errorf("a batch has %d columns, the file %d", len(leaves), len(w.cols))
	}
	n := len(rows)
	if rows == nil {
		n = int(rec.NumRows())
	}
	for at := 0; at < n; {
		take := min(n-at, int(w.cfg.rowGroupRows()-w.group), chunkRows)
		for i, c := range w.cols {
			if w.group == 0 { // the first rows tell which columns are worth a dictionary
				c.begin(repeats(leaves[i].arr))
			}
			if err := c.add(&leaves[i], rows, at, at+take); err != nil {
				return fmt.Errorf("encode column %v: %w", c.path, err)
			}
		}
		at += take
		w.rows += int64(take)
		w.group += int64(take)
		if w.group >= w.cfg.rowGroupRows() || w.Held() >= maxRowGroupBytes {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush ends the row group that is open, if any, and writes it out.
func (w *Writer) Flush() error {
	if w.group == 0 {
		return nil
	}
	for _, c := range w.cols {
		if err := c.finish(); err != nil {
			return fmt.Errorf("encode column %v: %w", c.path, err)
		}
	}
	w.busy.Wait()
	if len(w.footer.RowGroups) == math.MaxInt16 {
		return fmt.Errorf("a file has at most %d row groups; raise row_group_rows: %w", math.MaxInt16, core.ErrInvalid)
	}
	g := format.RowGroup{NumRows: w.group, FileOffset: w.offset, Ordinal: int16(len(w.footer.RowGroups))} //nolint:gosec // bounded by the rows of a plan
	for _, c := range w.cols {
		chunk, err := w.writeChunk(c)
		if err != nil {
			return fmt.Errorf("write column %v: %w", c.path, err)
		}
		g.Columns = append(g.Columns, chunk)
		g.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		g.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
		c.pages = nil
	}
	w.footer.RowGroups = append(w.footer.RowGroups, g)
	w.footer.NumRows += w.group
	w.group = 0
	return w.out.Flush()
}

// Yield ends the row group that is open, and gives the memory up that the next one would use again.
func (w *Writer) Yield() error {
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range w.cols {
		c.levels, c.plain, c.index = levels{}, nil, nil
	}
	return nil
}

func (w *Writer) writeChunk(c *column) (format.ColumnChunk, error) {
	start := w.offset
	var sizes []pageSize
	for _, p := range c.pages {
		if p.err != nil {
			return format.ColumnChunk{}, p.err
		}
		header, err := thrift.Marshal(new(thrift.CompactProtocol), &p.header)
		if err != nil {
			return format.ColumnChunk{}, err
		}
		sizes = append(sizes, pageSize{w.offset, int64(len(header))})
		if err := errors.Join(w.write(header), w.write(p.body)); err != nil {
			return format.ColumnChunk{}, err
		}
	}
	return c.chunk(start, sizes), nil
}

// SetMetadata puts a key and value into the footer; call it before Close.
func (w *Writer) SetMetadata(key, value string) error {
	if err := w.open(); err != nil {
		return err
	}
	w.footer.KeyValueMetadata = append(w.footer.KeyValueMetadata, format.KeyValue{Key: key, Value: value})
	return nil
}

// Rows is how many were written.
func (w *Writer) Rows() int64 { return w.rows }

// Size estimates how many bytes the file has so far, its open row group included.
func (w *Writer) Size() int64 {
	n := w.offset
	for _, c := range w.cols {
		n += c.encoded()
	}
	return n
}

// Held estimates the memory of the row group that is open.
func (w *Writer) Held() int64 {
	var n int64
	for _, c := range w.cols {
		n += c.held()
	}
	return n
}

// Close writes what is left and the footer. A file without rows is a valid one.
func (w *Writer) Close() error {
	if err := w.open(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	text, err := appendFooter(nil, w.footer)
	if err != nil {
		return fmt.Errorf("write parquet footer: %w", err)
	}
	if err := errors.Join(w.write(text), w.out.Flush()); err != nil {
		return fmt.Errorf("write parquet footer: %w", err)
	}
	return nil
}
