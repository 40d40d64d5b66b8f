package pipelines

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
)

// Bounds of what is hidden: shorter values, such as 1 or a, are found in any text.
const (
	minHidden = 4 // characters of a value, or of a part of one
	minWord   = 3 // characters of a word of a value that stands alone
)

// references are those of a file to environment variables. Their values are not shown: what is said of a file shows the
// reference in place of its value.
type references struct {
	values map[string]string     // by name
	texts  map[*yaml.Node]string // scalars that had references, as the file has them
}

func newReferences() *references {
	return &references{map[string]string{}, map[*yaml.Node]string{}}
}

// forms are a value and how it looks in quotes.
func forms(value string) []string {
	out := []string{value}
	q := strconv.Quote(value)
	if q = q[1 : len(q)-1]; q != value {
		out = append(out, q)
	}
	return out
}

// hide is s with references in place of whole values.
func (r *references) hide(s string) string {
	if r == nil || len(r.values) == 0 {
		return s
	}
	return r.hider(nil).hide(s)
}

// within hides what is said of n, a part of the file: parts of values too, since of an expression that is wrong parts are
// quoted. It is nil where n has no reference.
func (r *references) within(n *yaml.Node) func(string) string {
	if r == nil || n == nil {
		return nil
	}
	var scalars []*yaml.Node
	r.below(n, &scalars)
	if len(scalars) == 0 {
		return nil
	}
	h := r.hider(scalars)
	for name, value := range r.values {
		if slices.ContainsFunc(scalars, func(n *yaml.Node) bool { return strings.Contains(r.texts[n], "${"+name) }) {
			h.take("${"+name+"}", value)
		}
	}
	return h.hide
}

// below are the scalars in n that had references.
func (r *references) below(n *yaml.Node, out *[]*yaml.Node) {
	if _, ok := r.texts[n]; ok {
		*out = append(*out, n)
	}
	for _, c := range n.Content {
		r.below(c, out)
	}
}

// hider replaces whole texts, and then what is left of parts of values.
type hider struct {
	whole [][2]string       // a text and what stands for it; the longest first, so that none is replaced in part
	parts map[string]string // every minHidden bytes in a row of a value, and its reference
	words map[string]string
}

// hider hides whole values, and shows scalars as the file has them.
func (r *references) hider(scalars []*yaml.Node) *hider {
	h := &hider{parts: map[string]string{}, words: map[string]string{}}
	add := func(what, with string) {
		if len(what) >= minHidden {
			h.whole = append(h.whole, [2]string{what, with})
		}
	}
	for name, value := range r.values {
		for _, form := range append(forms(value), cut(value, maxQuote)) {
			add(form, "${"+name+"}")
		}
	}
	for _, n := range scalars {
		text := forms(strings.TrimSpace(r.texts[n]))
		for i, form := range forms(strings.TrimSpace(n.Value)) {
			add(form, text[min(i, len(text)-1)])
		}
	}
	slices.SortFunc(h.whole, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(len(b[0]), len(a[0])), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	return h
}

// take makes the parts of a value ones to hide.
func (h *hider) take(ref, value string) {
	for _, form := range forms(value) {
		for i := 0; i+minHidden <= len(form); i++ {
			h.parts[form[i:i+minHidden]] = ref
		}
		for _, w := range word.FindAllString(form, -1) {
			if len(w) >= minWord {
				h.words[w] = ref
			}
		}
	}
}

var word = regexp.MustCompile(`[A-Za-z0-9_]+`)

func (h *hider) hide(s string) string {
	var out strings.Builder
	from := 0
	for i := 0; i < len(s); {
		at := slices.IndexFunc(h.whole, func(w [2]string) bool { return strings.HasPrefix(s[i:], w[0]) })
		if at < 0 {
			i++
			continue
		}
		h.hideParts(&out, s[from:i])
		out.WriteString(h.whole[at][1])
		i += len(h.whole[at][0])
		from = i
	}
	h.hideParts(&out, s[from:])
	return out.String()
}

// hideParts writes s with a reference in place of each stretch that is part of its value.
func (h *hider) hideParts(out *strings.Builder, s string) {
	if len(h.parts)+len(h.words) == 0 {
		out.WriteString(s)
		return
	}
	refs := make([]string, len(s)) // of each byte that is hidden
	set := func(from, to int, ref string) {
		for i := from; i < to; i++ {
			refs[i] = ref
		}
	}
	for i := 0; i+minHidden <= len(s); i++ {
		if ref, ok := h.parts[s[i:i+minHidden]]; ok {
			set(i, i+minHidden, ref)
		}
	}
	for _, w := range word.FindAllStringIndex(s, -1) {
		if ref, ok := h.words[s[w[0]:w[1]]]; ok {
			set(w[0], w[1], ref)
		}
	}
	for i := range len(s) {
		switch {
		case refs[i] == "":
			out.WriteByte(s[i])
		case i == 0 || refs[i] != refs[i-1]:
			out.WriteString(refs[i])
		}
	}
}

// Conceal hides the values of the spec's references in what err says.
func (s *Spec) Conceal(err error) error {
	return connectors.Conceal(err, s.refs.hide)
}

// concealed are events whose errors hide the values of the spec's references.
func (s *Spec) concealed(e *connectors.Events) *connectors.Events {
	if e == nil {
		return nil
	}
	out := *e
	if e.Retry != nil {
		out.Retry = func(what string, attempt int, wait time.Duration, err error) {
			e.Retry(what, attempt, wait, s.Conceal(err))
		}
	}
	if e.Refused != nil {
		out.Refused = func(err error) { e.Refused(s.Conceal(err)) }
	}
	return &out
}
