package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/pipelines"
)

func (a *app) test() *cobra.Command {
	return &cobra.Command{
		Use:   "test PIPELINE.yaml...",
		Short: "Run the tests of pipeline files",
		Long: `Run the tests that stand in pipeline files under tests: the records of input go through the decoder and the stages as
they would when they were the first that the pipeline meets, and what comes out is compared. The sink writes nothing; it is asked under which
prefixes rows would stand.

  tests:
    - name: heartbeats are dropped, and broken records kept aside
      input:
        - json: {event_type: heartbeat}
        - json: {event_type: click, bytes: 12}
          key: user-1
          arrival: 2026-01-01T00:00:00Z
        - data: '{"event_type":'
      rows: [{event_type: click, bytes: 12}]
      dead_letters: [{record: 3, stage: decode, code: bad_json}]
      prefixes: ['dt=2026-01-01/']

rows are compared in order; a null field equals a missing one; match: subset lets rows have fields that are not written.
dead_letters left out means that there may be none; prefixes left out are not compared.`,
		Example:           "  penstock test pipelines/*.yaml",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := load(r, args)
			if err != nil {
				return err
			}
			all, failed := []pipelines.TestResult{}, 0
			for _, s := range specs {
				results, err := r.Test(cmd.Context(), s)
				if err != nil {
					return classify(err)
				}
				if len(results) == 0 {
					a.printf("none  %s has no tests\n", s.File)
				}
				for _, t := range results {
					failed += a.printTest(t)
				}
				if absent := pipelines.AbsentInAll(results); len(absent) > 0 {
					a.printf("warn  %s: the pipeline names columns that no record of its tests has; they are null: %s\n", s.File, plainText(listed(absent)))
				}
				all = append(all, results...)
			}
			a.result = all
			a.printf("%d passed, %d failed\n", len(all)-failed, failed)
			if failed > 0 {
				return problem(fmt.Errorf("%d of %d tests failed", failed, len(all)))
			}
			if len(all) == 0 {
				return problem(errors.New("there is no test to run: write some under tests: in the pipeline file"))
			}
			return nil
		},
	}
}

// printTest prints one result and returns 1 if it failed.
func (a *app) printTest(t pipelines.TestResult) int {
	if len(t.Failures) == 0 {
		a.printf("pass  %s: %s\n", t.File, t.Name)
		return 0
	}
	a.printf("FAIL  %s:%d: %s\n", t.File, t.Line, t.Name)
	for _, f := range t.Failures {
		a.printf("      %s\n", f)
	}
	return 1
}
