package json

import (
	"math"
	"strconv"
)

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

// smallest is the smallest double with all its digits.
const smallest = 0x1p-1022

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
	// Next to 0 doubles have fewer digits, down to none: 1e-400 would be read as 0.
	return v, err == nil && digits <= maxDigits && (digits == 0 || math.Abs(v) >= smallest)
}
