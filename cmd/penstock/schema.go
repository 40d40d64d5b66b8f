package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"
)

func (a *app) schema() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of pipeline files. An editor that knows it completes keys, shows what they mean and
marks what is misspelt. Write it to a file, and name that in the first line of a pipeline file, as penstock init does:

  # yaml-language-server: $schema=penstock.schema.json`,
		Example:           "  penstock schema > penstock.schema.json",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
		RunE: func(*cobra.Command, []string) error {
			text, err := registry().JSONSchema()
			if err != nil {
				return err
			}
			if to != "" {
				if err := os.WriteFile(to, text, 0o644); err != nil { //nolint:gosec // for editors, and no secret
					return err
				}
				return a.show(map[string]string{"file": to}, "wrote %s\n", to)
			}
			return a.answer(json.RawMessage(text), func() { a.printf("%s", text) })
		},
	}
	cmd.Flags().StringVarP(&to, "output", "o", "", "write it to this file")
	return cmd
}
