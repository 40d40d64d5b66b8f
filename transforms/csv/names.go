package csv

import (
	"bytes"
	"strconv"
)

// maxColumns bounds the columns that are made; the others are rescued.
const maxColumns = 2000

// reader reads the rows of records, and knows the names of their fields.
type reader struct {
	scanner
	names  []string
	want   int    // how many fields a row has at least
	header []byte // the line that names was made of, with its end
	buf    []byte
	turn   int // how often names changed
}

func newReader(d dialect) *reader {
	return &reader{scanner: scanner{dialect: d}, names: append([]string(nil), d.columns...), want: len(d.columns)}
}

// read splits the rows of a record. Where an error is counts from behind the header: of a file that stands before every
// record, and is none of the line.
func (r *reader) read(b []byte) *syntaxError {
	err := r.readRows(b)
	if err == nil || !r.dialect.header {
		return err
	}
	r.i, r.fields, r.ends, r.starts = 0, r.fields[:0], r.ends[:0], r.starts[:0]
	switch ok, herr := r.row(); {
	case !ok && herr == nil: // there is none
	case herr != nil || err.offset < r.i:
		err.of = " of the header"
	default:
		err.offset -= r.i
	}
	return err
}

func (r *reader) readRows(b []byte) *syntaxError {
	if err := r.begin(b); err != nil {
		return err
	}
	if r.dialect.header {
		if err := r.readHeader(); err != nil {
			return err
		}
	}
	n := 0
	for {
		before := len(r.fields)
		ok, err := r.row()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if got := len(r.fields) - before; got < r.want {
			return refuse("field_count", r.starts[len(r.starts)-1], "a row has "+strconv.Itoa(got)+" fields, want "+strconv.Itoa(r.want))
		}
		n++
	}
	if n == 0 && !r.dialect.header {
		return refuse("empty", 0, "the record is empty")
	}
	return nil
}

// readHeader reads the line that names the fields; mostly it is that of the record before.
func (r *reader) readHeader() *syntaxError {
	rest := r.b[r.i:]
	if len(r.header) > 0 && bytes.HasPrefix(rest, r.header) {
		r.i += len(r.header)
		return nil
	}
	start := r.i
	ok, err := r.row()
	if err != nil {
		return err
	}
	if !ok {
		return refuse("empty", 0, "the record is empty: with header: true it begins with the names of the columns")
	}
	r.names, r.want = r.names[:0], len(r.fields)
	r.turn++
	for _, f := range r.fields {
		r.names = append(r.names, r.unique(string(r.value(f, &r.buf))))
	}
	r.header = r.header[:0]
	if r.i > 0 && r.b[r.i-1] == '\n' {
		r.header = append(r.header, r.b[start:r.i]...)
	}
	r.fields, r.ends, r.starts = r.fields[:0], r.ends[:0], r.starts[:0]
	return nil
}

// name is that of the field at an index.
func (r *reader) name(i int) string {
	for i >= len(r.names) {
		r.names = append(r.names, r.unique(""))
		r.turn++
	}
	return r.names[i]
}

// own reports whether the field at an index can have a column: its name is not reserved, nor its place behind the names.
func (r *reader) own(i int) bool { return (r.want == 0 || i < r.want) && !reserved(r.names[i]) }

// unique is a name for the next field: name, or by its place where it is empty, and with a number where it is taken.
func (r *reader) unique(name string) string {
	if name == "" {
		name = "column" + strconv.Itoa(len(r.names))
	}
	out := name
	for n := 2; r.taken(out); n++ {
		out = name + "_" + strconv.Itoa(n)
	}
	return out
}

func (r *reader) taken(name string) bool {
	for _, have := range r.names {
		if have == name {
			return true
		}
	}
	return false
}
