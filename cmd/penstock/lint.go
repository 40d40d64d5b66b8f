package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/pipelines"
)

// linted is a pipeline file without mistakes.
type linted struct {
	File     string `json:"file"`
	Pipeline string `json:"pipeline"`
	Tests    int    `json:"tests"`
}

func (a *app) lint() *cobra.Command {
	return &cobra.Command{
		Use:               "lint PIPELINE.yaml...",
		Short:             "Check pipeline files: every mistake at once, with its place and cure",
		Example:           "  penstock lint pipelines/*.yaml",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := loadSome(r, args)
			out := []linted{}
			errs := []error{err}
			for _, s := range specs {
				if err := lintOne(cmd.Context(), r, s); err != nil {
					errs = append(errs, err)
					continue
				}
				out = append(out, linted{s.File, s.Name, len(s.Tests)})
				a.printf("%s: pipeline %s is right\n", s.File, s.Name)
			}
			a.result = out
			return usage(errors.Join(errs...))
		},
	}
}

// lintOne opens what a spec names, which finds the mistakes that reading does not.
func lintOne(ctx context.Context, r *pipelines.Registry, s *pipelines.Spec) error {
	p, err := r.Program(ctx, s)
	if err != nil {
		return err
	}
	return p.Sink.Close(ctx)
}
