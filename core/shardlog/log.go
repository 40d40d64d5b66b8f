package shardlog

import (
	"context"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
)

// LogID names a log. It is generated, never derived from a user's name, and matches [a-z0-9-]{1,64}.
type LogID string

// Pos is an entry's place in its log. Positions rise along the log and begin at 1; they may have gaps.
type Pos int64

// Anywhere as the expected position of an append, checks nothing.
const Anywhere Pos = -1

// MaxPos is reserved for the end of a log; positions have 43 bits so that a sequence index has 63.
const MaxPos Pos = 1<<43 - 1

// MaxRows is the most rows that one entry may hold; a row's index has 20 bits of the sequence index.
const MaxRows = 1<<20 - 1

// Epoch numbers the claims of a log; a claim with a higher epoch fences every earlier writer.
type Epoch uint64

// WriterID names a writer, for people only.
type WriterID string

// Kind says what an entry is.
type Kind uint8

// The kinds of entries. Their numbers are stored.
const (
	KindOpen Kind = 1 // a claim: its epoch becomes the current one
	KindData Kind = 2 // a batch
	KindSeal Kind = 3 // the end of the log
)

// Batch is what an append stores: rows of any schema, and when the last of them arrived.
type Batch struct {
	Rows    arrow.Record
	Arrival time.Time // of the last row; must not fall along the log. Kept to the millisecond
}

// Entry is one DATA entry as a reader gets it. Its rows belong to the cursor until the next call of Next or Close;
// Retain them to keep them.
type Entry struct {
	Pos   Pos
	Epoch Epoch
	Batch
}

// Tail is where a log ends.
type Tail struct {
	Last    Pos       // of the last entry that counts, of any kind; 0 in an empty log
	First   Pos       // of the first entry that is not trimmed; Last+1 when there is none
	Epoch   Epoch     // the current one; 0 if never claimed
	Arrival time.Time // of the last DATA entry; zero when there never was one
	Sealed  bool
}

// ReadOpts says how a cursor reads.
type ReadOpts struct {
	NoWait bool // at the tip, return ErrTip instead of waiting
}

// Log reads and claims logs. Implementations are safe for concurrent use.
type Log interface {
	// Claim makes the caller the log's only writer by appending OPEN(epoch). It fences every earlier writer and
	// returns once the claim is durable. epoch must be above the current one, else ErrFenced; a sealed log is ErrSealed.
	Claim(ctx context.Context, id LogID, epoch Epoch, by WriterID) (Writer, Tail, error)
	// Read returns a cursor over the durable DATA entries at or after from. From before the trim horizon is ErrTrimmed,
	// at open or at the first Next; from 0 starts at the horizon, wherever it is.
	Read(ctx context.Context, id LogID, from Pos, opts ReadOpts) (Cursor, error)
	// Tail is linearizable: at or past every append acknowledged before the call.
	Tail(ctx context.Context, id LogID) (Tail, error)
}

// Admin makes and removes logs and their entries. What it returned nil for survives power loss.
type Admin interface {
	Create(ctx context.Context, id LogID) error // ErrExists
	// Delete removes the log and fences its writer and cursors with ErrNotFound. Deleting what is not there is no error.
	Delete(ctx context.Context, id LogID) error
	// Find is the position of the first DATA entry that may hold a row that arrived at or after t (the first whose last
	// row did); Last+1 when there is none.
	Find(ctx context.Context, id LogID, t time.Time) (Pos, error)
	// Trim lets the engine delete every DATA entry before pos; First becomes the position after the last of them. Readers standing there get ErrTrimmed. It never moves back.
	Trim(ctx context.Context, id LogID, before Pos) error
}

// Writer appends to one log. It is safe for concurrent use; the order of concurrent appends is the engine's choice.
type Writer interface {
	// Append queues b, which it retains until the future is done, and returns at once. Futures complete in order of
	// position, with nil only when the entry is durable and readable. expect is the position that the entry must get,
	// or Anywhere. Errors are definite (ErrConflict, ErrFenced, ErrSealed, ErrFull: not appended) or ErrUnknown, after
	// which every later append fails with ErrUnknown too.
	Append(expect Pos, b Batch) *Future
	// Seal ends the log after every append queued before, and returns the position of the end. Sealing twice is no error.
	Seal(ctx context.Context) (Pos, error)
	// Close gives the writer up; queued appends complete first. It does not seal.
	Close() error
}

// Cursor walks the entries of one log in order. It is not safe for concurrent use.
type Cursor interface {
	// Next returns the next DATA entry; it waits at the tip until one is durable or ctx ends (with NoWait: ErrTip). What is
	// durable is returned even when ctx has ended.
	// io.EOF: the log is sealed and read to its end. ErrTrimmed: the entries were trimmed under the reader.
	Next(ctx context.Context) (Entry, error)
	Close() error
}

// Engine is what a whole log store offers.
type Engine interface {
	Log
	Admin
	Close() error
}

// Sizer is the optional capability of an engine that can tell how much its entries take.
type Sizer interface {
	// Within is the least position from which on the stored entries before a position take no more than some bytes, as
	// exactly as the engine knows without reading them; it may be later, never earlier.
	Within(ctx context.Context, id LogID, before Pos, bytes int64) (Pos, error)
}

// Roomer is the optional capability of an engine that can tell when it takes more.
type Roomer interface {
	// Room waits while appends of the size of an entry would be refused with core.ErrThrottled, or soon would, and
	// returns early when ctx ends. An append may be refused all the same.
	Room(ctx context.Context) error
}
