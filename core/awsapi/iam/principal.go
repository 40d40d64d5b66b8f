package iam

import (
	"regexp"

	"go.yaml.in/yaml/v3"
)

// principal is whom a statement of a policy on a resource is for: everyone, an account, or one ARN.
type principal struct {
	everyone     bool
	account, arn string
}

var (
	accountForm = regexp.MustCompile(`^\d{12}$`)
	rootForm    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(\d{12}):root$`)
	arnForm     = regexp.MustCompile(`^arn:aws[a-z-]*:(?:iam|sts)::\d{12}:(?:user|role|assumed-role|federated-user)/[^\s*?]+$`)
)

func (f *found) principals(n *yaml.Node, path string) (out []principal) {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "*" {
			f.add(n, path, `want "*" or {"AWS": ...}`)
		}
		return []principal{{everyone: true}}
	}
	aws := f.fields(n, path, "AWS")["AWS"]
	if aws == nil {
		if n.Kind == yaml.MappingNode {
			f.add(n, path, `want "*" or {"AWS": ...}`)
		}
		return nil
	}
	f.texts(aws, path+".AWS", func(n *yaml.Node, text string) {
		switch root := rootForm.FindStringSubmatch(text); {
		case text == "*":
			out = append(out, principal{everyone: true})
		case accountForm.MatchString(text):
			out = append(out, principal{account: text})
		case root != nil:
			out = append(out, principal{account: root[1]})
		case len(text) <= maxPattern && arnForm.MatchString(text):
			out = append(out, principal{arn: text})
		default:
			f.add(n, path+".AWS", `%s: want "*", an account of 12 digits, or the ARN of a user or role without wildcards`, quote(text))
		}
	})
	return out
}

// match reports whether a principal is who asks, and whether it names more than the asker's whole account. As in AWS, to
// allow an account is to let it decide for itself: its own users need their own policy too.
func (p principal) match(r *Request) (ok, direct bool) {
	switch {
	case p.everyone, p.arn != "" && p.arn == r.Principal:
		return true, true
	case p.account != "" && p.account == r.Account:
		return true, false
	}
	return false, false
}
