package json

import (
	"encoding/binary"
	"unicode/utf8"
)

// key is how the name of a column is most often written: in quotes, without escapes, the colon right behind it.
type key struct {
	text   string // empty where the name cannot be written so
	first  [2]uint64
	masks  [2]uint64 // of the bytes of first that count
	length int
}

// never is longer than any record: a key of that length is not found.
const never = 1 << 62

func newKey(name string) key {
	for _, c := range []byte(name) {
		if c < ' ' || c == '"' || c == '\\' {
			return key{length: never}
		}
	}
	if !utf8.ValidString(name) {
		return key{length: never}
	}
	k := key{text: `"` + name + `":`}
	k.length = len(k.text)
	var text, mask [16]byte
	for i := range copy(text[:], k.text) {
		mask[i] = 0xff
	}
	for i := range k.first {
		k.first[i] = binary.LittleEndian.Uint64(text[8*i:])
		k.masks[i] = binary.LittleEndian.Uint64(mask[8*i:])
	}
	return k
}

// at reports whether k stands where s is. Its first 16 bytes are compared at once, whatever follows a shorter key.
func (k *key) at(s *scanner) bool {
	i, end := s.i, s.i+k.length
	if end > len(s.b) {
		return false
	}
	if i+16 > len(s.wide) {
		return string(s.b[i:end]) == k.text
	}
	b := s.wide[i : i+16]
	return (binary.LittleEndian.Uint64(b)^k.first[0])&k.masks[0]|(binary.LittleEndian.Uint64(b[8:])^k.first[1])&k.masks[1] == 0 &&
		(k.length <= 16 || string(s.b[i+16:end]) == k.text[16:])
}

// near bounds how many fields are tried by their keys as written before a key is read and looked up.
const near = 16

// kid reads a key and the colon after it. It returns the struct's field of that name, or nil and the name if it has
// none. Keys mostly come in one order, so field next is tried first; next is then the one behind what was found.
func (s *scanner) kid(c *column, next *int) (k *column, name []byte, err *syntaxError) {
	if s.i < len(s.b) && s.b[s.i] != '"' {
		s.space()
	}
	n := len(c.kids)
	for j, tries := *next, min(n, near); tries > 0; tries-- {
		if j >= n {
			j = 0
		}
		if k := c.kids[j]; k.key.at(s) {
			s.i += k.key.length
			*next = j + 1
			return k, nil, nil
		}
		j++
	}
	if name, err = s.name(); err != nil {
		return nil, nil, err
	}
	i, ok := c.index[string(name)]
	if !ok {
		return nil, name, nil
	}
	*next = i + 1
	return c.kids[i], nil, nil
}
