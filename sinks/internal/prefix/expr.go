package prefix

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/core"
)

// Null stands for a value that is null, as Hive has it.
const Null = "__HIVE_DEFAULT_PARTITION__"

const maxLength = 512

// Values are what an expression is evaluated with.
type Values struct {
	Time   time.Time          // taken in UTC
	NoTime bool               // the time is null
	Keys   map[string]*string // by name; a missing or nil one is null
	Random string
}

// Expr is a parsed prefix. It is immutable.
type Expr struct {
	parts []part
	keys  []string
	unit  time.Duration
}

type part struct {
	kind  kind
	text  string // a literal, or the name of a key
	times []field
}

type kind int

const (
	literal kind = iota
	timestamp
	key
	random
)

// Parse reads an expression. The error says where it is wrong and what to write instead.
func Parse(s string) (*Expr, error) {
	if len(s) > 2*maxLength {
		return nil, fmt.Errorf("prefix of %d bytes, at most %d: %w", len(s), 2*maxLength, core.ErrInvalid)
	}
	e := &Expr{}
	for at := 0; at < len(s); {
		open := strings.Index(s[at:], "!{")
		if open < 0 {
			open = len(s) - at
		}
		if open > 0 {
			e.parts = append(e.parts, part{kind: literal, text: s[at : at+open]})
		}
		at += open
		if at == len(s) {
			break
		}
		end := strings.IndexByte(s[at:], '}')
		if end < 0 {
			return nil, fmt.Errorf("prefix %q, character %d: !{ is not closed; add }: %w", s, at+1, core.ErrInvalid)
		}
		if err := e.add(s[at+2 : at+end]); err != nil {
			return nil, fmt.Errorf("prefix %q, character %d: %w", s, at+1, err)
		}
		at += end + 1
	}
	if err := e.checkPath(); err != nil {
		return nil, fmt.Errorf("prefix %q: %w", s, err)
	}
	return e, nil
}

// add parses what stands between the braces.
func (e *Expr) add(s string) error {
	space, arg, ok := strings.Cut(s, ":")
	switch {
	case ok && space == "timestamp":
		fields, unit, err := parsePattern(arg)
		if err != nil {
			return err
		}
		e.parts = append(e.parts, part{kind: timestamp, times: fields})
		if e.unit == 0 || unit < e.unit {
			e.unit = unit
		}
		return nil
	case ok && space == "partitionKeyFromQuery":
		if arg == "" {
			return fmt.Errorf("!{%s} names no key; write !{partitionKeyFromQuery:name} and partition_keys: {name: column}: %w", s, core.ErrInvalid)
		}
		e.parts = append(e.parts, part{kind: key, text: arg})
		if !slices.Contains(e.keys, arg) {
			e.keys = append(e.keys, arg)
		}
		return nil
	case s == "firehose:random-string":
		e.parts = append(e.parts, part{kind: random})
		return nil
	case s == "firehose:error-output-type":
		// Rows that cannot be written become dead letters, so what lands here is never an error's output.
		return fmt.Errorf("!{%s} belongs to an error prefix, which is not needed here: refused rows become dead letters; leave it out: %w", s, core.ErrInvalid)
	}
	return fmt.Errorf("!{%s} is unknown; use !{timestamp:yyyy-MM-dd}, !{partitionKeyFromQuery:name} or !{firehose:random-string}: %w", s, core.ErrInvalid)
}

// checkPath refuses literals that would lead out of the destination, or into the folder of the manifests.
func (e *Expr) checkPath() error {
	out := e.eval(Values{Time: time.Unix(0, 0), Random: "x"})
	if reserved(out) || e.couldBeOurs() {
		return fmt.Errorf("begins with _penstock, or could, which is kept for manifests; choose another name: %w", core.ErrInvalid)
	}
	if !utf8.ValidString(out) || strings.Contains(out, `\`) || strings.ContainsFunc(out, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("has a backslash or control character, or is not UTF-8; use / between folders: %w", core.ErrInvalid)
	}
	if len(out) > maxLength {
		return fmt.Errorf("is longer than %d bytes without the keys: %w", maxLength, core.ErrInvalid)
	}
	segments := strings.Split(out, "/")
	for i, seg := range segments {
		if most := map[bool]int{true: maxTail, false: maxFolder}[i == len(segments)-1]; len(seg) > most {
			return fmt.Errorf("has a folder of more than %d bytes, or ends in more than %d for a file's name to begin with: %w", maxFolder, maxTail, core.ErrInvalid)
		}
		if seg == "." || seg == ".." || seg == "" && i < len(segments)-1 {
			return fmt.Errorf("has an empty, . or .. folder; write it relative and without them: %w", core.ErrInvalid)
		}
	}
	return nil
}

// couldBeOurs reports whether a key could make the reserved folder of what stands before it.
func (e *Expr) couldBeOurs() bool {
	begin := e.Literal()
	return begin != "" && len(begin) < len(ours) && strings.EqualFold(begin, ours[:len(begin)]) && len(e.parts) > 1 && e.parts[1].kind != timestamp
}

// Keys are the partition keys that the expression names, in order of appearance.
func (e *Expr) Keys() []string { return slices.Clone(e.keys) }

// Literal is what every prefix that the expression gives begins with.
func (e *Expr) Literal() string {
	if len(e.parts) > 0 && e.parts[0].kind == literal {
		return e.parts[0].text
	}
	return ""
}

// Unit is how finely times matter: two times within one Unit of UTC give one prefix. 0: the expression uses no time.
func (e *Expr) Unit() time.Duration { return e.unit }

// Eval is the prefix for v.
func (e *Expr) Eval(v Values) string {
	out := e.eval(v)
	if reserved(out) { // keys that meet made it
		out = "%5F" + out[1:]
	}
	return bounded(out)
}

func (e *Expr) eval(v Values) string {
	var b strings.Builder
	for _, p := range e.parts {
		switch p.kind {
		case literal:
			b.WriteString(p.text)
		case timestamp:
			if v.NoTime {
				b.WriteString(Null)
			} else {
				format(&b, p.times, v.Time.UTC())
			}
		case key:
			if s := v.Keys[p.text]; s != nil {
				clean(&b, *s)
			} else {
				b.WriteString(Null)
			}
		case random:
			b.WriteString(v.Random)
		}
	}
	return b.String()
}
