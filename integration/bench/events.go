package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/core"
)

const eventsFile = "events.ndjson"

// writeEvents makes a file of made-up events, one a line.
func writeEvents(path string, size int64) (err error) {
	g, err := generator.New(generator.Config{})
	if err != nil {
		return err
	}
	f, err := os.Create(path) //nolint:gosec // in the bench's folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var buf []byte
	for i := int64(0); size > 0; i++ {
		if _, buf, err = g.Event(buf[:0], i); err != nil {
			return err
		}
		buf = append(buf, '\n')
		size -= int64(len(buf))
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return w.Flush()
}

// lines are the offsets at which the lines of text begin, and its end.
func lines(text []byte) []int32 {
	out := []int32{0}
	for at := 0; at < len(text); {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			n = len(text) - at - 1
		}
		at += n + 1
		out = append(out, int32(at)) //nolint:gosec // the bench's file is below 2 GB
	}
	return out
}

// rawBatches calls f with the lines of text as raw batches of at most that many records. The text is not copied.
func rawBatches(text []byte, each int, f func(core.Batch) error) error {
	offsets := lines(text)
	whole := memory.NewBufferBytes(text)
	for from := 0; from < len(offsets)-1; from += each {
		n := min(each, len(offsets)-1-from)
		d := array.NewData(arrow.BinaryTypes.Binary, n, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets[from : from+n+1])), whole}, nil, 0, 0)
		data := array.MakeFromData(d)
		d.Release()
		cols := []arrow.Array{
			zeros(arrow.PrimitiveTypes.Int64, n, 8), zeros(arrow.PrimitiveTypes.Int32, n, 4), zeros(core.ArrivalType, n, 8), keys(n), data,
		}
		b := core.Batch{Shard: "bench", Records: int64(n), Rows: array.NewRecord(core.RawSchema(), cols, int64(n))}
		for _, c := range cols {
			c.Release()
		}
		err := f(b)
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func zeros(t arrow.DataType, n, width int) arrow.Array {
	d := array.NewData(t, n, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, n*width))}, nil, 0, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

func keys(n int) arrow.Array {
	d := array.NewData(arrow.BinaryTypes.String, n, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 4*(n+1))), memory.NewBufferBytes(nil)}, nil, 0, 0)
	defer d.Release()
	return array.MakeFromData(d)
}
