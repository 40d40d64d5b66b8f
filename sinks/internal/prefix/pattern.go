package prefix

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
)

// field is a run of one pattern letter, or literal text.
type field struct {
	letter byte
	width  int
	text   string
}

// units are the pattern letters of Java's DateTimeFormatter that are known. Months and years have no fixed length; a day
// is the coarsest unit.
func unitOf(letter byte) time.Duration {
	switch letter {
	case 'y', 'u', 'M', 'd':
		return 24 * time.Hour
	case 'H':
		return time.Hour
	case 'm':
		return time.Minute
	case 's':
		return time.Second
	}
	return 0
}

func parsePattern(s string) ([]field, time.Duration, error) {
	var out []field
	finest := 24 * time.Hour
	if s == "" {
		return nil, 0, fmt.Errorf("!{timestamp:} has no pattern; write !{timestamp:yyyy-MM-dd}: %w", core.ErrInvalid)
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\'':
			text, n, ok := quoted(s[i:])
			if !ok {
				return nil, 0, fmt.Errorf("pattern %q: the quote at character %d is not closed: %w", s, i+1, core.ErrInvalid)
			}
			out = append(out, field{text: text})
			i += n
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(s) && s[i+n] == c {
				n++
			}
			unit := unitOf(c)
			if unit == 0 || n > 4 || n > 2 && c != 'y' && c != 'u' || n == 3 {
				return nil, 0, fmt.Errorf("pattern %q: %q at character %d is unknown; use yyyy MM dd HH mm ss, and quote text as 'T': %w", s, s[i:i+n], i+1, core.ErrInvalid)
			}
			finest = min(finest, unit)
			out = append(out, field{letter: c, width: n})
			i += n
		default:
			out = append(out, field{text: string(c)})
			i++
		}
	}
	return out, finest, nil
}

// quoted reads text in single quotes; two of them in a row are one.
func quoted(s string) (text string, n int, ok bool) {
	if strings.HasPrefix(s, "''") {
		return "'", 2, true
	}
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			text += string(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			text += "'"
			i++
			continue
		}
		return text, i + 1, true
	}
	return "", 0, false
}

func format(b *strings.Builder, fields []field, t time.Time) {
	for _, f := range fields {
		var n int
		switch f.letter {
		case 'y', 'u':
			n = t.Year()
			if f.width == 2 {
				n = ((n % 100) + 100) % 100
			}
		case 'M':
			n = int(t.Month())
		case 'd':
			n = t.Day()
		case 'H':
			n = t.Hour()
		case 'm':
			n = t.Minute()
		case 's':
			n = t.Second()
		default:
			b.WriteString(f.text)
			continue
		}
		s := strconv.Itoa(n)
		b.WriteString(strings.Repeat("0", max(0, f.width-len(s))))
		b.WriteString(s)
	}
}
