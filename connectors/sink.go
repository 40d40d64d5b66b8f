package connectors

import (
	"context"
	"errors"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/scratch"
)

// Flush names a set of rows that will become visible together.
type Flush struct {
	Pipeline    string
	Incarnation string         // 16 hex digits, new when the pipeline is created or reset
	Number      int64          // the plan's number, reserved before the first row is staged; never reused
	Schema      *arrow.Schema  // of every batch that is added, hidden columns included
	MaxOutputs  int            // Add refuses a batch that needs more with an OutputsError; 0: no bound
	Memory      int64          // about how much the rows may take of it; 0: no bound
	Scratch     *scratch.Space // room on disk for more; nil: none
}

// MaxOutputs is how many outputs a plan has at most, and so how many the rows of one record may need: a sink refuses
// those of a record's rows that would need more, wherever they are met.
const MaxOutputs = 1000

// Sink writes flushes to one destination. Safe for concurrent use.
type Sink interface {
	// Stage opens a place where the rows of f gather; the sink may encode and upload them early, but nothing staged is
	// visible to a reader of the destination.
	Stage(ctx context.Context, f Flush) (Staging, error)
	// Close releases what the sink holds; it does not publish.
	Close(ctx context.Context) error
}

// Staging holds the rows of one flush. It is used by one goroutine.
type Staging interface {
	// Add takes the rows of b, which it borrows. Rows of one shard arrive in order, those of several shards in any
	// order: the outputs' names and rows must not depend on it.
	Add(ctx context.Context, b core.Batch, v *Verdicts) error
	Stats() StagingStats
	// Outputs closes the staging for Add and names what Publish will write, sorted by name: a pure function of the flush
	// and its rows.
	Outputs(ctx context.Context) ([]Output, error)
	// Publish makes the plan's outputs visible and returns nil only when every row is durable at the destination or was
	// handed to decide. It may be called again after an error, and concurrently by two workers for the same plan, and
	// leaves one copy. Rows that the destination refuses for good go to decide, which makes the verdict durable,
	// before the destination commits; rows in p.Rejects are skipped.
	Publish(ctx context.Context, p Plan, decide Decide) error
	// Discard releases everything that was not published. It may be called at any time, more than once.
	Discard() error
}

// Fitter is the optional capability of a staging whose outputs follow from its rows.
type Fitter interface {
	// Fit notes the outputs that the rows of b need, as Add does, but takes no rows; it may be called after Discard. Its
	// error is an OutputsError where they would be more than Flush.MaxOutputs.
	Fit(b core.Batch) error
}

// Spiller is the optional capability of a staging that can give up memory and keep its rows.
type Spiller interface {
	// Spill gives up as much memory as it can. An error leaves the staging broken, as one of Add does.
	Spill(ctx context.Context) error
}

// OutputsError says that a batch needs more outputs than its flush may have. Nothing of it was taken.
type OutputsError struct {
	Rows int // how many of its leading rows need none too many; they end with a record's last row
}

func (e *OutputsError) Error() string { return "the rows need more outputs than a plan may have" }

// StagingStats says how far a staging has grown.
type StagingStats struct {
	Outputs int   // so far, those of Fit included
	Largest int64 // encoded bytes of the largest output so far
	Memory  int64 // bytes held in memory
}

// Decide makes durable that the destination refuses the rows, and puts them among the dead letters. It returns the
// verdict that stands, which is another worker's if that came first: the sink skips exactly these rows.
type Decide func(ctx context.Context, rejects []Reject) ([]Reject, error)

// Reject is a row that the destination refuses for good.
type Reject struct {
	Shard  core.ShardID        `json:"shard"`
	Seq    core.SequenceNumber `json:"seq"`
	Ord    int32               `json:"ord"`
	Code   string              `json:"code"`
	Reason string              `json:"reason"` // the destination's own words
}

// Verifier is the optional capability of a sink that can prove from its own metadata what it holds.
type Verifier interface {
	// Verify reads the pipeline's manifests and compares them with each other and with the outputs: that these are there
	// and say that they have their rows; deep, that every byte of them is as it was written.
	Verify(ctx context.Context, pipeline string, deep bool) (VerifyReport, error)
}

// VerifyReport is what Verify found. A report with no problem proves that each span is there once.
type VerifyReport struct {
	Pipeline     string       `json:"pipeline"`
	Incarnations []string     `json:"incarnations"`
	Plans        int          `json:"plans"`
	Outputs      int          `json:"outputs"`
	Rows         int64        `json:"rows"`
	Bytes        int64        `json:"bytes"`
	Counts       Counts       `json:"counts"`
	Shards       []ShardProof `json:"shards"`
	Problems     []string     `json:"problems"` // gaps, overlaps, missing or differing outputs
	Orphans      []string     `json:"orphans"`  // outputs of this pipeline that no manifest names
}

// ShardProof says from where to where the manifests prove a shard complete.
type ShardProof struct {
	Incarnation string              `json:"incarnation"`
	Source      string              `json:"source"`
	Shard       core.ShardID        `json:"shard"`
	From        core.SequenceNumber `json:"from"`    // excluded; empty is the beginning
	Through     core.SequenceNumber `json:"through"` // included
	Counts      Counts              `json:"counts"`
}

// Prober is the optional capability of a sink that can check its destination before a pipeline starts.
type Prober interface {
	// Probe returns a clear error when the destination cannot take rows: no such bucket, no permission. It writes nothing.
	Probe(ctx context.Context) error
}

// Publisher is the optional capability of a sink that can say whether a plan was published whole.
type Publisher interface {
	// Published reports whether every output of the plan is visible and the destination says that the plan is done. It is
	// asked when the plan's records are gone, so that it cannot be carried out again.
	Published(ctx context.Context, p Plan) (bool, error)
}

// Adopter is the optional capability of a sink whose destination remembers earlier incarnations of a pipeline.
type Adopter interface {
	// Incarnations lists those of the pipeline that left manifests at the destination.
	Incarnations(ctx context.Context, pipeline string) ([]string, error)
}

// Repeater is the optional capability of a sink that can say, for people, what becomes of rows that another incarnation of the
// pipeline writes again: whether its destination has them once or twice then.
type Repeater interface{ Repeats() string }

// Previewer is the optional capability of a sink that can say where rows would go without writing anything.
type Previewer interface {
	// Preview counts the rows of b by the prefix, or whatever the destination has instead, under which they would stand.
	// Rows that the sink would not take are refused into v.
	Preview(f Flush, b core.Batch, v *Verdicts) (map[string]int64, error)
}

// Former is the optional capability of a sink whose destination has a form, such as the columns of a table.
type Former interface {
	// Changes are what the destination needs so that rows of a schema go in. It changes nothing.
	Changes(ctx context.Context, schema *arrow.Schema) ([]Change, error)
}

// Change is one of a destination's form.
type Change struct {
	Statement string `json:"statement"` // in the destination's own language
	Made      bool   `json:"made"`      // by the sink, with the first rows that need it; otherwise it waits until somebody made it
}

// Sweeper is the optional capability of a sink whose destination keeps what was staged by a worker that died.
type Sweeper interface {
	// Sweep removes what the pipeline staged before a time, and never published.
	Sweep(ctx context.Context, pipeline string, before time.Time) error
}

// SweepAfter is the age at which nothing staged can still be needed: no flush is that old.
const SweepAfter = 24 * time.Hour

// Restage marks an error of Publish after which this staging cannot go on: its plan is staged anew, from its spans.
func Restage(err error) error { return &restageError{err} }

// IsRestage reports whether err was marked by Restage.
func IsRestage(err error) bool {
	var r *restageError
	return errors.As(err, &r)
}

type restageError struct{ err error }

func (e *restageError) Error() string { return e.err.Error() }
func (e *restageError) Unwrap() error { return e.err }

// Permanent marks an error that no retry can cure: the pipeline stops with it. Every other error of a sink is retried.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }
