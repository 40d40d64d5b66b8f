package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
)

const defaultData = "./penstock-data"

// withNode opens the data directory, calls f and closes it.
func withNode(ctx context.Context, dir string, f func(*pipelines.Node) error) error {
	n, err := pipelines.OpenNode(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(f(n), n.Close())
}

// load reads pipeline files. All mistakes of all files are one error.
func load(r *pipelines.Registry, paths []string) ([]*pipelines.Spec, error) {
	var specs []*pipelines.Spec
	var errs []error
	by := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // the user named it
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := r.Load(path, text, os.LookupEnv)
		if err == nil && by[s.Name] != "" {
			err = fmt.Errorf("%s: pipeline %s is in %s already: give it another name", path, s.Name, by[s.Name])
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		by[s.Name] = path
		specs = append(specs, s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usage(err)
	}
	return specs, nil
}

// classify gives a run's error its exit code.
func classify(err error) error {
	if errors.Is(err, core.ErrInvalid) {
		return usage(err)
	}
	return err
}

func (a *app) run() *cobra.Command {
	var data string
	var opts pipelines.RunOptions
	cmd := &cobra.Command{
		Use:   "run PIPELINE.yaml...",
		Short: "Run pipelines: to the end of a finite source, else until stopped",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := load(r, args)
			if err != nil {
				return err
			}
			return withNode(cmd.Context(), data, func(n *pipelines.Node) error { return a.runAll(cmd.Context(), n, r, specs, opts) })
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData, "data directory")
	cmd.Flags().BoolVar(&opts.UntilCaughtUp, "until-caught-up", false, "deliver what the stream holds now, then exit")
	cmd.Flags().BoolVar(&opts.Adopt, "adopt", false, "go on although the destination holds output of an earlier incarnation")
	cmd.Flags().DurationVar(&opts.Drain, "drain", 10*time.Second, "how long a stop may take to flush what is buffered")
	return cmd
}

// runAll runs pipelines beside each other; the first error stops them all.
func (a *app) runAll(ctx context.Context, n *pipelines.Node, r *pipelines.Registry, specs []*pipelines.Spec, opts pipelines.RunOptions) error {
	p := newProgress(a.err)
	opts.Events, opts.Env, opts.Stdin = p.events(), os.LookupEnv, a.in
	g, ctx := errgroup.WithContext(ctx)
	watching, stop := context.WithCancel(ctx)
	go p.watch(watching)
	for _, s := range specs {
		g.Go(func() error { return n.Run(ctx, r, s, opts) })
	}
	err := g.Wait()
	stop()
	if err == nil && p.records.Load() == 0 {
		p.printf("nothing new since the last run; penstock pipelines reset reads again")
	}
	p.printf("%s", p.line())
	return classify(err)
}

func (a *app) lint() *cobra.Command {
	return &cobra.Command{
		Use:   "lint PIPELINE.yaml...",
		Short: "Check pipeline files: every mistake at once, with its place and cure",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := load(r, args)
			if err != nil {
				return err
			}
			for _, s := range specs {
				p, err := r.Program(cmd.Context(), s)
				if err != nil {
					return usage(err)
				}
				if err := p.Sink.Close(cmd.Context()); err != nil {
					return err
				}
				_, _ = fmt.Fprintf(a.out, "%s: pipeline %s is right\n", s.File, s.Name)
			}
			return nil
		},
	}
}

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify PIPELINE.yaml...",
		Short: "Prove from the destination's own manifests that each span is there once",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := load(r, args)
			if err != nil {
				return err
			}
			for _, s := range specs {
				if err := a.verifyOne(cmd.Context(), r, s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) verifyOne(ctx context.Context, r *pipelines.Registry, s *pipelines.Spec) (err error) {
	p, err := r.Program(ctx, s)
	if err != nil {
		return classify(err)
	}
	defer func() { err = errors.Join(err, p.Sink.Close(ctx)) }()
	v, ok := p.Sink.(connectors.Verifier)
	if !ok {
		return fmt.Errorf("sink %s cannot prove what it holds", s.Sink.Kind)
	}
	report, err := v.Verify(ctx, s.Name)
	if err != nil {
		return err
	}
	if a.json {
		err = json.NewEncoder(a.out).Encode(report)
	} else {
		a.printReport(report)
	}
	if err == nil && len(report.Problems) > 0 {
		err = problem(fmt.Errorf("pipeline %s: %d problems", s.Name, len(report.Problems)))
	}
	return err
}

func (a *app) printReport(v connectors.VerifyReport) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format+"\n", args...) }
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
	if len(v.Problems) > 0 {
		verdict = "NOT CLEAN"
	}
	line("verify %s: %s: plans=%d files=%d rows=%d bytes=%d", v.Pipeline, verdict, v.Plans, v.Outputs, v.Rows, v.Bytes)
}
