package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
)

// Bounds of what a feed has read and not put yet, besides what it is putting.
const (
	feedRecords = 8192
	feedBytes   = 4 << 20
)

// stdinKey is the partition key of every record of standard input.
const stdinKey = "stdin"

// feed puts records into a stream. While some are on their way the next ones gather, so that a slow input is put record
// by record and a fast one in large entries.
type feed struct {
	ended context.Context // when everything is put, or cannot be

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	open    chunk // gathers
	eof     bool  // nothing more will gather
	failed  error
}

// chunk is records that are put together.
type chunk struct {
	records []stream.Record
	data    []byte
	at      int64 // where the first one begins in the input
}

// startFeed puts the records of in until they end, something fails or close is called.
func startFeed(to *stream.Stream, in *file.Records) *feed {
	ended, end := context.WithCancel(context.Background())
	f := &feed{ended: ended}
	f.changed = sync.NewCond(&f.mu)
	go func() {
		f.stop(f.read(in))
		_ = in.Close() // it was only read
	}()
	go func() {
		defer end()
		if err := f.put(to); err != nil {
			f.stop(err)
		}
	}()
	return f
}

// close ends the feed without waiting for its input, which may never come. What gathered is put, since nobody can read it
// again. Invariant 7.
func (f *feed) close() {
	f.stop(nil)
	<-f.ended.Done()
}

// err is what kept the feed from putting everything.
func (f *feed) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// stop ends the gathering. The first error counts.
func (f *feed) stop(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.eof = true
	if f.failed == nil {
		f.failed = err
	}
	f.changed.Broadcast()
}

// read gathers the records of in.
func (f *feed) read(in *file.Records) error {
	for {
		record, at, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("standard input: what stands before it is delivered: %w", err)
		case len(record)+len(stdinKey) > stream.MaxMaxRecord:
			return fmt.Errorf("standard input: the record at byte %d has %d bytes, and one may have %d: what stands before it is delivered; split it and pipe the rest again: %w",
				at, len(record), stream.MaxMaxRecord-len(stdinKey), core.ErrInvalid)
		}
		if !f.add(record, at) {
			return nil
		}
	}
}

// add gathers one record; false when nothing more is wanted.
func (f *feed) add(record []byte, at int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.eof && (len(f.open.records) >= feedRecords || len(f.open.data) >= feedBytes) {
		f.changed.Wait()
	}
	if f.eof {
		return false
	}
	if len(f.open.records) == 0 {
		f.open.at = at
	}
	from := len(f.open.data)
	f.open.data = append(f.open.data, record...)
	f.open.records = append(f.open.records, stream.Record{Key: stdinKey, Data: f.open.data[from:len(f.open.data):len(f.open.data)]})
	f.changed.Signal()
	return true
}

// put puts what gathered until nothing more does.
func (f *feed) put(to *stream.Stream) error {
	var c chunk
	for f.next(&c) {
		for left := c.records; len(left) > 0; {
			n, err := putEntry(to, left)
			if errors.Is(err, core.ErrThrottled) { // none of them was put; to put waits for room
				continue
			}
			if err != nil {
				return fmt.Errorf("standard input: what stands behind byte %d may not be put: %w", c.at, err)
			}
			left = left[n:]
		}
	}
	return nil
}

// entryBytes is what one entry of a shard takes of records, about.
const entryBytes = 1 << 20

// putEntry puts as many of the records as go into one entry, all or none, and returns how many.
func putEntry(to *stream.Stream, records []stream.Record) (n int, err error) {
	for size := 0; n < len(records) && size < entryBytes; n++ {
		size += len(records[n].Data)
	}
	results, err := to.Put(context.Background(), records[:n])
	for i := 0; err == nil && i < len(results); i++ {
		err = results[i].Err
	}
	return n, err
}

// next waits for what gathered and swaps it for c, which was put; false at the end.
func (f *feed) next(c *chunk) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.open.records) == 0 && !f.eof {
		f.changed.Wait()
	}
	*c, f.open = f.open, chunk{records: c.records[:0], data: c.data[:0]}
	f.changed.Broadcast()
	return len(c.records) > 0
}
