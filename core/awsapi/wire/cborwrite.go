package wire

import (
	"encoding/binary"
	"math"
	"time"
)

type cborWriter struct {
	buf    []byte
	millis bool
}

// head writes a major type and its argument, as short as can be.
func (w *cborWriter) head(major byte, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		w.buf = append(w.buf, major|byte(n))
	case n <= math.MaxUint8:
		w.buf = append(w.buf, major|24, byte(n))
	case n <= math.MaxUint16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, major|25), uint16(n))
	case n <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, major|26), uint32(n))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, major|27), n)
	}
}

func (w *cborWriter) open(list bool, n int) {
	w.head(bracket(list, cborArray, cborMap), uint64(n)) //nolint:gosec // a length
}

func (w *cborWriter) close(bool)         {}
func (w *cborWriter) separate()          {}
func (w *cborWriter) name(member string) { w.text(member) }

func (w *cborWriter) text(s string) {
	w.head(cborText, uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *cborWriter) blob(b []byte) {
	w.head(cborBytes, uint64(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *cborWriter) integer(n int64) {
	if n < 0 {
		w.head(cborNegative, uint64(-1-n)) //nolint:gosec // not negative
		return
	}
	w.head(cborUint, uint64(n))
}

func (w *cborWriter) truth(b bool) {
	if b {
		w.head(cborSimple, cborTrue)
		return
	}
	w.head(cborSimple, cborFalse)
}

// instant writes tag 1: whole milliseconds for AWS's own CBOR, and seconds for RPC v2, as a double if they are not whole.
func (w *cborWriter) instant(t time.Time) {
	w.head(cborTag, cborEpoch)
	ms := t.UnixMilli()
	switch {
	case w.millis:
		w.integer(ms)
	case ms%1000 == 0:
		w.integer(ms / 1000)
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, cborSimple<<5|cborDouble), math.Float64bits(float64(ms)/1000))
	}
}

func (w *cborWriter) done() []byte { return w.buf }
