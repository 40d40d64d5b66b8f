package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// commands are a command and all those below it.
func commands(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		out = append(out, commands(sub)...)
	}
	return out
}

// TestHelpIsAsItWas holds the help of every command against testdata/help.txt; -update writes it.
func TestHelpIsAsItWas(t *testing.T) {
	var all strings.Builder
	for _, c := range commands((&app{}).root()) {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		code, out, errOut := command(t, args...)
		require.Equal(t, exitOK, code, errOut)
		fmt.Fprintf(&all, "==== %s\n%s\n", c.CommandPath(), out)
	}
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(all.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), all.String(), "if this is as it should be: go test ./cmd/penstock -run TestHelp -update")
}

func TestEveryCommandHasAnExampleThatNamesIt(t *testing.T) {
	for _, c := range commands((&app{}).root()) {
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.Contains(t, c.Example, c.CommandPath(), c.CommandPath())
	}
}

func TestCompletionKnowsShellsAndPipelineFiles(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errOut := command(t, "completion", shell)
		require.Equal(t, exitOK, code, errOut)
		require.Contains(t, out, "penstock")
	}
	for args, want := range map[string]string{
		"lint ":             "yaml\nyml\n:8", // only files that end so
		"run a.yaml ":       "yaml\nyml\n:8",
		"init --sink ":      "file\ns3\n:4", // no files
		"streams describe ": ":4",
		"pipelines aband":   "abandon-plan",
		"run --data ":       ":16", // only folders
		"streams ":          "create",
	} {
		fields := strings.Split("__complete "+args, " ")
		code, out, _ := command(t, fields...)
		require.Equal(t, exitOK, code, args)
		require.Contains(t, out, want, args)
		require.NotContains(t, out, `"ok":`)
	}
	for _, args := range []string{"--json --help", "streams --json", "help streams --json", "completion bash --json"} {
		code, out, _ := command(t, strings.Fields(args)...)
		require.Equal(t, exitOK, code, args)
		require.NotContains(t, out, `"ok":`, args)
	}
}

func TestMistakesInACommandLineAreErrorsOfUsage(t *testing.T) {
	for line, want := range map[string]string{
		"strems":               `unknown command "strems" for "penstock"; did you mean streams?`,
		"streams creat":        `unknown command "creat" for "penstock streams"; did you mean create?`,
		"lint":                 "requires at least 1 arg",
		"version now":          "unknown command",
		"init --sink ftp":      `--sink "ftp" is none of file, s3`,
		"streams list extra":   "unknown command",
		"lint no-such.yaml":    "no such file",
		"tail s --count x":     "invalid argument",
		"--json run":           "requires at least 1 arg",
		"dry-run a.yaml b.yml": "accepts 1 arg",
	} {
		code, out, errOut := command(t, strings.Fields(line)...)
		require.Equal(t, exitUsage, code, line)
		require.Contains(t, errOut, want, line)
		if strings.HasPrefix(line, "--json") {
			require.Contains(t, out, `{"command":"run","ok":false,"result":null,"error":{"message":"requires at least 1 arg`)
		}
	}
	code, out, _ := command(t, "streams")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Available Commands:")
}
