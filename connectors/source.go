package connectors

import (
	"context"
	"errors"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Shard is one ordered run of records of a source.
type Shard struct {
	ID      core.ShardID
	Parents []core.ShardID
	Closed  bool                // no record will be added
	Last    core.SequenceNumber // of the last record when it was listed; empty if it has none
}

// StartKind says where a pipeline begins in shards that it has no checkpoint for.
type StartKind string

// The kinds of starts; their values are those of the YAML.
const (
	StartTrimHorizon StartKind = "trim_horizon"
	StartLatest      StartKind = "latest"
	StartAt          StartKind = "at"
	StartAfter       StartKind = "after"
)

// Start is a place to begin at.
type Start struct {
	Kind  StartKind
	At    time.Time           // of StartAt
	After core.SequenceNumber // of StartAfter
	Sub   *int64              // of StartAfter: within that record, after the user record with this index
}

// Source is a set of shards that can be read again from any sequence number. What cannot be read again (standard
// input, a random generator) is first written to a stream, and that is the source. Safe for concurrent use.
type Source interface {
	// ID names this set of shards, and a stream that is deleted and made again has another: checkpoints are keyed by it.
	ID() string
	// Shards lists the shards that can be read, parents before children.
	Shards(ctx context.Context) ([]Shard, error)
	// Resolve turns a start into the sequence number to read after; empty means from the first record kept.
	Resolve(ctx context.Context, shard core.ShardID, start Start) (core.SequenceNumber, error)
	// Read returns a reader of the records after the given sequence number. core/shardlog.ErrTrimmed says that some of
	// them are gone.
	Read(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error)
	Close() error
}

// Noting is the optional capability of a source that keeps rows of its own of what was planned. Its shards begin where
// they begin, however much of them is gone.
type Noting interface {
	// Note is what is written with the plan of spans, or with the move of their checkpoints.
	Note(ctx context.Context, spans []PlanSpan) ([]control.Write, error)
}

// Placing is the optional capability of a source whose records are found by other means than their shard's name.
type Placing interface {
	// Place says, for people, where the records of a shard are: the path of a file.
	Place(shard core.ShardID) string
}

// SourceRows is where the rows begin that a source keeps of its own for a pipeline, until that is reset.
func SourceRows(pipeline string) string { return pipelinePrefix(pipeline) + "files/" }

// Expiring is the optional capability of a source whose records may go. What its readers answer with
// core/shardlog.ErrTrimmed is then counted as lost, and the reading goes on.
type Expiring interface {
	// Reread is Read of records that were read before: those that have expired since are read as long as they are stored.
	// Its reader does not wait: where nothing more is there, what was read before is gone, and Next returns
	// core/shardlog.ErrTrimmed. It need not notice that others before those that are there went: who rereads counts.
	Reread(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error)
	// Gap is what of the records after a sequence number nobody can read any more; its Through is empty where there is
	// none. core/shardlog.ErrTrimmed says that the whole shard is gone; the gap may say why.
	Gap(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Gap, error)
}

// Pinner is the optional capability of an Expiring source that can keep records. Where a source cannot, as one that is
// another's cannot, an open plan whose records expire is lost.
type Pinner interface {
	// Pin is the row that keeps the records of a plan's spans for as long as it stands in the control store. It is
	// committed with the plan, which by names, and goes with it: see core/stream.Unpin.
	Pin(by string, spans []PlanSpan) control.Write
}

// Chaser is the optional capability of a source that cannot say where its open shards end.
type Chaser interface {
	// Chase is Read, whose reader returns ErrCaughtUp when it has returned every record that was there when it began.
	Chase(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (Reader, error)
}

// Lagging is the optional capability of a source that can tell how far a reader would be behind.
type Lagging interface {
	// Lag is the age of the first record after a sequence number; 0 where there is none.
	Lag(ctx context.Context, shard core.ShardID, after core.SequenceNumber) (time.Duration, error)
}

// Finite is the optional capability of a source that ends: when every shard was read to io.EOF and Shards shows no new
// one, a pipeline over it is done.
type Finite interface{ Finite() bool }

// ErrCaughtUp is returned by Reader.Next of a finite source, or of a Chaser, where its shard stays open and yet nothing
// more comes in this run. A later run goes on from the checkpoint.
var ErrCaughtUp = errors.New("caught up")

// Reader reads one shard in order. It is not safe for concurrent use.
type Reader interface {
	// Next returns the next raw batch (core.RawSchema), waiting for records at the tip. The batch is the caller's to
	// release. A batch never splits a record. io.EOF: the shard is closed and read to its end.
	Next(ctx context.Context) (core.Batch, error)
	Close() error
}
