package connectors

import (
	"context"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"
)

// Decoder turns the opaque data of records into typed columns. Both methods are pure and safe for concurrent use.
//
// Widening is exact (null to anything; int64 to double where exact; date to timestamp; new fields; structs and lists
// element-wise; nothing widens to string), so that decoding under a wider schema equals decoding under a narrower one
// and casting. Schemas passed here have no hidden columns; the rows returned have.
type Decoder interface {
	// Decode parses raw (core.RawSchema) into rows of schema; one record may make many rows, or none. A record that
	// cannot be parsed is refused into v, whole. Fields that schema cannot hold go to _rescued, which is appended as the
	// last column iff schema has it; drift reports that a wider schema (one that Widen would return) would hold more.
	// Hidden columns are passed on. Span, Records and Bytes of the result are those of raw.
	Decode(ctx context.Context, raw core.Batch, schema *arrow.Schema, v *Verdicts) (rows core.Batch, drift bool, err error)
	// Widen returns the smallest schema that holds what schema holds and also the rows of raw, but for pinned columns,
	// whose types stay, and kinds that do not merge. It returns schema itself when nothing changes. A nil schema is
	// empty: then raw holds the first rows, and of conflicting kinds the commoner wins. Existing columns keep their
	// order, new ones follow in order of appearance.
	Widen(schema *arrow.Schema, raw core.Batch, pinned map[string]bool) (*arrow.Schema, error)
}

// Adviser is the optional capability of a decoder that can tell, of the first records, that it may be set up wrongly.
type Adviser interface {
	// Advise says what to change, or nothing.
	Advise(raw core.Batch) string
}

// advice is the decoder's on the first records.
func (p *Program) advice(raw core.Batch) string {
	if a, ok := p.Decoder.(Adviser); ok {
		raw = p.records(raw)
		defer raw.Release()
		return a.Advise(raw)
	}
	return ""
}

// Transform is one stage of a pipeline, checked against its columns before it runs.
type Transform interface {
	// Bind checks the stage against the columns that it will be given (hidden ones included) and returns what runs
	// it. A column that the schema does not have is null. The error names the column and the cure.
	Bind(in *arrow.Schema) (Stage, error)
	// Columns names the input columns whose types matter to the stage; they are pinned when the first plan is made.
	Columns() []string
}

// Checker is the optional capability of a transform that can tell a misspelt column where all columns are known.
type Checker interface {
	// Check is the error of a stage that names a column which in, that has all there can be, does not have.
	Check(in *arrow.Schema) error
}

// Stage is a bound transform. It is pure and safe for concurrent use.
type Stage interface {
	// Schema is that of the batches Apply returns.
	Schema() *arrow.Schema
	// Apply returns the rows that go on, as a new batch that the caller releases; b stays the caller's. Rows that
	// cannot go on are refused into v; rows that a filter drops are counted there.
	Apply(ctx context.Context, b core.Batch, v *Verdicts) (core.Batch, error)
}

// Refusal is a row that cannot go on, and why. It becomes a dead letter.
type Refusal struct {
	Handle int64  // of the record, within its raw batch
	Ord    int32  // of the row within its record; 0 where the whole record is refused
	Stage  string // decode, stages[2].compute
	Code   string // short and stable: bad_json, overflow, division_by_zero
	Reason string // for people; names the expression, column or byte offset
}

// Verdicts collects what became of rows that did not go on. It belongs to one goroutine.
type Verdicts struct {
	Stage    string // what is running, set by the worker before each call
	Refused  []Refusal
	Filtered int64 // rows for which a filter said false
	Null     int64 // rows for which a filter said null; counted apart, dropped alike
}

// Refuse refuses row i of b.
func (v *Verdicts) Refuse(b core.Batch, i int, code, reason string) {
	v.Refused = append(v.Refused, Refusal{b.Handles().Value(i), b.Ords().Value(i), v.Stage, code, reason})
}

// Filter counts rows dropped by a filter.
func (v *Verdicts) Filter(isFalse, isNull int64) {
	v.Filtered += isFalse
	v.Null += isNull
}
