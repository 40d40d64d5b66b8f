package iam

import (
	"errors"
	"regexp"
	"strings"
)

// maxPattern is the most bytes of one pattern; ARNs of streams and consumers have at most some 350.
const maxPattern = 512

// maxStars bounds the wildcards that each character of a text may have to be tried with.
const maxStars = 16

// pattern is text with wildcards. Matching takes time in the length of the pattern times that of the text, at most.
type pattern struct {
	text string
	fold bool           // upper and lower case are the same
	re   *regexp.Regexp // nil: there are no wildcards, or the pattern is * alone
}

func (p pattern) match(s string) bool {
	switch {
	case p.text == "*":
		return true
	case p.re != nil:
		return p.re.MatchString(s)
	case p.fold:
		return strings.EqualFold(p.text, s)
	}
	return p.text == s
}

func matchAny(patterns []pattern, s string) bool {
	for _, p := range patterns {
		if p.match(s) {
			return true
		}
	}
	return false
}

// segments is how wildcards stand to the colons of an ARN.
type segments int

const (
	none    segments = iota // colons are like any other character
	strict                  // no wildcard takes in a colon before the last segment
	trailed                 // but a * that ends its segment takes in colons, as IAM has it in Resource
)

// lastSegment is the part of an ARN behind its fifth colon, which may have colons itself.
const lastSegment = 5

func compile(text string, colons segments, fold bool) pattern {
	p := pattern{text: text, fold: fold}
	if !strings.ContainsAny(text, "*?") {
		return p
	}
	var re strings.Builder
	re.WriteString(`(?s)^`)
	if fold {
		re.WriteString(`(?i)`)
	}
	segment := 0
	for i, r := range text {
		free := colons == none || segment >= lastSegment
		ends := i+1 == len(text) || text[i+1] == ':'
		switch {
		case r == '*' && (free || colons == trailed && ends):
			re.WriteString(`.*`)
		case r == '*':
			re.WriteString(`[^:]*`)
		case r == '?' && free:
			re.WriteString(`.`)
		case r == '?':
			re.WriteString(`[^:]`)
		default:
			re.WriteString(regexp.QuoteMeta(string(r)))
		}
		if r == ':' {
			segment++
		}
	}
	re.WriteString(`$`)
	p.re = regexp.MustCompile(re.String())
	return p
}

var (
	errVariable = errors.New("policy variables are not supported: write the value out")
	errLong     = errors.New("a pattern has at most 512 bytes")
	errStars    = errors.New("a pattern has at most 16 *")
	errControl  = errors.New("blanks and control characters match nothing")
)

// bounded refuses text that would take long to match, as who may write a policy on a stream is not trusted with the node,
// and what would match nothing.
func bounded(text string) error {
	switch {
	case len(text) > maxPattern:
		return errLong
	case strings.Count(text, "*") > maxStars:
		return errStars
	case strings.Contains(text, "${"):
		return errVariable
	}
	return nil
}

// plain refuses what cannot be meant in a name.
func plain(text string) error {
	if err := bounded(text); err != nil {
		return err
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' }) {
		return errControl
	}
	return nil
}

var actionForm = regexp.MustCompile(`^(\*|\*:\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$`)

func actionPattern(text string) (pattern, error) {
	if err := plain(text); err != nil {
		return pattern{}, err
	}
	if !actionForm.MatchString(text) {
		return pattern{}, errors.New("want an action such as kinesis:PutRecord, kinesis:Get* or *")
	}
	return compile(text, none, true), nil
}

var serviceForm = regexp.MustCompile(`^[a-z0-9-]+$`)

func resourcePattern(text string) (pattern, error) {
	if err := plain(text); err != nil {
		return pattern{}, err
	}
	if text == "*" {
		return pattern{text: text}, nil
	}
	parts := strings.SplitN(text, ":", lastSegment+1)
	switch whole := len(parts) > lastSegment; {
	case parts[0] != "arn" || len(parts) < 4 || !whole && !strings.HasSuffix(text, "*"):
		return pattern{}, errors.New("want an ARN such as arn:aws:kinesis:us-east-1:000000000000:stream/clicks, with or without wildcards, or *")
	case !serviceForm.MatchString(parts[2]):
		return pattern{}, errors.New("the service of an ARN (kinesis, firehose) has no wildcards")
	}
	return compile(text, trailed, false), nil
}

// arnPattern is an ARN of a condition: each of its six parts is compared by itself.
func arnPattern(text string) (pattern, error) {
	if err := plain(text); err != nil {
		return pattern{}, err
	}
	if parts := strings.SplitN(text, ":", lastSegment+1); parts[0] != "arn" || len(parts) <= lastSegment {
		return pattern{}, errors.New("want an ARN of six parts such as arn:aws:iam::000000000000:user/*")
	}
	return compile(text, strict, false), nil
}

// accountOf is the account in an ARN; empty where there is none.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", lastSegment+1)
	if len(parts) <= lastSegment || parts[0] != "arn" {
		return ""
	}
	return parts[4]
}
