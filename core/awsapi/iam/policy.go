package iam

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Policy is a checked and compiled policy. The nil Policy allows nothing. It does not change and is safe for concurrent
// use.
type Policy struct{ statements []statement }

type statement struct {
	deny                   bool
	principals             []principal // of a policy on a resource
	actions, resources     []pattern
	notAction, notResource bool // the patterns are those that it does not apply to
	conditions             []condition
}

// maxPolicy is the most bytes that Kinesis takes of a policy on a stream.
const maxPolicy = 20 << 10

// ParsePolicy reads the JSON of a policy of a user: it has no Principal. The error is Errors.
func ParsePolicy(text []byte) (*Policy, error) { return parseJSON(text, false) }

// ParseResourcePolicy reads the JSON of a policy on a resource: every statement has a Principal. The error is Errors.
func ParseResourcePolicy(text []byte) (*Policy, error) { return parseJSON(text, true) }

func parseJSON(text []byte, onResource bool) (*Policy, error) {
	f := &found{}
	if len(text) > maxPolicy {
		f.add(&yaml.Node{}, "", "the policy has %d bytes, more than %d", len(text), maxPolicy)
		return nil, f.err()
	}
	var p *Policy
	if root := f.jsonTree(text, "", placeIn(text)); root != nil {
		p = f.policy(root, "", onResource)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// policy compiles a policy, which counts only when nothing was found.
func (f *found) policy(n *yaml.Node, path string, onResource bool) *Policy {
	fields := f.fields(n, path, "Version", "Id", "Statement")
	if v := fields["Version"]; v != nil && v.Value != "2012-10-17" && v.Value != "2008-10-17" {
		f.add(v, path+".Version", "want 2012-10-17 (or 2008-10-17)")
	}
	if id := fields["Id"]; id != nil {
		f.text(id, path+".Id")
	}
	statements := fields["Statement"]
	if statements == nil || len(items(statements)) == 0 {
		f.add(n, path+".Statement", "missing: a policy has at least one statement")
		return nil
	}
	p, sids := &Policy{}, map[string]bool{}
	for i, s := range items(statements) {
		at := path + ".Statement"
		if statements.Kind == yaml.SequenceNode {
			at = fmt.Sprintf("%s[%d]", at, i)
		}
		p.statements = append(p.statements, f.statement(s, at, onResource, sids))
	}
	return p
}

func (f *found) statement(n *yaml.Node, path string, onResource bool, sids map[string]bool) (s statement) {
	known := []string{"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
	if onResource {
		known = append(known, "Principal")
	}
	before := len(f.list)
	fields := f.fields(n, path, known...)
	if n.Kind != yaml.MappingNode {
		return s
	}
	if sid := fields["Sid"]; sid != nil {
		text, ok := f.text(sid, path+".Sid")
		if ok && text != "" && sids[text] {
			f.add(sid, path+".Sid", "%s stands twice", quote(text))
		}
		sids[text] = true
	}
	switch effect := fields["Effect"]; {
	case effect == nil:
		f.add(n, path+".Effect", "missing: Allow or Deny")
	case effect.Kind == yaml.ScalarNode && slices.Contains([]string{"Allow", "Deny"}, effect.Value):
		s.deny = effect.Value == "Deny"
	default:
		f.add(effect, path+".Effect", "want Allow or Deny")
	}
	s.actions, s.notAction = f.patterns(n, fields, path, "Action", actionPattern)
	s.resources, s.notResource = f.patterns(n, fields, path, "Resource", resourcePattern)
	switch who := fields["Principal"]; {
	case who != nil:
		s.principals = f.principals(who, path+".Principal")
	case onResource && len(f.list) == before:
		f.add(n, path+".Principal", "missing: who the statement is for")
	}
	if conditions := fields["Condition"]; conditions != nil {
		s.conditions = f.conditions(conditions, path+".Condition")
	}
	return s
}

// patterns compiles name or its opposite, one of which a statement has.
func (f *found) patterns(n *yaml.Node, fields map[string]*yaml.Node, path, name string, compile func(string) (pattern, error)) (out []pattern, not bool) {
	value, other := fields[name], fields["Not"+name]
	switch {
	case value == nil && other == nil:
		f.add(n, path+"."+name, "missing: %s or Not%s", name, name)
		return nil, false
	case value != nil && other != nil:
		f.add(other, path+".Not"+name, "a statement has %s or Not%s, not both", name, name)
		return nil, false
	case value == nil:
		value, name, not = other, "Not"+name, true
	}
	f.texts(value, path+"."+name, func(n *yaml.Node, text string) {
		p, err := compile(text)
		if err != nil {
			f.add(n, path+"."+name, "%s: %v", quote(text), err)
		}
		out = append(out, p)
	})
	return out, not
}
