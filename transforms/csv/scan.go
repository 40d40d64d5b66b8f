package csv

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// syntaxError says why a record is refused.
type syntaxError struct {
	code   string
	offset int
	of     string // what offset counts in, where it is not the rows
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d%s: %s", e.offset, e.of, e.what) }

func refuse(code string, offset int, what string) *syntaxError {
	return &syntaxError{code: code, offset: offset, what: what}
}

// field is one field of a row.
type field struct {
	text    []byte
	quoted  bool
	doubled bool // it has doubled quotes
}

// scanner splits the text of one record.
type scanner struct {
	dialect
	b      []byte
	i      int
	fields []field // of the rows so far
	ends   []int   // where, in fields, each row ends
	starts []int   // where, in b, each row starts
}

var bom = []byte("\xef\xbb\xbf")

// begin starts on a record.
func (s *scanner) begin(b []byte) *syntaxError {
	s.b, s.i, s.fields, s.ends, s.starts = b, 0, s.fields[:0], s.ends[:0], s.starts[:0]
	if bytes.HasPrefix(b, bom) {
		s.i = len(bom)
	}
	if !utf8.Valid(b) {
		i := 0
		for r, n := utf8.DecodeRune(b); r != utf8.RuneError || n != 1; r, n = utf8.DecodeRune(b[i:]) {
			i += n
		}
		return refuse("bad_utf8", i, "the record is not UTF-8")
	}
	return nil
}

// row splits the next row that is not empty; false at the end.
func (s *scanner) row() (bool, *syntaxError) {
	for s.i < len(s.b) && (s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
	if s.i == len(s.b) {
		return false, nil
	}
	s.starts = append(s.starts, s.i)
	for more := true; more; {
		var err *syntaxError
		if more, err = s.field(); err != nil {
			return false, err
		}
	}
	s.ends = append(s.ends, len(s.fields))
	return true, nil
}

// field splits a field and what ends it, and reports whether another one follows in the row.
func (s *scanner) field() (more bool, err *syntaxError) {
	if s.quote != 0 && s.i < len(s.b) && s.b[s.i] == s.quote {
		return s.quoted()
	}
	start := s.i
	for i := start; i < len(s.b); i++ {
		switch s.b[i] {
		case s.delimiter:
			s.fields = append(s.fields, field{text: s.b[start:i]})
			s.i = i + 1
			return true, nil
		case '\n':
			s.fields = append(s.fields, field{text: bytes.TrimSuffix(s.b[start:i], []byte("\r"))})
			s.i = i + 1
			return false, nil
		}
	}
	s.fields = append(s.fields, field{text: bytes.TrimSuffix(s.b[start:], []byte("\r"))})
	s.i = len(s.b)
	return false, nil
}

// quoted splits a field that begins with a quote.
func (s *scanner) quoted() (more bool, err *syntaxError) {
	start, doubled := s.i+1, false
	i := start
	for {
		j := bytes.IndexByte(s.b[i:], s.quote)
		if j < 0 {
			return false, refuse("bad_csv", start-1, "a quote is not closed")
		}
		i += j
		if i+1 == len(s.b) || s.b[i+1] != s.quote {
			break
		}
		doubled = true
		i += 2
	}
	s.fields = append(s.fields, field{s.b[start:i], true, doubled})
	i++
	s.i = min(i+1, len(s.b))
	switch rest := s.b[i:]; {
	case len(rest) == 0, rest[0] == '\n':
		return false, nil
	case rest[0] == s.delimiter:
		return true, nil
	case rest[0] == '\r' && (len(rest) == 1 || rest[1] == '\n'):
		s.i = min(i+2, len(s.b))
		return false, nil
	}
	return false, refuse("bad_csv", i, "a delimiter is missing after a closed quote")
}

// value is what a field holds. It stands until buf is used again.
func (s *scanner) value(f field, buf *[]byte) []byte {
	if !f.doubled {
		return f.text
	}
	out := (*buf)[:0]
	for i := 0; i < len(f.text); i++ {
		out = append(out, f.text[i])
		if f.text[i] == s.quote {
			i++ // the other of two
		}
	}
	*buf = out
	return out
}

// isNull reports whether a field is null.
func (s *scanner) isNull(f field) bool {
	if f.quoted {
		return false
	}
	for _, n := range s.nulls {
		if string(f.text) == n {
			return true
		}
	}
	return false
}
