package file

import (
	"bytes"
	"errors"
	"io"
)

// csvRows are records that are lines of CSV, which go on over line ends within quotes. Empty ones are none.
type csvRows struct {
	delimiter, quote byte

	buf    []byte // a record that is not whole yet
	at     int64  // where it begins
	inside bool   // its last line ended within quotes
}

func (c *csvRows) next(t *text) ([]byte, int64, error) {
	for {
		if len(c.buf) == 0 {
			c.at = t.off
		}
		line, err := t.line()
		if err != nil {
			if errors.Is(err, io.EOF) && len(c.buf) > 0 && t.ends() { // the quotes are never closed: for the decoder to say
				t.cut = true
				return c.take(nil), c.at, nil
			}
			return nil, c.at, err
		}
		if c.quote != 0 && (c.inside || bytes.IndexByte(line, c.quote) >= 0) {
			c.inside = c.ends(line)
		}
		if c.inside {
			if len(c.buf)+len(line) > maxRecord {
				return nil, c.at, t.tooLong(c.at)
			}
			c.buf = append(c.buf, line...)
			continue
		}
		if len(c.buf) > 0 {
			return c.take(line), c.at, nil
		}
		if line = trimEnd(line); len(line) > 0 {
			return line, c.at, nil
		}
	}
}

// take is the record with its last line; the next one begins.
func (c *csvRows) take(line []byte) []byte {
	out := append(c.buf, line...)
	c.buf, c.inside = out[:0], false
	return trimEnd(out)
}

// ends reports whether a line ends within quotes. A quote opens where a field begins, and closes where it is not
// doubled.
func (c *csvRows) ends(line []byte) bool {
	inside, begins := c.inside, !c.inside
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case inside:
			j := bytes.IndexByte(line[i:], c.quote)
			if j < 0 {
				return true
			}
			i += j
			if i+1 < len(line) && line[i+1] == c.quote {
				i++
			} else {
				inside = false
			}
		case b == c.quote && begins:
			inside, begins = true, false
		default:
			begins = b == c.delimiter
		}
	}
	return inside
}

func (c *csvRows) after(t *text) error {
	_, _, err := c.next(t)
	return noEOF(err)
}
