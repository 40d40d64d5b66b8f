package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ValidationError says which constraints of its shape a document violates, as AWS says it.
type ValidationError struct {
	Violations []string // at most 10
}

func (e *ValidationError) Error() string {
	n := len(e.Violations)
	s := "s"
	if n == 1 {
		s = ""
	}
	return fmt.Sprintf("%d validation error%s detected: %s", n, s, strings.Join(e.Violations, "; "))
}

// path is where in a document something is: records.1.member.partitionKey, items counted from 1.
type path struct {
	steps []step
}

type step struct {
	name string
	item int // from 1; 0 for members
}

func (p *path) push(name string) { p.steps = append(p.steps, step{name: name}) }
func (p *path) pushItem(i int)   { p.steps = append(p.steps, step{item: i + 1}) }
func (p *path) pop()             { p.steps = p.steps[:len(p.steps)-1] }

func (p *path) String() string {
	var b strings.Builder
	for i, s := range p.steps {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.item > 0 {
			b.WriteString(strconv.Itoa(s.item))
			b.WriteString(".member")
			continue
		}
		b.WriteString(s.name)
	}
	return b.String()
}

// maxShown bounds how much of a client's value a message repeats.
const maxShown = 1024

// violate notes that the value at the decoder's place breaks a constraint.
func (d *decoder) violate(value, constraint string) {
	if len(d.violations) == maxViolations {
		return
	}
	if len(value) > maxShown {
		value = strings.ToValidUTF8(value[:maxShown], "") + "'" // what is as long is quoted
	}
	d.violations = append(d.violations, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, d.path.String(), constraint))
}

func (d *decoder) violated() error {
	if len(d.violations) == 0 {
		return nil
	}
	return &ValidationError{d.violations}
}

func quoted(s string) string { return "'" + s + "'" }

func (d *decoder) missing() { d.violate("null", "Member must not be null") }

// length checks how long something is; shown says what it is, when it has to be shown.
func (d *decoder) length(l *limits, n int, shown func() string) {
	if !l.hasLen {
		return
	}
	if int64(n) < l.min {
		d.violate(shown(), "Member must have length greater than or equal to "+strconv.FormatInt(l.min, 10))
	}
	if l.max >= 0 && int64(n) > l.max {
		d.violate(shown(), "Member must have length less than or equal to "+strconv.FormatInt(l.max, 10))
	}
}

func (d *decoder) checkString(l *limits, s string) {
	if l.hasLen {
		d.length(l, utf8.RuneCountInString(s), func() string { return quoted(s) })
	}
	if l.pattern != nil && !l.pattern.MatchString(s) {
		d.violate(quoted(s), "Member must satisfy regular expression pattern: "+l.patternText)
	}
	if l.enum != nil && !slices.Contains(l.enum, s) {
		d.violate(quoted(s), "Member must satisfy enum value set: ["+strings.Join(l.enum, ", ")+"]")
	}
}

func (d *decoder) checkInt(l *limits, n int64) {
	if !l.hasRange {
		return
	}
	if n < l.min {
		d.violate(quoted(strconv.FormatInt(n, 10)), "Member must have value greater than or equal to "+strconv.FormatInt(l.min, 10))
	}
	if l.max >= 0 && n > l.max {
		d.violate(quoted(strconv.FormatInt(n, 10)), "Member must have value less than or equal to "+strconv.FormatInt(l.max, 10))
	}
}
