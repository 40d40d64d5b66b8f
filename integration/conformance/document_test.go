package conformance

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// protocol is one that documents travel in.
type protocol int

const (
	jsonText  protocol = iota // application/x-amz-json-1.1
	awsCBOR                   // application/x-amz-cbor-1.1, times in milliseconds
	smithyRPC                 // application/cbor, times in seconds
)

var protocols = []protocol{jsonText, awsCBOR, smithyRPC}

func (p protocol) String() string { return [...]string{"json", "cbor", "rpcv2"}[p] }

// object is a structure or a map of a request, whose members have an order and may stand there twice. The other values are
// nil, string, int64, float64, bool, []byte, time.Time and []any.
type object []member

type member struct {
	name  string
	value any
}

func (o object) get(name string) (any, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// with is the object with a member set.
func (o object) with(name string, v any) object {
	out := o.without(name)
	return append(out, member{name, v})
}

func (o object) without(name string) object {
	out := object{}
	for _, m := range o {
		if m.name != name {
			out = append(out, m)
		}
	}
	return out
}

func (p protocol) encode(v any) []byte {
	if p == jsonText {
		return appendJSON(nil, v)
	}
	return p.appendCBOR(nil, v)
}

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSON(b, m.name), ':')
			b = appendJSON(b, m.value)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, x)
		}
		return append(b, ']')
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"')
	case time.Time:
		return strconv.AppendFloat(b, float64(v.UnixMilli())/1000, 'f', 3, 64)
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, text...)
}

func (p protocol) appendCBOR(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		b = cborHead(b, 5, len(v))
		for _, m := range v {
			b = p.appendCBOR(p.appendCBOR(b, m.name), m.value)
		}
		return b
	case []any:
		b = cborHead(b, 4, len(v))
		for _, x := range v {
			b = p.appendCBOR(b, x)
		}
		return b
	case time.Time:
		var content any = v.UnixMilli()
		if p == smithyRPC {
			content = float64(v.UnixMilli()) / 1000
		}
		return p.appendCBOR(append(b, 0xc1), content)
	}
	text, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, text...)
}

func cborHead(b []byte, major byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, major<<5|26), uint32(n)) //nolint:gosec // as many as a test makes
}

var cborMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// decode reads an answer's document, as yet without a shape; nil if there is none.
func (p protocol) decode(doc []byte) (v any, err error) {
	switch {
	case len(doc) == 0:
		return nil, nil //nolint:nilnil // no document
	case p == jsonText:
		err = json.Unmarshal(doc, &v)
	default:
		err = cborMode.Unmarshal(doc, &v)
	}
	return v, err
}

// canon is a value of an answer that was decoded, in a form that is the same for all protocols. It reports what is not
// as the shape has it.
func (m *model) canon(p protocol, s *shape, v any, at string) (any, error) {
	bad := func() (any, error) { return nil, fmt.Errorf("%s is %T, not %s", at, v, s.Type) }
	switch s.Type {
	case kindStructure:
		return m.canonStructure(p, s, v, at)
	case kindMap:
		out := map[string]any{}
		for k, x := range fields(v) {
			out[k] = x
		}
		return out, nil
	case kindList:
		items, ok := v.([]any)
		if !ok {
			return bad()
		}
		out := []any{}
		for i, x := range items {
			c, err := m.canon(p, m.of(s.Member), x, fmt.Sprintf("%s[%d]", at, i))
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
		return out, nil
	case kindTime:
		n, ok := v.(float64)
		if p != jsonText { // where it is tagged as one, and read as if it were in seconds
			var at time.Time
			at, ok = v.(time.Time)
			n = float64(at.UnixMilli()) / 1000
		}
		if !ok {
			return bad()
		}
		if p == awsCBOR {
			n /= 1000
		}
		return time.UnixMilli(int64(math.Round(n * 1000))), nil
	case kindInt, kindLong:
		n, ok := number(v)
		if !ok || n != math.Trunc(n) {
			return bad()
		}
		return n, nil
	case kindBlob:
		if text, ok := v.(string); ok && p == jsonText {
			return base64.StdEncoding.DecodeString(text)
		}
		if b, ok := v.([]byte); ok {
			return b, nil
		}
		return bad()
	case kindBool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return bad()
	}
	if text, ok := v.(string); ok {
		return text, nil
	}
	return bad()
}

func (m *model) canonStructure(p protocol, s *shape, v any, at string) (any, error) {
	in := fields(v)
	if in == nil {
		return nil, fmt.Errorf("%s is %T, not a structure", at, v)
	}
	out := map[string]any{}
	for name, x := range in {
		r, ok := s.Members[name]
		if !ok {
			return nil, fmt.Errorf("%s.%s is not in the model", at, name)
		}
		c, err := m.canon(p, m.Shapes[r.Shape], x, at+"."+name)
		if err != nil {
			return nil, err
		}
		out[name] = c
	}
	for _, name := range s.Required {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("%s.%s is required and not there", at, name)
		}
	}
	return out, nil
}

// fields are those of an object that was decoded; nil if it is none.
func fields(v any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return v
	case map[any]any:
		out := map[string]any{}
		for k, x := range v {
			name, ok := k.(string)
			if !ok {
				return nil
			}
			out[name] = x
		}
		return out
	}
	return nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case uint64:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return 0, false
}
