package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
)

// plansIn are the manifests of a lake.
func plansIn(t *testing.T, lake string) (out []connectors.Plan) {
	t.Helper()
	names, err := fs.Glob(os.DirFS(lake), "_penstock/*/*.json")
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(lake, name))
		require.NoError(t, err)
		var p connectors.Plan
		require.NoError(t, json.Unmarshal(text, &p))
		out = append(out, p)
	}
	return out
}

// TestAPlanHasAtMostAThousandOutputs archives rows of 2,000 partitions in random order.
func TestAPlanHasAtMostAThousandOutputs(t *testing.T) {
	const partitions = 2000
	for name, c := range map[string]struct {
		shards, records int
		extra           func(i int) string // fields of record i
	}{
		"few":  {shards: 1, records: 1800},
		"many": {shards: 3, records: 4000},
		"and the schema grows on the way": {
			shards: 1, records: 1800, extra: func(i int) string { return fmt.Sprintf(`,"x%d":1`, i/700) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()                       // it waits for syncs most of the time
			rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // made-up data
			var lines strings.Builder
			for i := range c.records {
				extra := ""
				if c.extra != nil {
					extra = c.extra(i)
				}
				fmt.Fprintf(&lines, `{"n":%d,"p":"p%d"%s}`+"\n", i, rng.IntN(partitions), extra)
			}
			data := lineStream(t, c.shards, lines.String())
			lake, file := filepath.Join(t.TempDir(), "lake"), filepath.Join(t.TempDir(), "p.yaml")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: p
source: {stream: s, decode: {json: {}}}
sink: {file: {path: %q, prefix: 'p=!{partitionKeyFromQuery:p}/', partition_keys: {p: p}, format: {ndjson: {}}}}
`, lake), 0o600))
			said := ok(t, "run", file, "--data", data, "--until-caught-up")
			require.NotContains(t, said, "dead")
			rows, full := int64(0), 0
			for _, p := range plansIn(t, lake) {
				require.LessOrEqual(t, len(p.Outputs), connectors.MaxOutputs)
				if p.Reason == "outputs" {
					full++
					require.Len(t, p.Outputs, connectors.MaxOutputs)
				}
				for _, o := range p.Outputs {
					rows += o.Rows
				}
			}
			require.Equal(t, int64(c.records), rows)
			require.NotZero(t, full)
			line, code, _ := verifyLine(t, file)
			require.Equal(t, exitOK, code, line)
		})
	}
}
