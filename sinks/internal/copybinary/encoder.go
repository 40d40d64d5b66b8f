package copybinary

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/penstock/penstock/core"
)

// Column is one of the table's, in the order of the COPY statement.
type Column struct {
	Name string // in the table
	From string // in the rows; one that they do not have is null
	OID  uint32 // of its type. A domain has that of its base type
	Type string // for people
	Text bool   // its values are sent as text is: text itself, an enum
}

// Header and Trailer stand around the rows.
const (
	Header  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	Trailer = "\xff\xff"
)

// ValueError says that a value does not go into its column.
type ValueError struct{ Column, Reason string }

func (e *ValueError) Error() string { return fmt.Sprintf("column %q: %s", e.Column, e.Reason) }

// appender appends the value i of a column, which is not null, without its length.
type appender func(dst []byte, i int) ([]byte, error)

// Encoder writes the rows of one record.
type Encoder struct {
	columns []Column
	arrays  []arrow.Array // nil: the rows do not have it, or only nulls
	values  []appender
}

// New returns an encoder of rows; core.ErrInvalid where a column cannot be written to the table's at all.
func New(types *pgtype.Map, rec arrow.Record, columns []Column) (*Encoder, error) {
	e := &Encoder{columns: columns, arrays: make([]arrow.Array, len(columns)), values: make([]appender, len(columns))}
	var errs []error
	for i, c := range columns {
		at := rec.Schema().FieldIndices(c.From)
		if len(at) == 0 {
			continue
		}
		a := rec.Column(at[0])
		if a.DataType().ID() == arrow.NULL {
			continue
		}
		value, err := bind(types, a, c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		e.arrays[i], e.values[i] = a, value
	}
	return e, errors.Join(errs...)
}

// Append appends row i. Its error is a *ValueError, and dst is as it was then.
func (e *Encoder) Append(dst []byte, i int) ([]byte, error) {
	began := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.columns))) //nolint:gosec // a table has at most 1,600
	for c, a := range e.arrays {
		if a == nil || a.IsNull(i) {
			dst = append(dst, null...)
			continue
		}
		var err error
		if dst, err = sized(dst, e.values[c], i); err != nil {
			return dst[:began], &ValueError{e.columns[c].Name, err.Error()}
		}
	}
	return dst, nil
}

// null is the length of a value that is not there.
const null = "\xff\xff\xff\xff"

// maxValue is what PostgreSQL takes in one value at most.
const maxValue = 1<<30 - 1

// sized appends a value behind its length.
func sized(dst []byte, value appender, i int) ([]byte, error) {
	at := len(dst)
	dst, err := value(append(dst, 0, 0, 0, 0), i)
	if err != nil {
		return dst, err
	}
	n := len(dst) - at - 4
	if err := fits(n); err != nil {
		return dst, err
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(n)) //nolint:gosec // bounded
	return dst, nil
}

// fits says whether PostgreSQL takes so many bytes in a value.
func fits(n int) error {
	if n > maxValue {
		return fmt.Errorf("%d bytes are more than PostgreSQL takes in a value (1 GiB)", n)
	}
	return nil
}

// bounded does not begin to write a string that is too long.
func bounded(a arrow.Array, value appender) appender {
	l, ok := a.(interface{ ValueLen(i int) int })
	if !ok {
		return value
	}
	return func(dst []byte, i int) ([]byte, error) {
		if err := fits(l.ValueLen(i)); err != nil {
			return dst, err
		}
		return value(dst, i)
	}
}

// bind chooses how values of a are written to a column.
func bind(types *pgtype.Map, a arrow.Array, c Column) (appender, error) {
	if value := direct(a, c.OID); value != nil {
		return bounded(a, value), nil
	}
	if c.OID == pgtype.JSONOID || c.OID == pgtype.JSONBOID {
		value, err := document(a, c)
		return bounded(a, value), err
	}
	if t, ok := types.TypeForOID(c.OID); ok {
		if elements, ok := t.Codec.(*pgtype.ArrayCodec); ok {
			return list(types, a, c, elements.ElementType.OID)
		}
	}
	write, err := text(a)
	switch {
	case err != nil:
		return nil, mismatch(a, c)
	case c.Text || isText(c.OID):
		return bounded(a, checked(write)), nil
	}
	value, err := parsed(types, write, c)
	return bounded(a, value), err
}

func mismatch(a arrow.Array, c Column) error {
	return fmt.Errorf("column %q of type %s cannot hold %s: cast it in a stage, or change the column's type: %w", c.Name, c.Type, a.DataType(), core.ErrInvalid)
}

func isText(oid uint32) bool {
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID:
		return true
	}
	return false
}

// list writes a list as an array of one dimension.
func list(types *pgtype.Map, a arrow.Array, c Column, element uint32) (appender, error) {
	l, ok := a.(array.ListLike)
	if !ok {
		return nil, mismatch(a, c)
	}
	values := l.ListValues()
	value, err := bind(types, values, Column{Name: c.Name, OID: element, Type: c.Type})
	if err != nil {
		return nil, err
	}
	return func(dst []byte, i int) ([]byte, error) {
		from, to := l.ValueOffsets(i)
		if from == to {
			return arrayHead(dst, 0, 0, element), nil
		}
		nulls := uint32(0)
		for j := from; j < to; j++ {
			if values.IsNull(int(j)) {
				nulls = 1
			}
		}
		dst = arrayHead(dst, 1, nulls, element)
		dst = binary.BigEndian.AppendUint32(dst, uint32(to-from)) //nolint:gosec // an index into memory
		dst = binary.BigEndian.AppendUint32(dst, 1)               // the first index
		for j := from; j < to; j++ {
			if values.IsNull(int(j)) {
				dst = append(dst, null...)
			} else if dst, err = sized(dst, value, int(j)); err != nil {
				return dst, fmt.Errorf("element %d: %w", j-from, err)
			}
		}
		return dst, nil
	}, nil
}

// arrayHead begins an array: dimensions, whether it has nulls, the type of its elements.
func arrayHead(dst []byte, dimensions, nulls, element uint32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, dimensions)
	dst = binary.BigEndian.AppendUint32(dst, nulls)
	return binary.BigEndian.AppendUint32(dst, element)
}
