package core

import (
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// Hidden columns stand first in every batch, in this order, from the source to the sink. They say where a row came
// from; no stage may change them, filters carry them along, and no sink writes them out under these names.
const (
	HandleColumn  = "_penstock.handle"  // int64: the row's record, resolved by Batch.Sequences; never falls within a batch
	OrdColumn     = "_penstock.ord"     // int32: the row's index within its record, before filters
	ArrivalColumn = "_penstock.arrival" // timestamp[ms, UTC]: the record's approximate arrival time
	KeyColumn     = "_penstock.key"     // utf8: the record's partition key
	hiddenPrefix  = "_penstock."
)

// HiddenColumns is how many hidden columns lead every batch.
const HiddenColumns = 4

// DataColumn is the one visible column of a batch of records that is not decoded yet: their opaque bytes.
const DataColumn = "data"

// RescuedColumn holds, as a JSON object, the fields of a row that its schema cannot hold.
const RescuedColumn = "_rescued"

// ArrivalType is the type of ArrivalColumn.
var ArrivalType = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}

// Sequences turns the handles of one batch into sequence numbers.
type Sequences interface {
	// At is the sequence number of the record that handle stands for. arrival is the record's approximate arrival
	// time in milliseconds since 1970, which some sources need to compose the number.
	At(handle, arrivalMillis int64) SequenceNumber
}

// Batch is rows of one shard, in the order of their records. The zero Batch is empty.
//
// Whoever is handed a Batch borrows it: to keep it past the call, Retain it. Whoever made or retained it releases it.
type Batch struct {
	Shard     ShardID
	Span      Span         // of the records it covers, also those that left no row
	Records   int64        // how many records the span covers
	Bytes     int64        // how many raw bytes (keys and data) they have
	Rows      arrow.Record // the hidden columns, then the visible ones
	Sequences Sequences
	Range     *HashRange // of the shard's hash keys, in a raw batch; nil: not known
}

// WithRows is b with other rows of the same records.
func (b Batch) WithRows(rows arrow.Record) Batch {
	b.Rows = rows
	return b
}

// NumRows is the count of rows; 0 where there is no Arrow record.
func (b Batch) NumRows() int64 {
	if b.Rows == nil {
		return 0
	}
	return b.Rows.NumRows()
}

// Retain keeps the rows for one more owner.
func (b Batch) Retain() {
	if b.Rows != nil {
		b.Rows.Retain()
	}
}

// Release gives up one ownership of the rows.
func (b Batch) Release() {
	if b.Rows != nil {
		b.Rows.Release()
	}
}

// Handles is the hidden column of record handles.
func (b Batch) Handles() *array.Int64 { return b.Rows.Column(0).(*array.Int64) }

// Ords is the hidden column of row indexes within records.
func (b Batch) Ords() *array.Int32 { return b.Rows.Column(1).(*array.Int32) }

// Arrivals is the hidden column of approximate arrival times.
func (b Batch) Arrivals() *array.Timestamp { return b.Rows.Column(2).(*array.Timestamp) }

// Keys is the hidden column of partition keys.
func (b Batch) Keys() *array.String { return b.Rows.Column(3).(*array.String) }

// SequenceOf is the sequence number of the record that row i came from.
func (b Batch) SequenceOf(i int) SequenceNumber {
	return b.Sequences.At(b.Handles().Value(i), int64(b.Arrivals().Value(i)))
}

// HeldBytes is how many bytes of memory the columns of a record hold, with the room that builders left behind them.
func HeldBytes(rec arrow.Record) (n int64) {
	for _, c := range rec.Columns() {
		n += heldBytes(c.Data())
	}
	return n
}

func heldBytes(d arrow.ArrayData) (n int64) {
	for _, b := range d.Buffers() {
		if b != nil {
			n += int64(cap(b.Buf()))
		}
	}
	for _, child := range d.Children() {
		n += heldBytes(child)
	}
	return n
}

// HiddenFields are the fields of the hidden columns.
func HiddenFields() []arrow.Field {
	return []arrow.Field{
		{Name: HandleColumn, Type: arrow.PrimitiveTypes.Int64},
		{Name: OrdColumn, Type: arrow.PrimitiveTypes.Int32},
		{Name: ArrivalColumn, Type: ArrivalType},
		{Name: KeyColumn, Type: arrow.BinaryTypes.String},
	}
}

// IsHidden reports whether a column name is reserved for hidden columns.
func IsHidden(name string) bool { return strings.HasPrefix(name, hiddenPrefix) }

// RawSchema is the schema of a batch of records as a source yields it: the hidden columns and the data.
func RawSchema() *arrow.Schema {
	return SchemaOf(arrow.Field{Name: DataColumn, Type: arrow.BinaryTypes.Binary})
}

// SchemaOf is the schema of a batch with the given visible columns.
func SchemaOf(visible ...arrow.Field) *arrow.Schema {
	return arrow.NewSchema(append(HiddenFields(), visible...), nil)
}

// VisibleFields are the columns of s that are not hidden.
func VisibleFields(s *arrow.Schema) []arrow.Field {
	if s.NumFields() < HiddenColumns {
		return nil
	}
	return s.Fields()[HiddenColumns:]
}

// ValueBytes is how many bytes the values of a string or binary column have.
func ValueBytes(c arrow.Array) int64 {
	switch c := c.(type) {
	case *array.String:
		return int64(len(c.ValueBytes()))
	case *array.Binary:
		return int64(len(c.ValueBytes()))
	}
	return 0
}
