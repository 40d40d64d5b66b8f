package wire

import (
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/segmentio/asm/base64"
)

type jsonWriter struct{ buf []byte }

func (w *jsonWriter) open(list bool, _ int) { w.buf = append(w.buf, bracket(list, '[', '{')) }
func (w *jsonWriter) close(list bool)       { w.buf = append(w.buf, bracket(list, ']', '}')) }
func (w *jsonWriter) separate()             { w.buf = append(w.buf, ',') }

func bracket(list bool, l, o byte) byte {
	if list {
		return l
	}
	return o
}

func (w *jsonWriter) name(member string) {
	w.text(member)
	w.buf = append(w.buf, ':')
}

func (w *jsonWriter) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			w.buf, _ = jsontext.AppendQuote(w.buf, s) // of what is not UTF-8 it writes the replacement character
			return
		}
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, s...)
	w.buf = append(w.buf, '"')
}

func (w *jsonWriter) blob(b []byte) {
	n := base64.StdEncoding.EncodedLen(len(b))
	w.buf = append(slices.Grow(w.buf, n+2), '"')
	at := len(w.buf)
	w.buf = w.buf[:at+n]
	base64.StdEncoding.Encode(w.buf[at:], b)
	w.buf = append(w.buf, '"')
}

func (w *jsonWriter) integer(n int64) { w.buf = strconv.AppendInt(w.buf, n, 10) }
func (w *jsonWriter) truth(b bool)    { w.buf = strconv.AppendBool(w.buf, b) }

// instant writes plain decimals: Java SDKs do not read an exponent (aws-sdk-java-v2 issue 1021).
func (w *jsonWriter) instant(t time.Time) {
	ms := t.UnixMilli()
	if ms < 0 {
		w.buf, ms = append(w.buf, '-'), -ms
	}
	w.buf = strconv.AppendInt(w.buf, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		w.buf = append(w.buf, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
}

func (w *jsonWriter) done() []byte { return w.buf }
