package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDecodersAreNamedInYAML: each way of writing a decoder is taken, and each mistake is told with its place.
func TestDecodersAreNamedInYAML(t *testing.T) {
	for decode, want := range map[string]string{
		`{json: {}}`:                                    "",
		`{logline: combined}`:                           "",
		`{logline: {format: common}}`:                   "",
		`{logline: {}}`:                                 "",
		`{logline: combind}`:                            "p.yaml:3:57: source.decode.logline: unknown format \"combind\" (have combined, common)",
		`{csv: {}}`:                                     "",
		`{csv: {header: true, null: [NA, '']}}`:         "",
		`{csv: {columns: [a, b], delimiter: "\t"}}`:     "",
		`{csv: {quote: '', null: '\N'}}`:                "",
		`{csv: {header: true, columns: [a]}}`:           "source.decode.csv.columns: with header: true",
		`{csv: {separator: ';'}}`:                       "source.decode.csv.separator: unknown",
		`{regex: '(?P<ip>\S+)'}`:                        "",
		`{regex: {pattern: '(?P<ip>\S+)'}}`:             "",
		`{regex: '\S+'}`:                                "source.decode.regex: the expression has no named group",
		`{regex: '(?P<a>x)(?P<a>y)'}`:                   "source.decode.regex: ",
		`{raw: {}}`:                                     "",
		`{raw: {as: text}}`:                             "",
		`{raw: {as: texts}}`:                            "source.decode.raw.as: unknown \"texts\"",
		`{logline: {format: combined, fromat: common}}`: "source.decode.logline: unknown \"fromat\" (have format)",
	} {
		file := filepath.Join(t.TempDir(), "p.yaml")
		require.NoError(t, os.WriteFile(file, []byte("version: 1\nname: p\nsource: {file: {paths: [logs/*.log]}, decode: "+decode+"}\nsink: {file: {path: lake}}\n"), 0o600))
		code, out, errOut := command(t, "lint", file)
		if want == "" {
			require.Equal(t, exitOK, code, decode+out+errOut)
			continue
		}
		require.Equal(t, exitUsage, code, decode)
		require.Contains(t, out+errOut, want)
	}
}
