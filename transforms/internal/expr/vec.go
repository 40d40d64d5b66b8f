package expr

import (
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// kind is how the values of a node are stored.
type kind uint8

const (
	kindNull   kind = iota // every value is null
	kindBool               // b
	kindInt                // i
	kindDouble             // f
	kindString             // s
	kindTime               // t
	kindAny                // v
)

// Failure is a row for which an expression has no value.
type Failure struct {
	Row    int
	Code   string // overflow, division_by_zero, bad_value
	Reason string
}

const (
	codeOverflow = "overflow"
	codeZero     = "division_by_zero"
	codeBadValue = "bad_value"
)

type failure struct{ code, reason string }

// stamp is a point of time, to the nanosecond, within CEL's years 1 to 9999.
type stamp struct {
	sec  int64
	nano int32
}

func stampOf(t time.Time) stamp { return stamp{t.Unix(), int32(t.Nanosecond())} } //nolint:gosec // below 1e9

func (s stamp) time() time.Time { return time.Unix(s.sec, int64(s.nano)).UTC() }

func (s stamp) compare(o stamp) int {
	switch {
	case s == o:
		return 0
	case s.sec < o.sec || s.sec == o.sec && s.nano < o.nano:
		return -1
	default:
		return 1
	}
}

// vec is a column of intermediate values. Rows that are not valid are null, or failed if they stand in fails.
type vec struct {
	kind  kind
	one   bool // a constant: the slices have one element, whatever n is
	n     int
	valid []bool // nil: every row is valid
	fails map[int]*failure
	b     []bool
	i     []int64
	f     []float64
	s     []string
	t     []stamp
	v     []ref.Val
}

// newVec has room for n values, all of them valid.
func newVec(k kind, n int) *vec {
	x := &vec{kind: k, n: n}
	switch k {
	case kindBool:
		x.b = make([]bool, n)
	case kindInt:
		x.i = make([]int64, n)
	case kindDouble:
		x.f = make([]float64, n)
	case kindString:
		x.s = make([]string, n)
	case kindTime:
		x.t = make([]stamp, n)
	case kindAny:
		x.v = make([]ref.Val, n)
	case kindNull:
		x.valid = make([]bool, n)
	}
	return x
}

// mask turns a row into an index of the slices: i & mask.
func (x *vec) mask() int {
	if x.one {
		return 0
	}
	return -1
}

func (x *vec) ok(i int) bool { return x.valid == nil || x.valid[i&x.mask()] }

func (x *vec) failed(i int) *failure {
	if x.fails == nil {
		return nil
	}
	return x.fails[i&x.mask()]
}

// own makes valid a slice that may be written.
func (x *vec) own() {
	if x.valid == nil {
		x.valid = make([]bool, x.n)
		for i := range x.valid {
			x.valid[i] = true
		}
	}
}

func (x *vec) null(i int) {
	x.own()
	x.valid[i] = false
}

func (x *vec) fail(i int, f *failure) {
	x.null(i)
	if x.fails == nil {
		x.fails = map[int]*failure{}
	}
	if x.fails[i] == nil {
		x.fails[i] = f
	}
}

// inherit makes the rows of x null or failed for which an operand is; of several failures the first operand's counts.
func (x *vec) inherit(operands ...*vec) *vec {
	for _, o := range operands {
		if o.valid == nil {
			continue
		}
		x.own()
		m := o.mask()
		for i := range x.valid {
			x.valid[i] = x.valid[i] && o.valid[i&m]
		}
	}
	for _, o := range operands {
		switch {
		case o.fails == nil:
		case o.one:
			for i := range x.n {
				x.fail(i, o.fails[0])
			}
		default:
			for i, f := range o.fails {
				x.fail(i, f)
			}
		}
	}
	return x
}

// value is row i as CEL has it; the row must be valid or null.
func (x *vec) value(i int) ref.Val {
	if !x.ok(i) {
		return types.NullValue
	}
	i &= x.mask()
	switch x.kind {
	case kindBool:
		return types.Bool(x.b[i])
	case kindInt:
		return types.Int(x.i[i])
	case kindDouble:
		return types.Double(x.f[i])
	case kindString:
		return types.String(x.s[i])
	case kindTime:
		return types.Timestamp{Time: x.t[i].time()}
	case kindAny:
		return x.v[i]
	case kindNull:
	}
	return types.NullValue
}

// set stores what a row's evaluation gave.
func (x *vec) set(i int, v ref.Val, f *failure) {
	if f != nil {
		x.fail(i, f)
		return
	}
	if v == types.NullValue || v == nil {
		x.null(i)
		return
	}
	ok := true
	switch x.kind {
	case kindBool:
		var b types.Bool
		b, ok = v.(types.Bool)
		x.b[i] = bool(b)
	case kindInt:
		var n types.Int
		n, ok = v.(types.Int)
		x.i[i] = int64(n)
	case kindDouble:
		x.f[i], ok = asDouble(v)
	case kindString:
		var s types.String
		s, ok = v.(types.String)
		x.s[i] = string(s)
	case kindTime:
		var t types.Timestamp
		t, ok = v.(types.Timestamp)
		x.t[i] = stampOf(t.Time)
	case kindAny:
		x.v[i] = v
	case kindNull:
		x.null(i)
	}
	if !ok {
		x.fail(i, &failure{codeBadValue, "unexpected " + v.Type().TypeName()})
	}
}

func asDouble(v ref.Val) (float64, bool) {
	switch d := v.(type) {
	case types.Double:
		return float64(d), true
	case types.Int:
		return float64(d), true
	default:
		return 0, false
	}
}
