package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/sinktest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/laketest"
)

// restored is a row of a lake as the object that it came from: what was rescued is back in its place. Columns named in
// made were made by stages and left out.
func restored(t require.TestingT, row string, made ...string) string {
	o := object(t, row)
	for _, name := range made {
		delete(o, name)
	}
	for name, v := range o {
		if text, ok := v.(string); ok && arrowTime.MatchString(text) {
			o[name] = strings.Replace(text, " ", "T", 1)
		}
	}
	if text, ok := o[core.RescuedColumn].(string); ok {
		delete(o, core.RescuedColumn)
		for name, v := range object(t, text) {
			require.NotContains(t, o, name, "a field is in its column and rescued too: %s", row)
			o[name] = v
		}
	}
	return canonical(o)
}

// arrowTime is how Arrow writes timestamps as JSON.
var arrowTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z$`)

// object is a JSON object, its numbers as they are written, without fields that are null. Of fields with the same name the
// last one counts.
func object(t require.TestingT, text string) map[string]any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var o map[string]any
	require.NoError(t, dec.Decode(&o), text)
	return sinktest.WithoutNulls(o).(map[string]any)
}

// canonical is a text that is equal for equal JSON values.
func canonical(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, strconv.Quote(k)+":"+canonical(v[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, canonical(x))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case json.Number:
		return number(v.String())
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

// number is a number as its digits and the power of ten that they are multiplied by. A fraction of up to 17 digits is the
// double that it stands for, and so is an integer that a double holds; anything else stands for itself.
func number(text string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	e, _ := strconv.Atoi(exponent)
	whole, fraction, point := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if v, err := strconv.ParseInt(text, 10, 64); err == nil && (v > 1<<53 || v < -1<<53) && v == int64(float64(v)) {
		if again := strconv.FormatFloat(float64(v), 'f', -1, 64); again != text {
			return number(again)
		}
	}
	if (point || exponent != "") && len(digits) <= 17 {
		if v, err := strconv.ParseFloat(text, 64); err == nil && v != 0 {
			if again := strconv.FormatFloat(v, 'f', -1, 64); again != text {
				return number(again)
			}
		}
	}
	e -= len(fraction)
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "0"
	}
	sign := ""
	if text[0] == '-' {
		sign = "-"
	}
	return fmt.Sprint(sign, short, "e", e+len(digits)-len(short))
}

// lakeOf is every file below a folder, by name.
func lakeOf(t require.TestingT, dir string) map[string][]byte {
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(name)], err = os.ReadFile(path) //nolint:gosec // a test's folder
		return err
	})
	require.NoError(t, err)
	return out
}

// requireSameRows compares two multisets, and shows a few of what differs.
func requireSameRows(t require.TestingT, want, got []string) {
	slices.Sort(want)
	slices.Sort(got)
	missing, extra := laketest.Differ(want, got)
	if missing+extra == 0 {
		return
	}
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	for _, g := range got {
		count[g]--
	}
	var shown bytes.Buffer
	for row, n := range count {
		if n != 0 && shown.Len() < 4000 {
			fmt.Fprintf(&shown, "%+d %.500s\n", n, row)
		}
	}
	require.Fail(t, "rows differ", "missing %d, extra %d of %d (+ is missing, - is extra)\n%s", missing, extra, len(want), shown.String())
}

func TestEqualNumbersAreWrittenAlike(t *testing.T) {
	for _, same := range [][]string{
		{"1", "1.0", "1e0", "10e-1", "0.1E1"},
		{"0", "-0", "0.0", "0e9"},
		{"1.2345e20", "123450000000000000000"},
		{"0.1", "0.10000000000000001"},
		{"83005317001104096", "83005317001104100", "8.3005317001104096e16"},
		{"-5e-324", "-0.5E-323"},
	} {
		for _, text := range same {
			require.Equal(t, number(same[0]), number(text), text)
		}
	}
	for _, apart := range [][2]string{
		{"1", "-1"}, {"9007199254740993", "9007199254740992"}, {"1e400", "1e401"}, {"1e-400", "0"}, {"0.123456789012345678901", "0.123456789012345678902"},
	} {
		require.NotEqual(t, number(apart[0]), number(apart[1]), apart)
	}
}
