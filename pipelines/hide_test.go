package pipelines_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// canaries are values of an environment variable, and the parts of them that nothing may show.
var canaries = map[string][]string{
	"canaryvalue":                       {"canary"},
	"two words":                         {"two", "words"},
	"hunter2-swordfish.xyzzy":           {"hunter", "sword", "xyzzy"},
	`a "quoted" canary\path`:            {"quoted", "canary", "path"},
	"'open (bracket":                    {"open", "bracket"},
	"99redballoons":                     {"99red", "balloons"},
	"col.field[canary":                  {"field", "canary"},
	strings.Repeat("long-canary_", 400): {"long", "canary"},
	"схема канарейка":                   {"схема", "канарейка"},
	"pre\tcanary\nline":                 {"canary", "line"},
}

func TestPartsOfValuesOfTheEnvironmentAreNotShown(t *testing.T) {
	const file = "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}, schema: {n: int64, s: string}}\nstages: [%s]\nsink: {file: {path: ./lake}}\n"
	for _, stage := range []string{
		"filter: '${CANARY}'", "filter: 's == ${CANARY}'", "filter: '\"${CANARY}\" + '", "filter: 'n == \"${CANARY}\"'", "filter: '${CANARY} > ${CANARY}'",
		"filter: 's.matches(\"(${CANARY}\")'", "compute: {a: '${CANARY}('}", "compute: {a: 'n.${CANARY}', b: '${CANARY} +'}", "cast: {s: '${CANARY}'}",
		"parse_timestamp: {column: s, format: '%%${CANARY}'}", "hash: {columns: [s], algorithm: '${CANARY}'}", "mask: {columns: [s], keep_last: '${CANARY}'}",
		"filter: '" + strings.Repeat("s == \"some text\" && ", 20) + "n == \"${CANARY}\"'",
	} {
		for value, parts := range canaries {
			r := wholeRegistry()
			s, err := r.Load("p.yaml", fmt.Appendf(nil, file, "{"+strings.ReplaceAll(stage, "%%", "%")+"}"), func(string) (string, bool) { return value, true })
			if err == nil {
				_, err = r.Program(t.Context(), s)
			}
			if err == nil {
				continue
			}
			for _, part := range append(parts, value) {
				require.NotContains(t, err.Error(), part, "%s with %.60q", stage, value)
			}
			require.Contains(t, err.Error(), "stages[0]")
		}
	}
}

// TestPartsOfValuesAreNotShownWhenItRuns: what is found out only with the records, as their types are.
func TestPartsOfValuesAreNotShownWhenItRuns(t *testing.T) {
	const file = `version: 1
name: p
source: {stream: s, decode: {json: {}}}
stages: [{compute: {t: 'int(s + "${CANARY}") + %d'}}, {filter: 'n == "x${CANARY}"'}]
sink: {file: {path: ./lake}}
tests:
  - {name: refused, input: [{json: {s: a}}], rows: []}
  - {name: bound, input: [{json: {n: 1, s: a}}], rows: []}
`
	for value, parts := range canaries {
		r := wholeRegistry()
		if strings.ContainsAny(value, "\"\\\n\t") {
			continue // it is no part of a text in an expression
		}
		s, err := r.Load("p.yaml", fmt.Appendf(nil, file, 1), func(string) (string, bool) { return value, true })
		require.NoError(t, err)
		results, err := r.Test(t.Context(), s)
		require.NoError(t, err)
		require.Len(t, results, 2)
		for _, res := range results {
			said := strings.Join(res.Failures, "\n")
			require.Contains(t, said, "${CANARY}")
			for _, part := range append(parts, value) {
				require.NotContains(t, said, part, "with %.60q", value)
			}
		}
		require.Contains(t, results[0].Failures[0], "stages[0].compute")
		require.Contains(t, results[1].Failures[0], "stages[1].filter")
	}
}
