package json

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Words of eight bytes: the lowest and the highest bit of each.
const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks the high bit of each byte of w that cannot stand for itself in a string: a quote, a backslash, a control
// character. Only the lowest bit that is set is to be trusted.
func special(w uint64) uint64 {
	quote, escape := w^lows*'"', w^lows*'\\'
	return ((quote-lows)&^quote | (escape-lows)&^escape | (w-lows*' ')&^w) & highs
}

// plain skips bytes that stand for themselves in a string: it returns where the first other one is, at or behind from,
// and bits of which one of highs is set if any byte skipped is not ASCII. Eight bytes are looked at in one step, some of
// them perhaps behind the record; so the end of the record does not stop it, but that of s.wide.
func (s *scanner) plain(from int) (end int, high uint64) {
	b, i := s.wide, from
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		if m := special(w); m != 0 {
			return i + bits.TrailingZeros64(m)>>3, high | w&(m&-m-1)
		}
		high |= w
		i += 8
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		high |= uint64(b[i])
		i++
	}
	return i, high
}

// str scans a string and returns what stands between its quotes, and whether that has escapes.
func (s *scanner) str() (text []byte, escaped bool, err *syntaxError) {
	s.i++
	start, high := s.i, uint64(0)
	for {
		end, h := s.plain(s.i)
		high |= h
		if s.i = min(end, len(s.b)); end >= len(s.b) {
			return nil, false, s.bad("the text ends within a string")
		}
		switch c := s.b[end]; c {
		case '"':
			text = s.b[start:end]
			if high&highs != 0 && !utf8.Valid(text) {
				return nil, false, s.fail("bad_utf8", "a string is not UTF-8")
			}
			s.i++
			return text, escaped, nil
		case '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		default:
			return nil, false, s.bad(fmt.Sprintf("control character 0x%02x in a string", c))
		}
	}
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
