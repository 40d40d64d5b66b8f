package pipelines

import (
	"encoding/json"
	"fmt"
)

// maxDiff is how many lines of differing rows are shown.
const maxDiff = 40

// row is a row in both forms.
type row struct {
	text   string
	fields map[string]any
}

// compareRows compares rows in order. What is equal at the beginning and at the end is not shown.
func compareRows(want []Value, have []string, subset bool) ([]string, error) {
	w, h := make([]row, len(want)), make([]row, len(have))
	for i, v := range want {
		if err := w[i].parse(string(v.text)); err != nil {
			return nil, err
		}
	}
	for i, text := range have {
		if err := h[i].parse(text); err != nil {
			return nil, err
		}
	}
	equal := func(a, b row) bool { return len(unlike(a.fields, b.fields, subset)) == 0 }
	first := 0
	for first < len(w) && first < len(h) && equal(w[first], h[first]) {
		first++
	}
	w, h = w[first:], h[first:]
	for len(w) > 0 && len(h) > 0 && equal(w[len(w)-1], h[len(h)-1]) {
		w, h = w[:len(w)-1], h[:len(h)-1]
	}
	if len(w)+len(h) == 0 {
		return nil, nil
	}
	var out []string
	if len(w) == len(h) {
		for i := range w {
			if !equal(w[i], h[i]) {
				out = append(out, pair(first+i+1, w[i], h[i], subset)...)
			}
		}
	} else {
		out = append(out, fmt.Sprintf("rows: want %d, have %d; they differ from row %d on", len(want), len(have), first+1))
		for _, r := range w {
			out = append(out, "  - "+r.text)
		}
		for _, r := range h {
			out = append(out, "  + "+r.text)
		}
	}
	if len(out) > maxDiff {
		out = append(out[:maxDiff], fmt.Sprintf("  and %d lines more", len(out)-maxDiff))
	}
	return out, nil
}

func (r *row) parse(text string) error {
	v, err := parseJSON([]byte(text))
	if err != nil {
		return fmt.Errorf("row %s: %w", text, err)
	}
	r.text, r.fields = text, v.(map[string]any)
	return nil
}

// pair says how the row of a number differs.
func pair(number int, want, have row, subset bool) []string {
	out := []string{fmt.Sprintf("rows: row %d differs", number), "  - " + want.text, "  + " + have.text}
	for _, k := range unlike(want.fields, have.fields, subset) {
		out = append(out, fmt.Sprintf("    %s: want %s, have %s", k, show(want.fields, k), show(have.fields, k)))
	}
	return out
}

func show(fields map[string]any, key string) string {
	v, ok := fields[key]
	if !ok {
		return "nothing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
