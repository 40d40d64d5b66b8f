package expr

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/penstock/penstock/transforms/internal/timefmt"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// truncate is timestamp_trunc: the start of the hour, day, ... that a time falls in, in UTC.
func truncate(v, unit ref.Val) ref.Val {
	var t time.Time
	switch x := v.(type) {
	case types.Timestamp:
		t = x.UTC()
	case types.String:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, string(x)); err != nil {
			return types.NewErr("%s is no RFC 3339 time", strconv.Quote(shorten(string(x))))
		}
		t = t.UTC()
	}
	y, m, d := t.Date()
	switch unit.(types.String) {
	case "second":
		t = time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	case "minute":
		t = time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.UTC)
	case "hour":
		t = time.Date(y, m, d, t.Hour(), 0, 0, 0, time.UTC)
	case "day":
		t = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	case "month":
		t = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	case "year":
		t = time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
	default:
		return types.NewErr("unknown unit %v; use second, minute, hour, day, month or year", unit)
	}
	return types.Timestamp{Time: t}
}

func parseTimestamp(v, format ref.Val) ref.Val {
	f, err := timefmt.New(string(format.(types.String)), time.UTC)
	if err != nil {
		return types.WrapErr(err)
	}
	t, err := f.Parse(string(v.(types.String)))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Timestamp{Time: t.UTC()}
}

// parse is parse_timestamp with a constant format, which is read once.
type parse struct {
	typed
	format *timefmt.Format
	call   *call
}

func (x *parse) vec(f *frame) *vec {
	a := x.call.args[0].vec(f)
	if a.kind != kindString {
		return x.call.vec(f)
	}
	out := newVec(kindTime, f.n).inherit(a)
	m := a.mask()
	for i := range out.t {
		if !out.ok(i) {
			continue
		}
		t, err := x.format.Parse(a.s[i&m])
		if err != nil {
			out.fail(i, &failure{codeBadValue, err.Error()})
			continue
		}
		out.t[i] = stampOf(t)
	}
	return out
}

func (x *parse) row(f *frame, i int, sc *scope) (ref.Val, *failure) { return x.call.row(f, i, sc) }

// now is the arrival time of the row's record: the same however often the row is computed.
type now struct{ typed }

func (x *now) vec(f *frame) *vec {
	out := newVec(kindTime, f.n)
	arrivals := f.batch.Arrivals()
	for i := range out.t {
		out.t[i] = stampOf(time.UnixMilli(int64(arrivals.Value(i))))
	}
	return out
}

func (x *now) row(f *frame, i int, _ *scope) (ref.Val, *failure) {
	return types.Timestamp{Time: time.UnixMilli(int64(f.batch.Arrivals().Value(i))).UTC()}, nil
}

// uuid is a hash of the row's identity in the form of a version 8 UUID: every use within a row gives the same.
type uuid struct{ typed }

func (x *uuid) vec(f *frame) *vec { return byRows(x, f) }

func (x *uuid) row(f *frame, i int, _ *scope) (ref.Val, *failure) {
	b := f.batch
	sum := sha256.Sum256([]byte(string(b.Shard) + "\x00" + string(b.SequenceOf(i)) + "\x00" + strconv.Itoa(int(b.Ords().Value(i)))))
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	h := hex.EncodeToString(u)
	return types.String(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]), nil
}
