package iam

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// contextKey is one fact of a request that conditions may ask for.
type contextKey struct {
	name  string
	kinds []kind // what operators, beside those of text, can be used on it
	// value is the fact as text, and whether it is there.
	value func(r *Request) (string, bool)
}

type kind int

const (
	text kind = iota
	number
	date
	boolean
	address
	arn
)

// contextKeys are all that a policy may ask for. Each is known for every request, or known not to be there; a key that
// only some operations would fill in must not stand here, as a Deny with it would not be heard.
var contextKeys = []contextKey{
	{"aws:SourceIp", []kind{address}, func(r *Request) (string, bool) { return canonical(r.SourceIP).String(), r.SourceIP.IsValid() }},
	{"aws:SecureTransport", []kind{boolean}, func(r *Request) (string, bool) { return strconv.FormatBool(r.Secure), true }},
	{"aws:CurrentTime", []kind{date}, func(r *Request) (string, bool) { return r.Time.UTC().Format(time.RFC3339), !r.Time.IsZero() }},
	{"aws:EpochTime", []kind{date, number}, func(r *Request) (string, bool) { return strconv.FormatInt(r.Time.Unix(), 10), !r.Time.IsZero() }},
	{"aws:PrincipalArn", []kind{arn}, func(r *Request) (string, bool) { return r.Principal, r.Principal != "" }},
	{"aws:PrincipalAccount", nil, func(r *Request) (string, bool) { return r.Account, r.Account != "" }},
	{"aws:ResourceAccount", nil, func(r *Request) (string, bool) { a := accountOf(r.Resource); return a, a != "" }},
}

func canonical(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// condition is one operator on one key. It holds when one of the values matches, or with a negated operator none.
type condition struct {
	key            contextKey
	negated        bool
	matches        func(r *Request, value string) bool
	whereMissing   bool // what it is when the key is not there
	null, wantNull bool // it asks only whether the key is there
}

func (c *condition) holds(r *Request) bool {
	value, ok := c.key.value(r)
	switch {
	case c.null:
		return ok != c.wantNull
	case !ok:
		return c.whereMissing
	}
	return c.matches(r, value) != c.negated
}

func (f *found) conditions(n *yaml.Node, path string) (out []condition) {
	f.each(n, path, func(operator, keys *yaml.Node) {
		at := path + "." + operator.Value
		name, quantifier := operator.Value, ""
		if before, after, ok := strings.Cut(name, ":"); ok {
			quantifier, name = before, after
		}
		base, ifExists := strings.CutSuffix(name, "IfExists")
		op, ok := operators[base]
		if !ok || quantifier != "" && quantifier != "ForAnyValue" && quantifier != "ForAllValues" || base == "Null" && name+quantifier != "Null" {
			f.add(operator, path, "unknown operator %s (have %s; each but Null also with IfExists, ForAnyValue: and ForAllValues:)", quote(operator.Value), operatorNames)
			return
		}
		if keys.Kind == yaml.MappingNode && len(keys.Content) == 0 {
			f.add(keys, at, "the mapping is empty")
		}
		seen := map[string]bool{}
		f.each(keys, at, func(key, values *yaml.Node) {
			i := slices.IndexFunc(contextKeys, func(k contextKey) bool { return strings.EqualFold(k.name, key.Value) })
			switch {
			case i < 0:
				f.add(key, at, "unknown key %s (have %s)", quote(key.Value), keyNames())
				return
			case seen[contextKeys[i].name]:
				f.add(key, at, "%s stands twice", quote(key.Value))
				return
			case op.kind != text && !slices.Contains(contextKeys[i].kinds, op.kind):
				f.add(key, at, "%s cannot be compared by %s", contextKeys[i].name, base)
				return
			}
			seen[contextKeys[i].name] = true
			c := condition{key: contextKeys[i], negated: op.negated, null: base == "Null"}
			switch {
			case ifExists, quantifier == "ForAllValues":
				c.whereMissing = true
			case quantifier == "":
				c.whereMissing = op.negated
			}
			f.values(values, at+"."+key.Value, op, &c)
			out = append(out, c)
		})
	})
	return out
}

// values compiles what a key is compared with.
func (f *found) values(n *yaml.Node, path string, op operator, c *condition) {
	var all []func(string) bool
	f.texts(n, path, func(n *yaml.Node, value string) {
		err := bounded(value)
		if err == nil {
			var one func(string) bool
			one, err = op.compile(value)
			all = append(all, one)
			c.wantNull = value == "true"
		}
		if err != nil {
			f.add(n, path, "%s: %v", quote(value), err)
		}
	})
	if c.null && len(all) > 1 {
		f.add(n, path, "want one of true and false")
	}
	c.matches = func(_ *Request, value string) bool {
		return slices.ContainsFunc(all, func(one func(string) bool) bool { return one(value) })
	}
}

func keyNames() string {
	names := make([]string, len(contextKeys))
	for i, k := range contextKeys {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}
