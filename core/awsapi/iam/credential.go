package iam

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// Credential is one entry of a credentials file.
type Credential struct {
	sigv4.Key
	Policy *Policy
}

// The lengths that are taken: shorter secrets can be guessed from one signature that was seen.
const (
	minSecret = 16
	maxSecret = 4096 // session tokens of AWS have some 1,000
)

var accessKeyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{3,128}$`)

// parse reads a credentials file:
//
//   - access_key: PSTK...
//     secret_key: ...
//     session_token: ...             # optional
//     active: true                   # optional
//     expires: 2027-01-01T00:00:00Z  # optional
//     policy: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "kinesis:*", Resource: "*"}]}  # or JSON text
func parse(name string, file []byte) (map[string]Credential, error) {
	f := &found{file: name}
	out := map[string]Credential{}
	if root := f.yamlTree(file); root != nil {
		f.credentials(root, file, out)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return out, nil
}

func (f *found) credentials(root *yaml.Node, file []byte, out map[string]Credential) {
	if root.Kind != yaml.SequenceNode || len(root.Content) == 0 {
		f.add(root, "", "want a list of at least one key: - {access_key: ..., secret_key: ..., policy: ...}")
		return
	}
	for i, n := range root.Content {
		path := fmt.Sprintf("[%d]", i)
		fields := f.fields(n, path, "access_key", "secret_key", "session_token", "active", "expires", "policy")
		if n.Kind != yaml.MappingNode {
			continue
		}
		for _, name := range []string{"access_key", "secret_key", "policy"} {
			if fields[name] == nil {
				f.add(n, path+"."+name, "missing")
			}
		}
		c := Credential{Key: sigv4.Key{Active: true}}
		f.key(fields, path, &c.Key)
		if p := fields["policy"]; p != nil {
			c.Policy = f.policyOf(p, path+".policy", file)
		}
		if _, twice := out[c.AccessKey]; twice && c.AccessKey != "" {
			f.add(fields["access_key"], path+".access_key", "%s stands twice", quote(c.AccessKey))
		}
		out[c.AccessKey] = c
	}
}

// key reads all but the policy. Values are never quoted in a message: a secret may stand in the wrong line.
func (f *found) key(fields map[string]*yaml.Node, path string, k *sigv4.Key) {
	value := func(name string) (*yaml.Node, string, bool) {
		n := fields[name]
		if n == nil {
			return nil, "", false
		}
		text, ok := f.text(n, path+"."+name)
		return n, text, ok
	}
	if n, text, ok := value("access_key"); ok {
		if k.AccessKey = text; !accessKeyForm.MatchString(text) {
			f.add(n, path+".access_key", "want 3 to 128 letters, digits, _ and -")
		}
	}
	secret := func(name string, least int, to *core.Secret) {
		n, text, ok := value(name)
		if ok && (len(text) < least || len(text) > maxSecret || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })) {
			f.add(n, path+"."+name, "want %d to %d printable characters of ASCII without blanks", least, maxSecret)
		}
		*to = core.NewSecret(text)
	}
	secret("secret_key", minSecret, &k.Secret)
	secret("session_token", 1, &k.SessionToken)
	if n, text, ok := value("active"); ok {
		active, err := strconv.ParseBool(text)
		if err != nil || n.ShortTag() != "!!bool" {
			f.add(n, path+".active", "want true or false")
		}
		k.Active = active
	}
	if n, text, ok := value("expires"); ok {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			f.add(n, path+".expires", "want a time such as 2027-01-01T00:00:00Z")
		}
		k.Expires = at
	}
}

// policyOf reads a policy that stands in the file as a mapping, or as its JSON.
func (f *found) policyOf(n *yaml.Node, path string, file []byte) *Policy {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		if n = f.jsonTree([]byte(n.Value), path, placeWithin(n, file)); n == nil {
			return nil
		}
	}
	return f.policy(n, path, false)
}
