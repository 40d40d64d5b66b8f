package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// values are records that are JSON values: the elements of arrays, and what stands outside of arrays. They may go on
// over lines. What is no JSON comes through too, a piece a record, for the decoder to refuse.
//
// Whether a record stood in an array shows what follows it, a comma or a closing bracket, so that reading on from any
// record is as reading from the beginning.
type values struct {
	array bool // the text stands within an array
	asked bool // a record ended: whether it stood in an array is not known yet

	buf     []byte // a record that is not whole yet, or that was returned
	taken   bool   // it was returned
	at      int64  // where it begins
	depth   int
	quoted  bool // it is within a string
	escaped bool
	bare    bool // it is no string, object or array: it ends where another thing begins
}

func (v *values) next(t *text) ([]byte, int64, error) {
	if v.taken {
		v.buf, v.taken = v.buf[:0], false
	}
	for {
		window, err := t.window()
		if err != nil {
			if errors.Is(err, io.EOF) && len(v.buf) > 0 && t.ends() {
				t.cut = true
				return v.take(), v.at, nil
			}
			return nil, v.at, err
		}
		if len(v.buf) == 0 {
			n := v.between(window)
			t.skip(n)
			if window = window[n:]; len(window) == 0 {
				continue
			}
			v.at = t.off
			v.bare = window[0] != '{' && window[0] != '[' && window[0] != '"'
		}
		n, done := v.scan(window)
		v.buf = append(v.buf, window[:n]...)
		t.skip(n)
		if done {
			return v.take(), v.at, nil
		}
		if len(v.buf) > maxRecord {
			return nil, v.at, t.tooLong(v.at)
		}
	}
}

// take is the record.
func (v *values) take() []byte {
	v.taken, v.array, v.asked = true, false, true
	v.depth, v.quoted, v.escaped = 0, false, false
	return bytes.TrimRight(v.buf, " \t\r\n")
}

// between is how much of the window stands between records.
func (v *values) between(window []byte) int {
	for i, b := range window {
		switch b {
		case ' ', '\t', '\r', '\n':
			continue
		case ',':
			v.array = v.array || v.asked
		case ']':
			v.array = false
		case '[':
			if v.array {
				return i
			}
			v.array = true
		default:
			v.asked = false
			return i
		}
		v.asked = false
	}
	return len(window)
}

// scan goes on in the record, and reports how much of the window belongs to it and whether it ends there.
func (v *values) scan(window []byte) (int, bool) {
	for i, b := range window {
		switch {
		case v.escaped:
			v.escaped = false
		case v.quoted && b == '\\':
			v.escaped = true
		case v.quoted:
			if b == '"' {
				v.quoted = false
				if v.depth == 0 {
					return i + 1, true
				}
			}
		case v.bare:
			switch b {
			case ' ', '\t', '\r', '\n', ',', ']', '[', '{':
				return i, true
			}
		case b == '"':
			v.quoted = true
		case b == '{' || b == '[':
			v.depth++
		case b == '}' || b == ']':
			if v.depth--; v.depth <= 0 {
				return i + 1, true
			}
		}
	}
	return len(window), false
}

func (v *values) after(t *text) error {
	v.array = true // a [ at this place begins an element, not the array that a text begins with
	_, _, err := v.next(t)
	return noEOF(err)
}

// window is what is read and not used yet, at least one byte.
func (t *text) window() ([]byte, error) {
	if t.in.Buffered() == 0 {
		if _, err := t.in.Peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("at byte %d: %w", t.off, err)
		}
	}
	return t.in.Peek(t.in.Buffered())
}

func (t *text) skip(n int) {
	_, _ = t.in.Discard(n) // it is buffered
	t.off += int64(n)
}
