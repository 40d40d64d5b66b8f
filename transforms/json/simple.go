package json

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// simple takes a field whose key is written as that of k mostly is and whose value has the form that most values of its
// type have, in one go. Otherwise it leaves everything as it was and returns false; then the field is read the long way,
// which knows every form and every error.
func (p *decoding) simple(k *column) bool {
	if !k.key.at(&p.scanner) {
		return false
	}
	i := p.i + k.key.length
	if i < len(p.b) && p.b[i] == ' ' {
		i++
	}
	if i >= len(p.b) {
		return false
	}
	switch c := p.b[i]; {
	case c == '"' && k.store == texts:
		i = p.simpleText(k, i+1)
	case k.store == ints && c != 'n':
		i = p.simpleInt(k, i)
	case k.store == doubles && c != 'n':
		i = p.simpleDouble(k, i)
	case c == 'n' && len(p.b)-i > 4 && string(p.b[i:i+4]) == "null":
		k.null()
		i += 4
	default:
		return false
	}
	if i == 0 {
		return false
	}
	p.i = i
	return true
}

// simpleText takes a string without escapes that begins at i, behind its quote. This and its like return the place
// behind the value, or 0 where it is not simple. Bytes are copied while the end is looked for; what is copied too many is
// overwritten by the next value.
func (p *decoding) simpleText(c *column, i int) int {
	from, high := i, uint64(0)
	src, dst, n := p.wide, c.data[:cap(c.data)], len(c.data)
	for i+8 <= len(src) && n+8 <= len(dst) {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[n:], w)
		if m := special(w); m != 0 {
			k := bits.TrailingZeros64(m) >> 3
			if i, n, high = i+k, n+k, high|w&(m&-m-1); i >= len(p.b) || p.b[i] != '"' || high&highs != 0 && !utf8.Valid(p.b[from:i]) {
				return 0
			}
			c.data = dst[:n]
			c.setText()
			return i + 1
		}
		high |= w
		i, n = i+8, n+8
	}
	end, more := p.plain(i)
	if end >= len(p.b) || p.b[end] != '"' || (high|more)&highs != 0 && !utf8.Valid(p.b[from:end]) {
		return 0
	}
	c.data = append(c.data, p.b[from:end]...)
	c.setText()
	return end + 1
}

// simpleInt takes an integer of at most 16 digits.
func (p *decoding) simpleInt(c *column, i int) int {
	v, n, i := p.whole(i)
	if n == 0 || i < len(p.b) && (p.b[i] == '.' || p.b[i]|0x20 == 'e') {
		return 0
	}
	c.setInt(v)
	return i
}

// simpleDouble takes a number without exponent, of at most 16 digits before and 15 behind its point, that read as an
// integer a double holds exactly; so one division by a power of ten, which it holds exactly too, rounds only once.
func (p *decoding) simpleDouble(c *column, i int) int {
	neg := p.b[i] == '-'
	v, n, i := p.whole(i)
	if n == 0 {
		return 0
	}
	scale := 0
	if i < len(p.b) && p.b[i] == '.' {
		i++
		for digits := 8; digits == 8; scale += digits {
			var part int64
			part, digits = p.digits8(i)
			if i += digits; n+scale+digits > simpleDigits {
				return 0
			}
			if neg {
				part = -part
			}
			v = v*powers[digits] + part
		}
		if scale == 0 {
			return 0
		}
	}
	if v > 1<<53 || v < -1<<53 || i < len(p.b) && p.b[i]|0x20 == 'e' {
		return 0
	}
	f := float64(v)
	if scale > 0 {
		f /= pow10[scale]
	}
	if neg && v == 0 {
		f = -f
	}
	c.setFloat(f)
	return i
}

// simpleDigits is how many digits are sure to fit into 64 bits.
const simpleDigits = 18

// whole reads the integer at i: its value, the number of its digits, and the place behind them. There are 0 digits where
// no integer of at most 16 digits, as JSON writes them, stands.
func (p *decoding) whole(i int) (v int64, n, end int) {
	neg := p.b[i] == '-'
	if neg {
		i++
	}
	v, n = p.digits8(i)
	if n == 8 {
		more, m := p.digits8(i + 8)
		if m == 8 {
			return 0, 0, 0
		}
		v, n = v*powers[m]+more, 8+m
	}
	if n == 0 || n > 1 && p.b[i] == '0' {
		return 0, 0, 0
	}
	if neg {
		v = -v
	}
	return v, n, i + n
}

var powers = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// digits8 reads up to eight digits at i and returns their value and number.
func (s *scanner) digits8(i int) (v int64, n int) {
	if i+8 > len(s.wide) {
		for n < 8 && i+n < len(s.b) && s.b[i+n]-'0' <= 9 {
			v = v*10 + int64(s.b[i+n]-'0')
			n++
		}
		return v, n
	}
	w := binary.LittleEndian.Uint64(s.wide[i:]) ^ lows*'0'
	n = bits.TrailingZeros64(((w+lows*0x76)|w)&highs) >> 3 // the lowest bit that is set is right
	n = min(n, len(s.b)-i)
	// The digits go to the high end, zeros before them; then pairs, fours and eights of them are added up.
	w <<= 8 * (8 - uint(n)) //nolint:gosec // at most 8
	w = (w * (10<<8 + 1)) >> 8 & 0x00ff00ff00ff00ff
	w = (w * (100<<16 + 1)) >> 16 & 0x0000ffff0000ffff
	return int64((w * (10000<<32 + 1)) >> 32), n //nolint:gosec // below 1e8
}
