package columns

import (
	"strconv"
)

// maxDigits is how many significant digits a double can be trusted to tell apart.
const maxDigits = 17

// Bool is the value of true, false and their two other ways of writing.
func Bool(text []byte) (v byte, ok bool) {
	switch string(text) {
	case "true", "True", "TRUE":
		return 1, true
	case "false", "False", "FALSE":
		return 0, true
	}
	return 0, false
}

// number reports whether text is a number as JSON writes them, and whether it is an integer. 007, +1 and .5 are texts:
// as numbers they would not come back as they were.
func number(text []byte) (integer, ok bool) {
	i := 0
	digits := func() int {
		start := i
		for i < len(text) && text[i]-'0' <= 9 {
			i++
		}
		return i - start
	}
	if i < len(text) && text[i] == '-' {
		i++
	}
	lead := i
	if n := digits(); n == 0 || n > 1 && text[lead] == '0' {
		return false, false
	}
	if i == len(text) {
		return true, true
	}
	if text[i] == '.' {
		i++
		if digits() == 0 {
			return false, false
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if digits() == 0 {
			return false, false
		}
	}
	return false, i == len(text)
}

// Integer is the value of an integer's text; false when it is none, or beyond int64.
func Integer(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	if isInt, ok := number(text); !isInt || !ok {
		return 0, false
	}
	if len(text) > 18 {
		v, err := strconv.ParseInt(string(text), 10, 64)
		return v, err == nil
	}
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	var v int64
	for _, c := range digits {
		v = v*10 + int64(c-'0')
	}
	if text[0] == '-' {
		v = -v
	}
	return v, true
}

// ExactInteger reports whether a double holds an integer exactly.
func ExactInteger(v int64) bool {
	const most = 1 << 53
	return v >= -most && v <= most || int64(float64(v)) == v && v < 1<<63-1
}

// Double is the value of a number's text; false when it is none, or a double would lose digits of it or overflow.
func Double(text []byte) (float64, bool) {
	isInt, ok := number(text)
	if !ok {
		return 0, false
	}
	if isInt {
		v, ok := Integer(text)
		return float64(v), ok && ExactInteger(v)
	}
	digits := 0
	for _, c := range text {
		if c|0x20 == 'e' {
			break
		}
		if c >= '0' && c <= '9' && (digits > 0 || c != '0') {
			digits++
		}
	}
	if digits > maxDigits {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil
}
