package wire

import (
	"math"
	"math/bits"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// tokens read one document, value by value. Each call reads the value that comes next, whose type has to be the one
// asked for; what they return is a *SyntaxError. String and name results are only good until the next call.
type tokens interface { //nolint:interfacebloat // one method for each kind of value
	// null reads the next value if it is null.
	null() (bool, error)
	// object and list begin one; more reports whether another member or item comes, and reads the end if not.
	object() error
	list() error
	more() (bool, error)
	name() ([]byte, error)
	text() ([]byte, error)
	blob() ([]byte, error) // may be a slice of the document; never of what text returns
	integer() (int64, error)
	truth() (bool, error)
	instant() (time.Time, error)
	// skip reads a value of any type.
	skip() error
	// end says whether anything comes after the document.
	end() error
}

// decoder reads a document into a struct and finds what violates its shape.
type decoder struct {
	tokens
	path       path
	violations []string
	texts      strings.Builder
}

// own makes a string of what is only good for now. Small ones share allocations.
func (d *decoder) own(b []byte) string {
	const each = 1 << 10
	if d.texts.Cap()-d.texts.Len() < len(b) {
		if len(b) > each/4 {
			return string(b)
		}
		d.texts.Reset() // what it held stays with its strings
		d.texts.Grow(each)
	}
	at := d.texts.Len()
	_, _ = d.texts.Write(b) // never fails
	return d.texts.String()[at:]
}

func (d *decoder) document(into any) error {
	v := reflect.ValueOf(into).Elem()
	if isNull, err := d.null(); err != nil || isNull {
		if err == nil {
			err = syntax("the document is null")
		}
		return err
	}
	if err := d.structure(shapeOf(v.Type()), v); err != nil {
		return err
	}
	return d.end()
}

// next reads the name of an object's next member; more is false at its end.
func (d *decoder) next() (name []byte, more bool, err error) {
	if more, err = d.more(); err == nil && more {
		name, err = d.name()
	}
	return name, more, err
}

// structure reads an object. A struct has at most 64 members.
func (d *decoder) structure(s *shape, v reflect.Value) error {
	if err := d.object(); err != nil {
		return err
	}
	var seen uint64
	for {
		name, more, err := d.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		n, known := s.byName[string(name)]
		if !known {
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<n) != 0 {
			return syntax("the member %s stands there twice", s.fields[n].name)
		}
		seen |= 1 << n
		if err := d.member(&s.fields[n], v); err != nil {
			return err
		}
	}
	for unseen := ^seen & (1<<len(s.fields) - 1); unseen != 0; unseen &= unseen - 1 {
		if f := &s.fields[bits.TrailingZeros64(unseen)]; f.required {
			d.path.push(f.path)
			d.missing()
			d.path.pop()
		}
	}
	return nil
}

func (d *decoder) member(f *field, v reflect.Value) error {
	d.path.push(f.path)
	defer d.path.pop()
	isNull, err := d.null()
	if err != nil {
		return err
	}
	if isNull {
		if f.required {
			d.missing()
		}
		return nil
	}
	to := v.Field(f.at)
	if f.pointer {
		to.Set(reflect.New(f.shape.typ))
		to = to.Elem()
	}
	return d.value(f.shape, f, &f.limits, to)
}

// value reads a value that is not null.
func (d *decoder) value(s *shape, f *field, l *limits, to reflect.Value) error {
	switch s.kind {
	case kindString:
		b, err := d.text()
		if err != nil {
			return d.at(err)
		}
		text := d.own(b)
		to.SetString(text)
		d.checkString(l, text)
	case kindBlob:
		b, err := d.blob()
		if err != nil {
			return d.at(err)
		}
		to.SetBytes(b)
		d.length(l, len(b), func() string { return heapBuffer(len(b)) })
	case kindInt:
		n, err := d.integer()
		if err != nil {
			return d.at(err)
		}
		if to.OverflowInt(n) {
			return d.at(syntax("%d is out of range", n))
		}
		to.SetInt(n)
		d.checkInt(l, n)
	case kindBool:
		b, err := d.truth()
		if err != nil {
			return d.at(err)
		}
		to.SetBool(b)
	case kindTime:
		t, err := d.instant()
		if err != nil {
			return d.at(err)
		}
		to.Set(reflect.ValueOf(At(t)))
	case kindStruct:
		return d.structure(s, to)
	case kindList:
		return d.items(s, f, l, to)
	case kindMap:
		return d.entries(f, l, to)
	}
	return nil
}

// heapBuffer is how AWS shows a blob.
func heapBuffer(n int) string {
	return "'java.nio.HeapByteBuffer[pos=0 lim=" + strconv.Itoa(n) + " cap=" + strconv.Itoa(n) + "]'"
}

// at adds the place to an error of a value.
func (d *decoder) at(err error) error { return syntax("%s: %s", d.path.String(), err) }

// maxItems bounds a list before its limit is checked; no list of a service may have as many.
const maxItems = 20_000

func (d *decoder) items(s *shape, f *field, l *limits, to reflect.Value) error {
	if err := d.list(); err != nil {
		return d.at(err)
	}
	to.Set(reflect.MakeSlice(s.typ, 0, 4))
	n := 0
	for ; ; n++ {
		more, err := d.more()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if n == maxItems {
			return d.at(syntax("more than %d items", maxItems))
		}
		d.path.pushItem(n)
		isNull, err := d.null()
		if err != nil {
			return err
		}
		if n == to.Cap() {
			to.Grow(n)
		}
		to.SetLen(n + 1)
		if isNull {
			d.missing()
		} else if err := d.value(s.item, f, &f.inner, to.Index(n)); err != nil {
			return err
		}
		d.path.pop()
	}
	d.length(l, n, func() string { return "'[" + strconv.Itoa(n) + " items]'" })
	return nil
}

func (d *decoder) entries(f *field, l *limits, to reflect.Value) error {
	if err := d.object(); err != nil {
		return d.at(err)
	}
	m := map[string]string{}
	for {
		name, more, err := d.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if len(m) == maxItems {
			return d.at(syntax("more than %d entries", maxItems))
		}
		key := d.own(name)
		if _, twice := m[key]; twice {
			return d.at(syntax("the key %q stands there twice", key))
		}
		d.checkString(&f.key, key)
		d.path.push(key)
		isNull, err := d.null()
		if err != nil {
			return err
		}
		var value string
		if !isNull {
			b, err := d.text()
			if err != nil {
				return d.at(err)
			}
			value = d.own(b)
			d.checkString(&f.inner, value)
		}
		d.path.pop()
		m[key] = value
	}
	to.Set(reflect.ValueOf(m))
	d.length(l, len(m), func() string { return "'{" + strconv.Itoa(len(m)) + " entries}'" })
	return nil
}

// seconds is the moment that many seconds after the epoch; false for what no time of a service can be.
func seconds(s float64) (time.Time, bool) {
	if math.IsNaN(s) || math.Abs(s) > 1e12 {
		return time.Time{}, false
	}
	// A Java SDK of the first generation writes milliseconds into JSON (aws-sdk-java issue 2588); nothing of a stream
	// is as late as year 5000.
	if s > 1e11 {
		s /= 1000
	}
	return time.UnixMilli(int64(math.Round(s * 1000))), true
}
