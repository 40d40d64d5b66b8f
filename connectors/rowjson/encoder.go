// Package rowjson writes the rows of Arrow batches as JSON objects, exactly.
//
// The one idea: every column has a function that appends one value, so a row costs no allocation. Integers keep all their
// digits, floats are the shortest that read back the same (NaN and infinities are strings), timestamps are RFC 3339 in
// UTC, bytes are base64, and null fields are left out. Hidden columns are not written.
package rowjson

import (
	"github.com/apache/arrow/go/v17/arrow"

	"github.com/penstock/penstock/core"
)

// Encoder writes the rows of one record.
type Encoder struct{ cols []column }

// New returns an encoder of a batch's rows; core.ErrInvalid where a column has a type that JSON has no form for.
func New(rec arrow.Record) (*Encoder, error) {
	e := &Encoder{}
	for c := core.HiddenColumns; c < int(rec.NumCols()); c++ {
		col, err := newColumn(rec.ColumnName(c), rec.Column(c))
		if err != nil {
			return nil, err
		}
		e.cols = append(e.cols, col)
	}
	return e, nil
}

// Append appends row i, without a line break.
func (e *Encoder) Append(dst []byte, i int) []byte { return appendObject(dst, e.cols, i) }

// Values returns what appends the JSON form of value i of one column, which is not null; core.ErrInvalid where the
// column's type has none.
func Values(a arrow.Array) (func(dst []byte, i int) []byte, error) { return appenderOf(a) }
