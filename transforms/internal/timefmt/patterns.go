package timefmt

import (
	"fmt"
	"strings"
)

// javaLetters are the runs of letters that a Java pattern may hold, as Go writes them.
var javaLetters = map[string]string{
	"yyyy": "2006", "uuuu": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1",
	"dd": "02", "d": "2", "HH": "15", "H": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5",
	"a": "PM", "EEEE": "Monday", "EEE": "Mon", "E": "Mon", "DDD": "002",
	"Z": "-0700", "z": "MST", "X": "Z07", "XX": "Z0700", "XXX": "Z07:00", "xx": "-0700", "xxx": "-07:00",
}

// java turns a Java pattern into a Go layout. 'text' is literal, two quotes a quote.
func java(p string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(p); {
		c := p[i]
		switch {
		case c == '\'':
			end := strings.IndexByte(p[i+1:], '\'')
			if end < 0 {
				return "", fmt.Errorf("a quote is not closed")
			}
			if end == 0 {
				b.WriteByte('\'')
			}
			b.WriteString(p[i+1 : i+1+end])
			i += end + 2
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			end := i
			for end < len(p) && p[end] == c {
				end++
			}
			run := p[i:end]
			i = end
			if c == 'S' {
				b.WriteString(strings.Repeat("0", len(run)))
				continue
			}
			layout, ok := javaLetters[run]
			if !ok {
				return "", fmt.Errorf("%q means nothing here; quote text as 'T'", run)
			}
			b.WriteString(layout)
		case c >= '0' && c <= '9':
			return "", fmt.Errorf("a digit cannot be text; a Go layout needs the year 2006")
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

var strptimeLetters = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "-0700", 'Z': "MST", 'j': "002",
	'f': "000000", 'T': "15:04:05", 'F': "2006-01-02", 'D': "01/02/06", 'R': "15:04", '%': "%",
}

// strptime turns a C pattern into a Go layout.
func strptime(p string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' {
			b.WriteByte(p[i])
			continue
		}
		if i++; i == len(p) {
			return "", fmt.Errorf("it ends in %%")
		}
		layout, ok := strptimeLetters[p[i]]
		if !ok {
			return "", fmt.Errorf("%%%c is not known", p[i])
		}
		b.WriteString(layout)
	}
	return b.String(), nil
}
