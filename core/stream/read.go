package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
)

// Reader reads one shard in order. It is not safe for concurrent use.
type Reader struct {
	stream  *Stream
	shard   Shard
	keep    time.Duration // the stream's retention, as it was last seen
	cursor  shardlog.Cursor
	skip    int64 // rows with an index up to this one are not wanted
	horizon bool  // still at the trim horizon: rows that have expired are passed over
	again   bool  // rows that have expired are read too
	ended   context.Context
	rows    int64 // bounds of a batch: it is no longer than the entry that reaches one
	bytes   int64
	sealed  []bool // see Sealed
	err     error  // met after the last batch

	held  shardlog.Entry // could not be read when it came: the next call begins with it
	holds bool
}

// Read returns a reader of the records after a sequence number; the empty one reads from the trim horizon.
// shardlog.ErrTrimmed, here or from Next, says that some of the records after it are gone or have expired.
func (s *Stream) Read(ctx context.Context, id core.ShardID, after core.SequenceNumber) (*Reader, error) {
	return s.reader(ctx, id, after, after == "", shardlog.ReadOpts{})
}

// Reread is Read of records that were read before: those that have expired since are read as long as they are stored. The
// empty sequence number is before every record.
func (s *Stream) Reread(ctx context.Context, id core.ShardID, after core.SequenceNumber) (*Reader, error) {
	r, err := s.reader(ctx, id, after, false, shardlog.ReadOpts{})
	if err == nil {
		r.again = true
	}
	return r, err
}

// reader returns a reader of the records after a sequence number, or from the trim horizon.
func (s *Stream) reader(ctx context.Context, id core.ShardID, after core.SequenceNumber, horizon bool, opts shardlog.ReadOpts) (*Reader, error) {
	v, sh, err := s.shardNow(ctx, id)
	if err != nil {
		return nil, err
	}
	r := &Reader{stream: s, shard: sh, keep: v.Retention, skip: -1, horizon: horizon, rows: batchRows, bytes: batchBytes}
	from := shardlog.Pos(0)
	if !horizon {
		if after == "" {
			after = sh.Start
		}
		if r.skip, err = v.parse(sh, after); err != nil {
			return nil, err
		}
		from = max(1, shardlog.Pos(r.skip>>rowBits-sh.Base)) // 0 would be the horizon, wherever it is
		tail, err := s.store.engine.Tail(ctx, sh.Log)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", id, err)
		}
		// The entry of the record read last may be trimmed; nothing is missing as long as the one after it is there.
		if from < tail.First && from+1 >= tail.First {
			from = tail.First
		}
	}
	if r.cursor, err = s.store.engine.Read(ctx, sh.Log, from, opts); err != nil {
		return nil, fmt.Errorf("read %s: %w", id, err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	r.ended = ended
	return r, nil
}

// expires is the arrival time before which records cannot be read.
func (r *Reader) expires(ctx context.Context) int64 {
	if r.again {
		return math.MinInt64
	}
	if v, err := r.stream.view(ctx); err == nil {
		r.keep = v.Retention
	}
	return r.stream.store.horizon(r.keep).UnixMilli()
}

// Within makes batches smaller than they are else: of about so many records, and bytes of keys and data.
func (r *Reader) Within(records, bytes int64) {
	r.rows, r.bytes = min(records, batchRows), min(bytes, batchBytes)
}

// Bounds of one batch.
const (
	batchRows  = 8192
	batchBytes = 4 << 20
)

// Next returns the next records, at least one, waiting for them at the tip; what is durable already comes together, in
// batches of thousands of rows. io.EOF: the shard is closed and read to its end, and its children are there. After an
// error that may pass, such as that of a key, the next call goes on with the same records.
func (r *Reader) Next(ctx context.Context) (core.Batch, error) {
	if r.err != nil {
		return core.Batch{}, r.err
	}
	g := r.gather(ctx)
	defer g.release()
	for g.rows < r.rows && g.bytes < r.bytes {
		wait := ctx
		if g.rows > 0 {
			wait = r.ended // only what is there
		}
		en, err := r.entry(wait)
		if err != nil {
			if g.rows == 0 && isEnd(err) {
				if cerr := r.stream.closed(ctx, r.shard.ID); cerr != nil {
					return core.Batch{}, cerr
				}
			}
			if g.rows == 0 {
				return core.Batch{}, err
			}
			if !errors.Is(err, context.Canceled) && !isEnd(err) { // the cursor says again that it is at the end
				r.err = err // after what was gathered
			}
			break
		}
		if err := g.add(en, r.skip); err != nil {
			r.held, r.holds = en, true
			if g.rows == 0 {
				return core.Batch{}, err
			}
			break
		}
	}
	r.horizon, r.sealed = false, g.sealed
	return g.batch()
}

// Sealed says which records of the batch that Next returned last are stored encrypted; those behind its end are not.
func (r *Reader) Sealed() []bool { return r.sealed }

// entry is the next one, or the one that could not be read before.
func (r *Reader) entry(ctx context.Context) (shardlog.Entry, error) {
	if r.holds {
		r.holds = false
		return r.held, nil
	}
	return r.cursor.Next(ctx)
}

// Close gives up what the reader holds.
func (r *Reader) Close() error { return r.cursor.Close() }

// gather puts entries together.
type gather struct {
	shard    Shard
	expires  int64 // rows that arrived before have expired,
	passOver bool  // and are passed over as long as there are no others
	unseal   func(*array.String, *array.Binary) (keys, data arrow.Array, err error)
	rows     int64
	bytes    int64
	handles  []int64
	sealed   []bool           // which rows are encrypted; those behind its end are not
	cols     [3][]arrow.Array // as stored
}

func (r *Reader) gather(ctx context.Context) gather {
	return gather{shard: r.shard, expires: r.expires(ctx), passOver: r.horizon, unseal: func(keys *array.String, data *array.Binary) (k, d arrow.Array, err error) {
		return r.stream.unseal(ctx, r.shard, keys, data)
	}}
}

func (g *gather) release() {
	for _, cols := range g.cols {
		for _, c := range cols {
			c.Release()
		}
	}
}

func (g *gather) add(en shardlog.Entry, skip int64) error {
	rs, err := rowsOf(en.Rows)
	if err != nil {
		return err
	}
	first := index(g.shard.Base, en.Pos, 0)
	from := int64(0)
	if skip >= first {
		from = min(skip-first+1, int64(rs.len()))
	}
	if from < int64(rs.len()) && rs.arrival(int(from)) < g.expires { // arrival times never fall
		if !g.passOver || g.rows > 0 {
			return fmt.Errorf("%s: records after %s are past the retention; a longer one, set within minutes, brings them back: %w",
				g.shard.ID, g.shard.numbering().At(first+from, rs.arrival(int(from))), shardlog.ErrTrimmed)
		}
		from = int64(rs.since(g.expires))
	}
	n := int64(rs.len()) - from
	if n == 0 {
		return nil
	}
	keys, data := array.NewSlice(rs.keys, from, from+n).(*array.String), array.NewSlice(rs.data, from, from+n).(*array.Binary)
	defer keys.Release()
	defer data.Release()
	k, d, err := g.unseal(keys, data)
	if err != nil {
		return err
	}
	g.cols[0] = append(g.cols[0], array.NewSlice(rs.arrivals, from, from+n))
	g.cols[1], g.cols[2] = append(g.cols[1], k), append(g.cols[2], d)
	for i := range n {
		g.handles = append(g.handles, first+from+i)
	}
	if k != arrow.Array(keys) {
		g.seal(keys)
	}
	g.rows += n
	for _, c := range []int{1, 2} {
		g.bytes += core.ValueBytes(g.cols[c][len(g.cols[c])-1])
	}
	return nil
}

// seal notes which of the rows that are added are encrypted: their stored keys are empty.
func (g *gather) seal(keys *array.String) {
	g.sealed = append(g.sealed, make([]bool, g.rows-int64(len(g.sealed)))...)
	for i := range keys.Len() {
		g.sealed = append(g.sealed, keys.ValueLen(i) == 0)
	}
}

// batch is what was gathered, as a raw batch.
func (g *gather) batch() (core.Batch, error) {
	mem := memory.DefaultAllocator
	var cols [3]arrow.Array
	for i := range cols {
		if len(g.cols[i]) == 1 {
			g.cols[i][0].Retain()
			cols[i] = g.cols[i][0]
			continue
		}
		c, err := array.Concatenate(g.cols[i], mem)
		if err != nil {
			return core.Batch{}, fmt.Errorf("put entries of %s together: %w", g.shard.ID, err)
		}
		cols[i] = c
	}
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	handles := array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, len(g.handles),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(g.handles))}, nil, 0, 0))
	ords := array.NewInt32Data(array.NewData(arrow.PrimitiveTypes.Int32, len(g.handles),
		[]*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 4*len(g.handles)))}, nil, 0, 0))
	rec := array.NewRecord(rawSchema, []arrow.Array{handles, ords, cols[0], cols[1], cols[2]}, g.rows)
	handles.Release()
	ords.Release()
	b := core.Batch{
		Shard: g.shard.ID, Records: g.rows, Bytes: g.bytes, Rows: rec, Sequences: g.shard.numbering(), Range: &g.shard.Range,
	}
	b.Span = core.Span{First: b.SequenceOf(0), Last: b.SequenceOf(int(g.rows) - 1)}
	return b, nil
}

var rawSchema = core.RawSchema()

var _ io.Closer = (*Reader)(nil)
