package json

import (
	"fmt"
	"slices"
)

// leftover is a field that its row's columns cannot hold.
type leftover struct {
	name string
	text []byte
}

// row decodes one object into one row.
func (p *decoding) row() *syntaxError {
	p.left = p.left[:0]
	if _, err := p.members(p.top); err != nil {
		return err
	}
	if p.rescued != nil {
		p.rescue()
	}
	return nil
}

// members decodes an object's fields into the parts of c, and makes them a value of it. A field that does not fit is a
// leftover of a row; elsewhere it ends the decoding of the whole value. Of fields with the same name the last one counts.
func (p *decoding) members(c *column) (fits bool, err *syntaxError) {
	if err := p.enter(); err != nil {
		return false, err
	}
	row, next, more := c.n, 0, p.peek() != '}'
	if !more {
		p.leave()
	}
	for more {
		if next < len(c.kids) && len(p.left) == 0 && c.kids[next].n == row && p.simple(c.kids[next]) {
			next++
			if p.i < len(p.b) && p.b[p.i] == ',' {
				p.i++
			} else if more, err = p.more('}'); err != nil {
				return false, err
			}
			continue
		}
		k, name, err := p.kid(c, &next)
		if err != nil {
			return false, err
		}
		if k != nil && k.n > row {
			k.truncate(row)
		}
		if c == p.top {
			if err := p.field(k, name, row); err != nil {
				return false, err
			}
		} else if fits, err := p.part(k); err != nil || !fits {
			return false, err
		}
		if more, err = p.more('}'); err != nil {
			return false, err
		}
	}
	for _, k := range c.kids {
		if k.n == row {
			k.null()
		}
	}
	c.n++
	return true, nil
}

// part decodes one field of a struct; k is nil where the struct has no such field.
func (p *decoding) part(k *column) (fits bool, err *syntaxError) {
	if k != nil {
		return p.value(k)
	}
	text, err := p.skip()
	return string(text) == "null", err
}

// field decodes one field of a row into k, or where k is nil the field called name.
func (p *decoding) field(k *column, name []byte, row int) *syntaxError {
	if len(p.left) > 0 {
		p.drop(k, name)
	}
	if k == nil {
		name := string(name) // the buffer behind it is used again
		text, err := p.skip()
		if err != nil || string(text) == "null" {
			return err
		}
		p.left = append(p.left, leftover{name, text})
		p.drift = p.drift || p.rescued == nil || !reserved(name) && typed(text)
		return nil
	}
	start, depth := p.i, p.depth
	fits, err := p.value(k)
	if err != nil || fits {
		return err
	}
	k.truncate(row)
	k.null()
	p.i, p.depth = start, depth
	text, err := p.skip()
	if err != nil {
		return err
	}
	p.left = append(p.left, leftover{k.name, text})
	p.drift = p.drift || p.rescued == nil || widens(k.typ, text)
	return nil
}

// drop forgets an earlier leftover of the same name.
func (p *decoding) drop(k *column, name []byte) {
	if k != nil {
		name = []byte(k.name)
	}
	p.left = slices.DeleteFunc(p.left, func(l leftover) bool { return l.name == string(name) })
}

// value decodes a value into c, or reports that c cannot hold it; what it appended then is for the caller to drop, and
// where it stands in the text is not said.
func (p *decoding) value(c *column) (fits bool, err *syntaxError) {
	switch b := p.peek(); b {
	case '"':
		text, escaped, err := p.str()
		if err != nil {
			return false, err
		}
		return c.text(text, escaped), nil
	case '{':
		if c.store != structs {
			return false, nil
		}
		return p.members(c)
	case '[':
		if c.store != lists {
			return false, nil
		}
		return p.list(c)
	case 't', 'f':
		if c.store != bools {
			return false, nil
		}
		if b == 't' {
			err = p.word("true")
			c.setBool(1)
		} else {
			err = p.word("false")
			c.setBool(0)
		}
		return true, err
	case 'n':
		c.null()
		return true, p.word("null")
	default:
		if b != '-' && (b < '0' || b > '9') {
			return false, p.bad("a value is missing")
		}
		text, isInt, err := p.number()
		if err != nil {
			return false, err
		}
		return c.number(text, isInt), nil
	}
}

// list decodes an array into a list.
func (p *decoding) list(c *column) (fits bool, err *syntaxError) {
	if err := p.enter(); err != nil {
		return false, err
	}
	more := p.peek() != ']'
	if !more {
		p.leave()
	}
	for more {
		if fits, err := p.value(c.kids[0]); err != nil || !fits {
			return false, err
		}
		if more, err = p.more(']'); err != nil {
			return false, err
		}
	}
	c.offsets = append(c.offsets, int32(c.kids[0].n)) //nolint:gosec // bounded by the size of a batch
	c.n++
	return true, nil
}

// rescue writes the leftovers of a row.
func (p *decoding) rescue() {
	if len(p.left) == 0 {
		p.rescued.null()
		return
	}
	b := append(p.rescued.data, '{')
	for i, l := range p.left {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, l.name)
		b = append(b, ':')
		b = append(b, l.text...)
	}
	p.rescued.data = append(b, '}')
	p.rescued.setText()
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, "\\u%04x", c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
