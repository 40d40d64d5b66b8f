package json

import "fmt"

// maxDepth bounds how deep objects and arrays may nest.
const maxDepth = 128

// syntaxError says why a record is refused.
type syntaxError struct {
	code   string
	offset int
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.what) }

// scanner walks the text of one record. It is strict: RFC 8259 and nothing more.
type scanner struct {
	b     []byte
	wide  []byte // b and what follows it in memory, if anything: what may be read ahead, and then left alone
	i     int
	depth int
	key   []byte // buffer of a key with escapes
}

// scan returns a scanner of a text.
func scan(text []byte) scanner { return scanner{b: text, wide: text} }

// to begins with the record that stands from one place of text to another.
func (s *scanner) to(text []byte, from, end int) {
	s.b, s.wide, s.i, s.depth = text[from:end], text[from:], 0, 0
}

func (s *scanner) fail(code, what string) *syntaxError { return &syntaxError{code, s.i, what} }

func (s *scanner) bad(what string) *syntaxError { return s.fail("bad_json", what) }

// space skips white space.
func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\r', '\t':
			s.i++
		default:
			return
		}
	}
}

// peek is the next byte that is no white space; 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) enter() *syntaxError {
	s.i++
	if s.depth++; s.depth > maxDepth {
		return s.fail("too_deep", fmt.Sprintf("objects and arrays nest deeper than %d", maxDepth))
	}
	return nil
}

// leave skips the closing bracket of an object or array.
func (s *scanner) leave() {
	s.i++
	s.depth--
}

// more skips what is behind a value in an object or array: a comma, and then there is more, or the closing bracket.
func (s *scanner) more(end byte) (bool, *syntaxError) {
	if s.i < len(s.b) && s.b[s.i] == ',' {
		s.i++
		return true, nil
	}
	switch s.peek() {
	case ',':
		s.i++
		return true, nil
	case end:
		s.leave()
		return false, nil
	}
	return false, s.bad("a comma or " + string(rune(end)) + " is missing")
}

// name scans a key and the colon after it. What it returns stands until the next key.
func (s *scanner) name() ([]byte, *syntaxError) {
	if s.peek() != '"' {
		return nil, s.bad("a key in quotes is missing")
	}
	text, escaped, err := s.str()
	if err != nil {
		return nil, err
	}
	if escaped {
		s.key = unescape(s.key[:0], text)
		text = s.key
	}
	if s.peek() != ':' {
		return nil, s.bad("a colon is missing after a key")
	}
	s.i++
	return text, nil
}

// word scans true, false or null.
func (s *scanner) word(w string) *syntaxError {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.bad("a value is missing")
	}
	s.i += len(w)
	return nil
}

// skip checks a value and returns its text.
func (s *scanner) skip() (text []byte, err *syntaxError) {
	c := s.peek()
	start := s.i
	switch c {
	case '"':
		_, _, err = s.str()
	case '{':
		err = s.object(func([]byte) *syntaxError {
			_, err := s.skip()
			return err
		})
	case '[':
		err = s.array(func() *syntaxError {
			_, err := s.skip()
			return err
		})
	case 't':
		err = s.word("true")
	case 'f':
		err = s.word("false")
	case 'n':
		err = s.word("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			return nil, s.bad("a value is missing")
		}
		_, _, err = s.number()
	}
	return s.b[start:s.i], err
}

// object calls f with each key, at its value, which f scans.
func (s *scanner) object(f func(key []byte) *syntaxError) *syntaxError {
	if err := s.enter(); err != nil {
		return err
	}
	more := s.peek() != '}'
	if !more {
		s.leave()
	}
	for more {
		key, err := s.name()
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
		if more, err = s.more('}'); err != nil {
			return err
		}
	}
	return nil
}

// array calls f at each element, which f scans.
func (s *scanner) array(f func() *syntaxError) *syntaxError {
	if err := s.enter(); err != nil {
		return err
	}
	more := s.peek() != ']'
	if !more {
		s.leave()
	}
	for more {
		if err := f(); err != nil {
			return err
		}
		var err *syntaxError
		if more, err = s.more(']'); err != nil {
			return err
		}
	}
	return nil
}

// rows calls f at each object of the record.
func (s *scanner) rows(f func() *syntaxError) *syntaxError {
	n := 0
	one := func() *syntaxError {
		if s.peek() != '{' {
			return s.fail("not_object", "a row is no object")
		}
		n++
		return f()
	}
	for s.peek() != 0 || s.i < len(s.b) {
		var err *syntaxError
		if s.peek() == '[' {
			err = s.array(one)
		} else {
			err = one()
		}
		if err != nil {
			if err.code == "not_object" { // it may be no JSON at all
				if _, serr := s.skip(); serr != nil {
					err = serr
				}
			}
			return err
		}
		n++
	}
	if n == 0 {
		return s.fail("empty", "the record is empty")
	}
	return nil
}
