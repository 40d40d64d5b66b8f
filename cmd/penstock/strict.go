package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// strict makes every mistake in a command line an error of usage: wrong counts of arguments, and names of commands that
// are none, for which cobra prints the help as if nothing were wrong.
func strict(c *cobra.Command) {
	for _, sub := range c.Commands() {
		strict(sub)
	}
	if c.Args != nil {
		check := c.Args
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(fmt.Errorf("%w: %s", err, cmd.UseLine()))
			}
			return nil
		}
	}
	if !c.HasSubCommands() {
		return
	}
	c.SuggestionsMinimumDistance = 2
	c.DisableFlagsInUseLine = true
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		what := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			what += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usage(fmt.Errorf("%s (see %s --help)", what, cmd.CommandPath()))
	}
}

// cobras reports whether a command is one that cobra adds, for shells, which has no result but what it prints.
func cobras(c *cobra.Command) bool {
	return strings.HasPrefix(c.Name(), "__") || c.HasParent() && c.Parent().Name() == "completion"
}

// yamlFiles completes the names of pipeline files.
func yamlFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// noFiles completes nothing: the argument is a name.
func noFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// oneOf is a flag that takes one of a few words.
func oneOf(cmd *cobra.Command, to *string, name, usage string, words ...string) {
	cmd.Flags().StringVar(to, name, words[0], usage+": "+strings.Join(words, " or "))
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// dataFlag is --data.
func dataFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "data", defaultData, "data directory")
	_ = cmd.MarkFlagDirname("data") // the flag is there
}
