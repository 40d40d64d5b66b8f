package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// verdict is what the model says of a request.
type verdict struct {
	syntax     bool     // SerializationException
	violations []string // of constraints, in AWS's words
}

// judge holds a value against its shape.
func (m *model) judge(v *verdict, s *shape, value any, path string) {
	violate := func(shown, what string) {
		if len(shown) > shownAtMost {
			shown = shown[:shownAtMost] + "'"
		}
		v.violations = append(v.violations, "Value "+shown+" at '"+path+"' failed to satisfy constraint: "+what)
	}
	length := func(n int, shown string) {
		if s.Min != nil && int64(n) < *s.Min {
			violate(shown, fmt.Sprintf("Member must have length greater than or equal to %d", *s.Min))
		}
		if s.Max != nil && int64(n) > *s.Max {
			violate(shown, fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
		}
	}
	ok := false
	switch s.Type {
	case kindStructure:
		var o object
		if o, ok = value.(object); ok {
			m.judgeMembers(v, s, o, path)
		}
	case kindMap:
		var o object
		if o, ok = value.(object); ok {
			m.judgeEntries(v, s, o, path)
			length(len(o), fmt.Sprintf("'{%d entries}'", len(o)))
		}
	case kindList:
		var items []any
		if items, ok = value.([]any); ok {
			for i, x := range items {
				at := fmt.Sprintf("%s.%d.member", path, i+1)
				if x == nil {
					v.violations = append(v.violations, "Value null at '"+at+"' failed to satisfy constraint: Member must not be null")
					continue
				}
				m.judge(v, m.of(s.Member), x, at)
			}
			length(len(items), fmt.Sprintf("'[%d items]'", len(items)))
		}
	case kindString:
		var text string
		if text, ok = value.(string); ok {
			length(utf8.RuneCountInString(text), "'"+text+"'")
			if s.pattern != nil && !s.pattern.MatchString(text) {
				violate("'"+text+"'", "Member must satisfy regular expression pattern: "+s.Pattern)
			}
			if s.Enum != nil && !slices.Contains(s.Enum, text) {
				violate("'"+text+"'", "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
			}
		}
	case kindBlob:
		var b []byte
		if b, ok = value.([]byte); ok {
			length(len(b), fmt.Sprintf("'java.nio.HeapByteBuffer[pos=0 lim=%[1]d cap=%[1]d]'", len(b)))
		}
	case kindInt, kindLong:
		var n int64
		if n, ok = value.(int64); ok {
			ok = s.Type == kindLong || n >= math.MinInt32 && n <= math.MaxInt32
			if s.Min != nil && n < *s.Min {
				violate(fmt.Sprintf("'%d'", n), fmt.Sprintf("Member must have value greater than or equal to %d", *s.Min))
			}
			if s.Max != nil && n > *s.Max {
				violate(fmt.Sprintf("'%d'", n), fmt.Sprintf("Member must have value less than or equal to %d", *s.Max))
			}
		}
	case kindBool:
		_, ok = value.(bool)
	case kindTime:
		switch value.(type) {
		case time.Time, int64, float64:
			ok = true
		}
	}
	v.syntax = v.syntax || !ok
}

func (m *model) judgeMembers(v *verdict, s *shape, o object, path string) {
	seen := map[string]any{}
	for _, x := range o {
		if _, twice := seen[x.name]; twice {
			v.syntax = true
		}
		seen[x.name] = x.value
	}
	for _, name := range s.names() {
		at := strings.ToLower(name[:1]) + name[1:]
		if path != "" {
			at = path + "." + at
		}
		switch x := seen[name]; {
		case x != nil:
			m.judge(v, m.member(s, name), x, at)
		case slices.Contains(s.Required, name):
			v.violations = append(v.violations, "Value null at '"+at+"' failed to satisfy constraint: Member must not be null")
		}
	}
}

// judgeEntries holds a map against its shape. A value that is null is one that is empty.
func (m *model) judgeEntries(v *verdict, s *shape, o object, path string) {
	seen := map[string]bool{}
	for _, x := range o {
		v.syntax = v.syntax || seen[x.name]
		seen[x.name] = true
		m.judge(v, m.of(s.Key), x.name, path)
		if x.value != nil {
			m.judge(v, m.of(s.Value), x.value, path+"."+x.name)
		}
	}
}

// shownAtMost is how much of a client's value a message repeats.
const shownAtMost = 1024

// sortedViolations are those that a message names, and how many it says that there are.
func sortedViolations(message string) (int, []string) {
	var n int
	head, rest, _ := strings.Cut(message, " detected: ")
	if _, err := fmt.Sscanf(head, "%d validation error", &n); err != nil {
		return 0, nil
	}
	parts := strings.Split(rest, "; Value ")
	for i := range parts {
		parts[i] = "Value " + strings.TrimPrefix(parts[i], "Value ")
	}
	slices.Sort(parts)
	return n, parts
}
