package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonReader reads JSON as RFC 8259 and RFC 7493 have it: UTF-8, nothing behind the document.
type jsonReader struct {
	dec   *jsontext.Decoder
	buf   bytes.Buffer
	size  int
	plain []byte // what text unescaped
	blobs []byte // what base64 became, all in one piece
}

var jsonDecoders = sync.Pool{New: func() any { return jsontext.NewDecoder(new(bytes.Buffer)) }}

func newJSONReader(doc []byte) *jsonReader {
	r := &jsonReader{dec: jsonDecoders.Get().(*jsontext.Decoder), size: len(doc)}
	r.buf = *bytes.NewBuffer(doc)
	r.dec.Reset(&r.buf, jsontext.AllowDuplicateNames(true)) // the decoder looks for them; remembering all names takes memory without end
	return r
}

// wrong makes an error of jsontext one of ours.
func (r *jsonReader) wrong(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return syntax("the document ends too early, at byte %d", r.size)
	}
	return syntax("%s", err)
}

func (r *jsonReader) null() (bool, error) {
	if r.dec.PeekKind() != 'n' {
		return false, nil
	}
	_, err := r.dec.ReadToken()
	if err != nil {
		return false, r.wrong(err)
	}
	return true, nil
}

// begin reads the token that comes next, which has to be of a kind.
func (r *jsonReader) begin(want jsontext.Kind, what string) error {
	if k := r.dec.PeekKind(); k != want && k != 0 {
		return syntax("%s where %s is expected", kindNames[k], what)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return r.wrong(err)
	}
	return nil
}

var kindNames = map[jsontext.Kind]string{
	'n': "null", 'f': "a truth value", 't': "a truth value", '"': "a string", '0': "a number", '{': "an object", '[': "a list", '}': "}", ']': "]",
}

func (r *jsonReader) object() error { return r.begin('{', "an object") }
func (r *jsonReader) list() error   { return r.begin('[', "a list") }

func (r *jsonReader) more() (bool, error) {
	k := r.dec.PeekKind()
	if k != '}' && k != ']' && k != 0 {
		return true, nil
	}
	if _, err := r.dec.ReadToken(); err != nil { // of kind 0 it says what is wrong
		return false, r.wrong(err)
	}
	return false, nil
}

func (r *jsonReader) name() ([]byte, error) { return r.text() }

// raw reads the value that comes next, which has to be of a kind, as it is written.
func (r *jsonReader) raw(want jsontext.Kind, what string) ([]byte, error) {
	if k := r.dec.PeekKind(); k != want && k != 0 {
		return nil, syntax("%s where %s is expected", kindNames[k], what)
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.wrong(err)
	}
	return v, nil
}

func (r *jsonReader) text() ([]byte, error) {
	v, err := r.raw('"', "a string")
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	if r.plain, err = jsontext.AppendUnquote(r.plain[:0], v); err != nil {
		return nil, r.wrong(err)
	}
	return r.plain, nil
}

func (r *jsonReader) blob() ([]byte, error) {
	text, err := r.text()
	if err != nil {
		return nil, err
	}
	if r.blobs == nil {
		r.blobs = make([]byte, 0, r.size/4*3+3) // no document holds more
	}
	at := len(r.blobs)
	r.blobs, err = base64.StdEncoding.AppendDecode(r.blobs, text)
	if err != nil {
		return nil, syntax("not base64: %s", err)
	}
	return r.blobs[at:len(r.blobs):len(r.blobs)], nil
}

func (r *jsonReader) integer() (int64, error) {
	v, err := r.raw('0', "a number")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, syntax("%s is not a whole number of 64 bits", v)
	}
	return n, nil
}

func (r *jsonReader) truth() (bool, error) {
	k := r.dec.PeekKind()
	if k != 't' && k != 'f' && k != 0 {
		return false, syntax("%s where a truth value is expected", kindNames[k])
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return false, r.wrong(err)
	}
	return k == 't', nil
}

func (r *jsonReader) instant() (time.Time, error) {
	v, err := r.raw('0', "a number of seconds")
	if err != nil {
		return time.Time{}, err
	}
	s, err := strconv.ParseFloat(string(v), 64)
	if t, ok := seconds(s); err == nil && ok {
		return t, nil
	}
	return time.Time{}, syntax("%s is no time in seconds since 1970", v)
}

func (r *jsonReader) skip() error {
	if err := r.dec.SkipValue(); err != nil {
		return r.wrong(err)
	}
	return nil
}

func (r *jsonReader) end() error {
	_, err := r.dec.ReadToken()
	if err == nil {
		return syntax("there is more behind the document")
	}
	if !errors.Is(err, io.EOF) {
		return r.wrong(err)
	}
	jsonDecoders.Put(r.dec)
	return nil
}
