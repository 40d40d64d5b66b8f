package logline

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The fields of a line.
const (
	clientIP = iota
	ident
	user
	at
	method
	path
	protocol
	request
	status
	size
	referrer
	userAgent
	fields
)

// line is a line that was scanned. Texts are as they stand in it; nil is null.
type line struct {
	text   [fields][]byte
	micros int64 // of at
	rest   []byte
}

// lineError says where a text is no line of the format, and why.
type lineError struct {
	code   string
	offset int
	what   string
}

func (e *lineError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.what) }

func bad(offset int, what string) *lineError { return &lineError{"bad_logline", offset, what} }

// scan scans b, which has no line end, into l.
func (l *line) scan(b []byte, format string) *lineError {
	*l = line{}
	i, err := l.who(b)
	if err != nil {
		return err
	}
	if i, err = l.what(b, i); err != nil {
		return err
	}
	if l.text[status], i, err = l.digits(b, i, "status"); err != nil {
		return err
	}
	if l.text[size], i, err = l.digits(b, i, "number of bytes"); err != nil {
		return err
	}
	if format == combined {
		for _, f := range []struct {
			to   int
			name string
		}{{referrer, "referrer"}, {userAgent, "user agent"}} {
			if i == len(b) {
				return bad(i, "the "+f.name+" is missing: a line of the common format is decoded by logline: common")
			}
			if l.text[f.to], i, err = quoted(b, i, f.name); err != nil {
				return err
			}
		}
	}
	if i < len(b) {
		l.rest = b[i:]
	}
	return nil
}

// who scans the client, the two names and the time. A name of a user may have spaces.
func (l *line) who(b []byte) (int, *lineError) {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 {
		return 0, bad(0, "no client address with a space after it")
	}
	l.text[clientIP] = dash(b[:i])
	start := i + 1
	i = bytes.IndexByte(b[start:], ' ')
	if i <= 0 {
		return 0, bad(start, "no identity with a space after it")
	}
	l.text[ident] = dash(b[start : start+i])
	start += i + 1
	for i = start; ; i++ {
		j := bytes.IndexByte(b[i:], '[')
		if j < 0 {
			return 0, bad(start, "no user with a time after it, such as [17/May/2015:10:05:03 +0000]")
		}
		i += j
		if i < start+2 || b[i-1] != ' ' || len(b) < i+timeLength+2 || b[i+timeLength+1] != ']' {
			continue
		}
		if micros, ok := parseTime(b[i+1:]); ok {
			l.text[user], l.micros = dash(b[start:i-1]), micros
			l.text[at] = b[i+1 : i+1+timeLength]
			break
		}
	}
	return space(b, i+timeLength+2)
}

// what scans the request.
func (l *line) what(b []byte, i int) (int, *lineError) {
	text, next, err := quoted(b, i, "request")
	if err != nil || text == nil {
		return next, err
	}
	first, last := bytes.IndexByte(text, ' '), bytes.LastIndexByte(text, ' ')
	if first <= 0 || last <= first+1 || !isToken(text[:first]) || !isProtocol(text[last+1:]) {
		l.text[request] = text
		return next, nil
	}
	l.text[method], l.text[path], l.text[protocol] = text[:first], text[first+1:last], text[last+1:]
	return next, nil
}

// digits scans an unsigned number, or a dash.
func (l *line) digits(b []byte, i int, name string) ([]byte, int, *lineError) {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start && i < len(b) && b[i] == '-' {
		i++
	}
	text := b[start:i]
	if len(text) == 0 || i < len(b) && b[i] != ' ' {
		return nil, 0, bad(i, "the "+name+" is neither a number nor a dash")
	}
	if len(text) > 18 {
		return nil, 0, bad(start, "the "+name+" is too long a number")
	}
	if i < len(b) {
		i++
	}
	return dash(text), i, nil
}

// quoted scans a text in quotes. One that the end of the line cuts lacks the second.
func quoted(b []byte, i int, name string) ([]byte, int, *lineError) {
	if i >= len(b) || b[i] != '"' {
		return nil, 0, bad(min(i, len(b)), "the quote before the "+name+" is missing")
	}
	start := i + 1
	for i = start; ; i++ {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return dash(b[start:]), len(b), nil
		}
		i += j
		if i+1 < len(b) && b[i+1] != ' ' || escaped(b[start:i]) {
			continue
		}
		return dash(b[start:i]), min(i+2, len(b)), nil
	}
}

// escaped reports whether what follows text is escaped: after an odd number of backslashes.
func escaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// space skips the one space that must stand at i.
func space(b []byte, i int) (int, *lineError) {
	if i >= len(b) || b[i] != ' ' {
		return 0, bad(min(i, len(b)), "a space is missing")
	}
	return i + 1, nil
}

// dash is nil for a dash.
func dash(text []byte) []byte {
	if len(text) == 1 && text[0] == '-' {
		return nil
	}
	return text
}

// isToken reports whether text could be an HTTP method.
func isToken(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

// isProtocol reports whether text is such as HTTP/1.1.
func isProtocol(text []byte) bool {
	v, ok := bytes.CutPrefix(text, []byte("HTTP/"))
	digit := func(i int) bool { return v[i]-'0' <= 9 }
	return ok && (len(v) == 1 && digit(0) || len(v) == 3 && digit(0) && v[1] == '.' && digit(2))
}

// unescape appends what the escapes in text stand for, where that is text.
func unescape(dst, text []byte) []byte {
	for len(text) > 0 {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 == len(text) {
			return append(dst, text...)
		}
		dst, text = append(dst, text[:i]...), text[i:]
		switch c := text[1]; c {
		case '"', '\\':
			dst, text = append(dst, c), text[2:]
		default:
			var n int
			if dst, n = character(dst, text); n == 0 { // it stays as it was written
				dst, n = append(dst, text[:2]...), 2
			}
			text = text[n:]
		}
	}
	return dst
}

// character appends the one that escapes such as \xc3\xa9 at the start of text stand for, and returns their length; 0
// where they stand for none that prints.
func character(dst, text []byte) ([]byte, int) {
	var b [utf8.UTFMax]byte
	n := 0
	for n < len(b) && len(text) >= 4*n+4 && text[4*n] == '\\' && text[4*n+1] == 'x' {
		hi, lo := hex(text[4*n+2]), hex(text[4*n+3])
		if hi > 15 || lo > 15 {
			break
		}
		b[n] = hi<<4 | lo
		n++
	}
	r, size := utf8.DecodeRune(b[:n])
	if r < 0x20 || r == 0x7f || r == utf8.RuneError {
		return dst, 0
	}
	return append(dst, b[:size]...), 4 * size
}

// hex is the value of a hexadecimal digit; more than 15 for what is none.
func hex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}
