package wire

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// Major types of CBOR (RFC 8949, section 3.1).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

const (
	cborFalse     = 20
	cborTrue      = 21
	cborNull      = 22
	cborUndefined = 23
	cborHalf      = 25
	cborSingle    = 26
	cborDouble    = 27
	cborOpen      = 31 // of indefinite length; of major type 7: the break that ends it
	cborBreak     = 0xff
	cborEpoch     = 1 // the tag of a time
)

// cborReader reads CBOR: lengths definite or not, as Jackson writes them for the Java SDK.
type cborReader struct {
	doc    []byte
	at     int
	millis bool    // times are in milliseconds
	open   []int64 // of each map and array that is open, how many members or items are left; -1: until a break
}

var cborNames = [8]string{"a number", "a negative number", "a byte string", "a text", "a list", "a map", "a tag", "a simple value"}

func (r *cborReader) early() error {
	return syntax("the document ends too early, at byte %d", len(r.doc))
}

// peek is the head byte of the value that comes next.
func (r *cborReader) peek() (major, info byte, err error) {
	if r.at >= len(r.doc) {
		return 0, 0, r.early()
	}
	b := r.doc[r.at]
	return b >> 5, b & 31, nil
}

// head reads a head and returns its argument. open says that the length is indefinite.
func (r *cborReader) head() (arg uint64, open bool, err error) {
	major, info, err := r.peek()
	if err != nil {
		return 0, false, err
	}
	r.at++
	switch {
	case info < 24:
		return uint64(info), false, nil
	case info < 28:
		n := 1 << (info - 24)
		if len(r.doc)-r.at < n {
			return 0, false, r.early()
		}
		var b [8]byte
		copy(b[8-n:], r.doc[r.at:])
		r.at += n
		return binary.BigEndian.Uint64(b[:]), false, nil
	case info == cborOpen && major >= cborBytes && major <= cborMap:
		return 0, true, nil
	}
	return 0, false, syntax("byte %d is no head of CBOR", r.at-1)
}

// expect reads a head that has to be of a major type.
func (r *cborReader) expect(want byte, what string) (arg uint64, open bool, err error) {
	major, _, err := r.peek()
	if err != nil {
		return 0, false, err
	}
	if major != want {
		return 0, false, syntax("%s where %s is expected", cborNames[major], what)
	}
	return r.head()
}

func (r *cborReader) null() (bool, error) {
	major, info, err := r.peek()
	if err != nil {
		return false, err
	}
	if major == cborSimple && (info == cborNull || info == cborUndefined) {
		r.at++
		return true, nil
	}
	return false, nil
}

func (r *cborReader) begin(major byte, what string) error {
	n, open, err := r.expect(major, what)
	if err != nil {
		return err
	}
	if len(r.open) == maxDepth {
		return syntax("nested deeper than %d", maxDepth)
	}
	left := int64(-1)
	if !open {
		if n > uint64(len(r.doc)-r.at) { // each takes a byte at least
			return r.early()
		}
		left = int64(n) //nolint:gosec // not more than the document has bytes
	}
	r.open = append(r.open, left)
	return nil
}

func (r *cborReader) object() error { return r.begin(cborMap, "a map") }
func (r *cborReader) list() error   { return r.begin(cborArray, "a list") }

func (r *cborReader) more() (bool, error) {
	left := &r.open[len(r.open)-1]
	if *left < 0 {
		if r.at >= len(r.doc) {
			return false, r.early()
		}
		if r.doc[r.at] != cborBreak {
			return true, nil
		}
		r.at++
	} else if *left > 0 {
		*left--
		return true, nil
	}
	r.open = r.open[:len(r.open)-1]
	return false, nil
}

// bytes reads a byte string or a text. One in pieces is put together in memory of its own.
func (r *cborReader) bytes(major byte, what string) ([]byte, error) {
	n, open, err := r.expect(major, what)
	if err != nil {
		return nil, err
	}
	if !open {
		return r.take(n)
	}
	whole := []byte{}
	for {
		if r.at < len(r.doc) && r.doc[r.at] == cborBreak {
			r.at++
			return whole, nil
		}
		n, open, err := r.expect(major, what)
		if err != nil {
			return nil, err
		}
		if open {
			return nil, syntax("a piece of %s is itself in pieces, at byte %d", what, r.at-1)
		}
		piece, err := r.take(n)
		if err != nil {
			return nil, err
		}
		whole = append(whole, piece...)
	}
}

func (r *cborReader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.doc)-r.at) {
		return nil, r.early()
	}
	b := r.doc[r.at : r.at+int(n) : r.at+int(n)] //nolint:gosec // not more than the document has bytes
	r.at += int(n)                               //nolint:gosec // as above
	return b, nil
}

func (r *cborReader) name() ([]byte, error) { return r.text() }

func (r *cborReader) text() ([]byte, error) {
	b, err := r.bytes(cborText, "a text")
	if err == nil && !utf8.Valid(b) {
		err = syntax("a text that is not UTF-8, before byte %d", r.at)
	}
	return b, err
}

func (r *cborReader) blob() ([]byte, error) { return r.bytes(cborBytes, "a byte string") }

func (r *cborReader) integer() (int64, error) {
	major, _, err := r.peek()
	if err != nil {
		return 0, err
	}
	if major != cborUint && major != cborNegative {
		return 0, syntax("%s where a number is expected", cborNames[major])
	}
	n, _, err := r.head()
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64 {
		return 0, syntax("a number is not one of 64 bits, before byte %d", r.at)
	}
	if major == cborNegative {
		return -1 - int64(n), nil //nolint:gosec // checked above
	}
	return int64(n), nil //nolint:gosec // checked above
}

func (r *cborReader) truth() (bool, error) {
	n, _, err := r.expect(cborSimple, "a truth value")
	if err != nil {
		return false, err
	}
	if n != cborFalse && n != cborTrue {
		return false, syntax("a simple value where a truth value is expected")
	}
	return n == cborTrue, nil
}

func (r *cborReader) instant() (time.Time, error) {
	major, _, err := r.peek()
	if err != nil {
		return time.Time{}, err
	}
	if major == cborTag {
		if tag, _, err := r.head(); err != nil || tag != cborEpoch {
			return time.Time{}, syntax("tag %d where a time is expected", tag)
		}
	}
	n, err := r.number()
	if err != nil {
		return time.Time{}, err
	}
	if r.millis {
		n /= 1000
	}
	t, ok := seconds(n)
	if !ok {
		return time.Time{}, syntax("%g is no time", n)
	}
	return t, nil
}

// number reads a number of any kind.
func (r *cborReader) number() (float64, error) {
	major, info, err := r.peek()
	if err != nil {
		return 0, err
	}
	if major != cborSimple {
		n, err := r.integer()
		return float64(n), err
	}
	n, _, err := r.head()
	switch {
	case err != nil:
		return 0, err
	case info == cborDouble:
		return math.Float64frombits(n), nil
	case info == cborSingle:
		return float64(math.Float32frombits(uint32(n))), nil //nolint:gosec // 32 bits
	case info == cborHalf:
		return half(uint16(n)), nil //nolint:gosec // 16 bits
	}
	return 0, syntax("a simple value where a number is expected")
}

// half is a number of 16 bits (RFC 8949, appendix D).
func half(h uint16) float64 {
	exp, mant := int(h>>10)&31, float64(h&0x3ff)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(mant, -24)
	case 31:
		v = math.Inf(1)
		if mant != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(mant+1024, exp-25)
	}
	if h&0x8000 != 0 {
		return -v
	}
	return v
}

// skip reads a value of any type.
func (r *cborReader) skip() error {
	major, _, err := r.peek()
	if err != nil {
		return err
	}
	switch major {
	case cborBytes, cborText:
		_, err := r.bytes(major, cborNames[major])
		return err
	case cborMap, cborArray:
		return r.skipAll(major)
	case cborTag:
		if _, _, err := r.head(); err != nil {
			return err
		}
		if len(r.open) == maxDepth { // tags of tags of tags
			return syntax("nested deeper than %d", maxDepth)
		}
		r.open = append(r.open, 0)
		err := r.skip()
		r.open = r.open[:len(r.open)-1]
		return err
	}
	_, _, err = r.head()
	return err
}

func (r *cborReader) skipAll(major byte) error {
	if err := r.begin(major, ""); err != nil {
		return err
	}
	for {
		more, err := r.more()
		if err != nil || !more {
			return err
		}
		if major == cborMap {
			if err := r.skip(); err != nil {
				return err
			}
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
}

func (r *cborReader) end() error {
	if r.at != len(r.doc) {
		return syntax("%d bytes stand behind the document", len(r.doc)-r.at)
	}
	return nil
}
