package wire

import (
	"bytes"
	stdbase64 "encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/segmentio/asm/base64"
)

// jsonReader reads JSON as RFC 8259 and RFC 7493 have it: UTF-8, nothing behind the document. Strings without escapes,
// which are all but a few of what is read, are found and not looked through byte by byte; the rest is jsontext's.
type jsonReader struct {
	doc   []byte
	at    int
	open  []byte // the end of each object and list that is open
	begun bool   // a member or item of the innermost stands before at
	plain []byte // what text unescaped
	blobs []byte // what base64 became, all in one piece
}

func newJSONReader(doc []byte) *jsonReader { return &jsonReader{doc: doc} }

func (r *jsonReader) early() error {
	return syntax("the document ends too early, at byte %d", len(r.doc))
}

// peek is the byte that the next token begins with; 0 at the end, where no token begins with it.
func (r *jsonReader) peek() byte {
	for r.at < len(r.doc) {
		switch c := r.doc[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// wanted says that something else stands where a value is expected.
func (r *jsonReader) wanted(what string) error {
	c := r.peek()
	if r.at == len(r.doc) {
		return r.early()
	}
	name := kindNames[c]
	if name == "" {
		name = strconv.QuoteRune(rune(c))
	}
	return syntax("%s where %s is expected, at byte %d", name, what, r.at)
}

// kindNames are by what a token begins with.
var kindNames = func() (names [256]string) {
	names['n'], names['f'], names['t'], names['"'], names['{'], names['['] = "null", "a truth value", "a truth value", "a string", "an object", "a list"
	for _, c := range "-0123456789" {
		names[c] = "a number"
	}
	return names
}()

// word reads a literal if it comes next.
func (r *jsonReader) word(w string) bool {
	if !bytes.HasPrefix(r.doc[r.at:], []byte(w)) {
		return false
	}
	r.at += len(w)
	return true
}

func (r *jsonReader) null() (bool, error) { return r.peek() == 'n' && r.word("null"), nil }

// begin reads what an object or a list begins with.
func (r *jsonReader) begin(with, end byte, what string) error {
	if r.peek() != with {
		return r.wanted(what)
	}
	if len(r.open) == maxDepth {
		return syntax("nested deeper than %d", maxDepth)
	}
	r.at++
	r.open, r.begun = append(r.open, end), false
	return nil
}

func (r *jsonReader) object() error { return r.begin('{', '}', "an object") }
func (r *jsonReader) list() error   { return r.begin('[', ']', "a list") }

func (r *jsonReader) more() (bool, error) {
	end := r.open[len(r.open)-1]
	switch c := r.peek(); {
	case c == end:
		r.at++
		r.open, r.begun = r.open[:len(r.open)-1], true
		return false, nil
	case r.begun && c == ',':
		r.at++
	case r.begun:
		return false, r.wanted("a comma or " + string(end))
	}
	r.begun = true
	return true, nil
}

func (r *jsonReader) name() ([]byte, error) {
	name, err := r.text()
	if err != nil {
		return nil, err
	}
	if r.peek() != ':' {
		return nil, r.wanted("a colon")
	}
	r.at++
	return name, nil
}

// quoted reads a string that may have escapes and may not be UTF-8, and returns it without its quotes.
func (r *jsonReader) quoted() (text []byte, escapes bool, err error) {
	if r.peek() != '"' {
		return nil, false, r.wanted("a string")
	}
	from := r.at + 1
	n := bytes.IndexByte(r.doc[from:], '"')
	if n < 0 {
		return nil, false, r.early()
	}
	if bytes.IndexByte(r.doc[from:from+n], '\\') < 0 {
		r.at = from + n + 1
		return r.doc[from : from+n], false, nil
	}
	for at := from; at < len(r.doc); at++ {
		switch r.doc[at] {
		case '\\':
			at++ // whatever is escaped ends no string
		case '"':
			r.at = at + 1
			return r.doc[from:at], true, nil
		}
	}
	return nil, false, r.early()
}

func (r *jsonReader) text() ([]byte, error) {
	v, escapes, err := r.quoted()
	if err != nil {
		return nil, err
	}
	if escapes {
		return r.unescape(v)
	}
	ascii := true
	for _, c := range v {
		if c < ' ' {
			return nil, syntax("a control character in a string, before byte %d", r.at)
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && !utf8.Valid(v) {
		return nil, syntax("a string that is not UTF-8, before byte %d", r.at)
	}
	return v, nil
}

// unescape is the string that stands last before at.
func (r *jsonReader) unescape(v []byte) (_ []byte, err error) {
	if r.plain, err = jsontext.AppendUnquote(r.plain[:0], r.doc[r.at-len(v)-2:r.at]); err != nil {
		return nil, syntax("%s, before byte %d", err, r.at)
	}
	return r.plain, nil
}

func (r *jsonReader) blob() ([]byte, error) {
	text, escapes, err := r.quoted()
	if err != nil {
		return nil, err
	}
	if escapes {
		if text, err = r.unescape(text); err != nil {
			return nil, err
		}
	} else if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 { // base64 passes over them
		return nil, syntax("a line break in a string, before byte %d", r.at)
	}
	if r.blobs == nil {
		r.blobs = behind(r.doc)
	}
	to := r.blobs[len(r.blobs) : len(r.blobs)+stdbase64.StdEncoding.DecodedLen(len(text))]
	n, err := base64.StdEncoding.Decode(to, text)
	if err != nil {
		return nil, syntax("not base64: %s", err)
	}
	r.blobs = r.blobs[:len(r.blobs)+n]
	return to[:n:n], nil
}

// behind is an empty slice with room for all blobs of a document: the room behind it, if that is enough.
func behind(doc []byte) []byte {
	need := BlobRoom(len(doc))
	if cap(doc)-len(doc) < need {
		return make([]byte, 0, need)
	}
	return doc[len(doc):len(doc):cap(doc)]
}

// number reads the text of a number.
func (r *jsonReader) number(what string) ([]byte, error) {
	c := r.peek()
	if c != '-' && (c < '0' || c > '9') {
		return nil, r.wanted(what)
	}
	from := r.at
	for r.at < len(r.doc) && (r.doc[r.at] >= '0' && r.doc[r.at] <= '9' || bytes.IndexByte([]byte("+-.eE"), r.doc[r.at]) >= 0) {
		r.at++
	}
	v := r.doc[from:r.at]
	if !jsontext.Value(v).IsValid() {
		return nil, syntax("%.40q is no number", v)
	}
	return v, nil
}

func (r *jsonReader) integer() (int64, error) {
	v, err := r.number("a number")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, syntax("%.40s is not a whole number of 64 bits", v)
	}
	return n, nil
}

func (r *jsonReader) truth() (bool, error) {
	switch c := r.peek(); {
	case c == 't' && r.word("true"):
		return true, nil
	case c == 'f' && r.word("false"):
		return false, nil
	}
	return false, r.wanted("a truth value")
}

func (r *jsonReader) instant() (time.Time, error) {
	v, err := r.number("a number of seconds")
	if err != nil {
		return time.Time{}, err
	}
	s, err := strconv.ParseFloat(string(v), 64)
	if t, ok := seconds(s); err == nil && ok {
		return t, nil
	}
	return time.Time{}, syntax("%.40s is no time in seconds since 1970", v)
}

func (r *jsonReader) skip() error {
	// Remembering the names of what is skipped would take memory without end.
	dec := jsontext.NewDecoder(bytes.NewBuffer(r.doc[r.at:]), jsontext.AllowDuplicateNames(true))
	if err := dec.SkipValue(); err != nil {
		return syntax("%s, behind byte %d", err, r.at)
	}
	r.at += int(dec.InputOffset())
	return nil
}

func (r *jsonReader) end() error {
	if r.peek(); r.at < len(r.doc) {
		return syntax("there is more behind the document")
	}
	return nil
}
