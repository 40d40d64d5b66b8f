package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) verify() *cobra.Command {
	var deep bool
	c := booksConfig{noEnv: true}
	cmd := &cobra.Command{
		Use:               "verify PIPELINE.yaml...",
		Short:             "Prove from the destination's own manifests that each span is there once",
		Example:           "  penstock verify clicks-archive.yaml\n  penstock verify clicks-archive.yaml --data ./penstock-data",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := loadWith(r.Destination, args)
			if err != nil {
				return usage(err)
			}
			if c.data == "" && c.state.url == "" {
				return a.verifyAll(cmd.Context(), r, specs, nil, deep)
			}
			return c.open(cmd, func(b *pipelines.Books) error { return a.verifyAll(cmd.Context(), r, specs, b, deep) })
		},
	}
	cmd.Long = `Prove from the destination's own manifests that each span is there once: spans follow each other without gap or overlap,
every row is accounted for, and every file is there and says that it has its rows. With --deep every byte of the files is
read and its checksums are compared. Nothing but the destination is asked.

With --data or --state the manifests are also held against the checkpoints that are there, and what is still to be
delivered is shown.`
	cmd.Flags().BoolVar(&deep, "deep", false, "read the files whole and compare their checksums")
	cmd.Flags().StringVar(&c.data, "data", "", "hold the proof against this data directory too")
	c.stateFlags(cmd)
	return cmd
}

func (a *app) verifyAll(ctx context.Context, r *pipelines.Registry, specs []*pipelines.Spec, b *pipelines.Books, deep bool) error {
	var reports []connectors.VerifyReport
	var errs []error
	for _, s := range specs {
		report, err := a.verifyOne(ctx, r, s, b, deep)
		if err != nil {
			errs = append(errs, err)
		}
		reports = append(reports, report)
	}
	a.result = reports
	return errors.Join(errs...)
}

func (a *app) verifyOne(ctx context.Context, r *pipelines.Registry, s *pipelines.Spec, b *pipelines.Books, deep bool) (report connectors.VerifyReport, err error) {
	p, err := r.Program(ctx, s)
	if err != nil {
		return report, classify(err)
	}
	defer func() { err = errors.Join(err, p.Sink.Close(ctx)) }()
	v, ok := p.Sink.(connectors.Verifier)
	if !ok {
		return report, usage(fmt.Errorf("sink %s cannot prove what it holds", s.Sink.Kind))
	}
	if report, err = v.Verify(ctx, s.Name, deep); err != nil {
		return report, err
	}
	if b != nil {
		shards, err := b.CheckTail(ctx, &report)
		if err != nil {
			return report, classify(err)
		}
		for _, s := range shards {
			at := cmp.Or(s.Checkpoint, "none")
			if s.File != nil {
				a.printf("%s %s: checkpoint %s, %s\n", s.Source, s.Shard, at, lagText(s))
				continue
			}
			if s.Problem != "" {
				a.printf("%s %s: checkpoint %s, how far behind is %s\n", s.Source, s.Shard, at, lagText(s))
				continue
			}
			a.printf("%s %s: checkpoint %s, last record %s, %s behind\n", s.Source, s.Shard, at, cmp.Or(s.Last, "none"), s.Lag)
		}
	}
	a.printReport(report)
	if len(report.Problems) > 0 {
		err = problem(fmt.Errorf("pipeline %s: %d problems", s.Name, len(report.Problems)))
	}
	return report, err
}

func (a *app) printReport(v connectors.VerifyReport) {
	line := func(format string, args ...any) { a.printf(format+"\n", args...) }
	for _, s := range v.Shards {
		line("%s %s: proven through %s: read=%d filtered=%d written=%d dead=%d", s.Source, s.Shard, s.Through, s.Counts.Rows, s.Counts.Filtered+s.Counts.Null, s.Counts.Written, s.Counts.Dead)
	}
	for _, p := range v.Problems {
		line("problem: %s", p)
	}
	for _, o := range v.Orphans {
		line("orphan (no manifest names it; it is not part of the result): %s", o)
	}
	verdict := "clean"
	switch {
	case len(v.Problems) > 0:
		verdict = "NOT CLEAN"
	case v.Plans == 0:
		verdict = "nothing there: no manifest of this pipeline was found"
	}
	line("verify %s: %s: plans=%d files=%d rows=%d bytes=%d", v.Pipeline, verdict, v.Plans, v.Outputs, v.Rows, v.Bytes)
}
