package json

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

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
	i     int
	depth int
	key   []byte // buffer of a key with escapes
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

// str scans a string and returns what stands between its quotes, and whether that has escapes.
func (s *scanner) str() (text []byte, escaped bool, err *syntaxError) {
	s.i++
	start, high := s.i, byte(0)
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			text = s.b[start:s.i]
			if high >= 0x80 && !utf8.Valid(text) {
				return nil, false, s.fail("bad_utf8", "a string is not UTF-8")
			}
			s.i++
			return text, escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c < 0x20:
			return nil, false, s.bad(fmt.Sprintf("control character 0x%02x in a string", c))
		default:
			high |= c
			s.i++
		}
	}
	return nil, false, s.bad("the text ends within a string")
}

// escape checks one escape, or a pair of them that stands for one character, and skips it.
func (s *scanner) escape() *syntaxError {
	if s.i+1 >= len(s.b) {
		return s.bad("the text ends within a string")
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
		r := hex4(s.b[s.i:])
		if r < 0 {
			return s.bad("an escape \\u without four hex digits")
		}
		if utf16.IsSurrogate(r) {
			if s.i+6 > len(s.b) || utf16.DecodeRune(r, hex4(s.b[s.i+6:])) == utf8.RuneError {
				return s.bad("half of a surrogate pair")
			}
			s.i += 6
		}
		s.i += 6
		return nil
	}
	return s.bad(fmt.Sprintf("unknown escape \\%c", s.b[s.i+1]))
}

// hex4 is the value of an escape such as \u00e9 at the start of b; -1 if there is none.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends to dst what a checked string stands for.
func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			dst = append(dst, text[i])
			i++
			continue
		}
		switch c := text[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(text[i:])
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hex4(text[i+6:]))
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
			i += 4
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
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

// number scans a number and reports whether it is written as an integer.
func (s *scanner) number() (text []byte, integer bool, err *syntaxError) {
	start := s.i
	if s.b[s.i] == '-' {
		s.i++
	}
	lead := s.i
	if n := s.digits(); n == 0 || n > 1 && s.b[lead] == '0' {
		return nil, false, s.bad("a number is not written as JSON wants it")
	}
	integer = true
	if s.i < len(s.b) && s.b[s.i] == '.' {
		integer = false
		s.i++
		if s.digits() == 0 {
			return nil, false, s.bad("a number ends with its point")
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		integer = false
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			return nil, false, s.bad("a number has no exponent after its e")
		}
	}
	return s.b[start:s.i], integer, nil
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i - start
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
	for first := true; ; first = false {
		if c := s.peek(); c == '}' && first {
			break
		}
		key, err := s.name()
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
			continue
		case '}':
		default:
			return s.bad("a comma or } is missing")
		}
		break
	}
	s.i++
	s.depth--
	return nil
}

// array calls f at each element, which f scans.
func (s *scanner) array(f func() *syntaxError) *syntaxError {
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if c := s.peek(); c == ']' && first {
			break
		}
		if err := f(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
			continue
		case ']':
		default:
			return s.bad("a comma or ] is missing")
		}
		break
	}
	s.i++
	s.depth--
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

// integer is the value of an integer's text; false when it is beyond int64.
func integer(text []byte) (int64, bool) {
	neg := text[0] == '-'
	digits := text
	if neg {
		digits = text[1:]
	}
	if len(digits) > 18 {
		v, err := strconv.ParseInt(string(text), 10, 64)
		return v, err == nil
	}
	var v int64
	for _, c := range digits {
		v = v*10 + int64(c-'0')
	}
	if neg {
		v = -v
	}
	return v, true
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// maxDigits is how many significant digits a double can be trusted to tell apart.
const maxDigits = 17

// double is the value of a number's text; false when a double would lose digits of it or overflow.
func double(text []byte) (float64, bool) {
	var m uint64
	digits, scale, i := 0, 0, 0
	neg := text[0] == '-'
	if neg {
		i++
	}
	point := false
	for ; i < len(text); i++ {
		c := text[i]
		if c == '.' {
			point = true
			continue
		}
		if c|0x20 == 'e' {
			break
		}
		if m != 0 || c != '0' {
			digits++
		}
		if digits <= 19 {
			m = m*10 + uint64(c-'0')
		}
		if point {
			scale++
		}
	}
	if i == len(text) && m <= 1<<53 && digits <= 19 && scale < len(pow10) { // exact: one rounding, by the division
		v := float64(m) / pow10[scale]
		if neg {
			v = -v
		}
		return v, true
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil && digits <= maxDigits
}
