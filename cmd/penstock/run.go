package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/pipelines/metrics"
)

const defaultData = "./penstock-data"

// runConfig is what the flags of run say.
type runConfig struct {
	data                string
	opts                pipelines.RunOptions
	watch               bool
	memory              connectors.ByteSize
	admin               string
	public, pprof       bool
	logFormat, logLevel string
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
	c := runConfig{memory: memory.Default}
	cmd := &cobra.Command{
		Use:   "run PIPELINE.yaml...",
		Short: "Run pipelines: to the end of a finite source, else until stopped",
		Long: "Run pipelines: to the end of a finite source, else until stopped.\n\n" +
			"SIGTERM and ctrl-C flush what is buffered within --drain; a second one ends the process at once. Nothing is lost either way.\n" +
			"SIGHUP reads the pipeline files again: one that changed is drained and goes on with its new text, one that is wrong keeps\n" +
			"running as it is. A pipeline that fails does not stop the others; the exit code is 3 then.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runPipelines(cmd.Context(), c, args) },
	}
	f := cmd.Flags()
	f.StringVar(&c.data, "data", defaultData, "data directory")
	f.BoolVar(&c.opts.UntilCaughtUp, "until-caught-up", false, "deliver what the stream holds now, then exit")
	f.BoolVar(&c.opts.Adopt, "adopt", false, "go on although the destination holds output of an earlier incarnation")
	f.DurationVar(&c.opts.Drain, "drain", 10*time.Second, "how long a stop may take to flush what is buffered")
	f.BoolVar(&c.watch, "watch", false, "read pipeline files again when they change")
	f.TextVar(&c.memory, "memory", c.memory, "memory of the process, 64MiB or more")
	f.StringVar(&c.admin, "admin", "", "address for /metrics, /healthz and /readyz, such as 127.0.0.1:4568")
	f.BoolVar(&c.public, "admin-public", false, "let --admin be an address that other machines reach")
	f.BoolVar(&c.pprof, "pprof", false, "serve /debug/pprof at --admin too")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// runPipelines opens what a run needs, and runs the pipelines of files.
func (a *app) runPipelines(ctx context.Context, c runConfig, files []string) error {
	out := &syncWriter{w: a.err}
	log, err := newLogger(out, c.logFormat, c.logLevel)
	if err != nil {
		return usage(err)
	}
	budget, err := memory.New(int64(c.memory))
	if err != nil {
		return usage(fmt.Errorf("--memory: %w", err))
	}
	budget.Limit()
	r := registry()
	specs, err := load(r, files)
	if err != nil {
		return err
	}
	m := metrics.New(readBuild().Version)
	adm, err := openAdmin(ctx, c, m)
	if err != nil {
		return usage(err)
	}
	defer adm.close()
	node := pipelines.NodeConfig{Memory: budget, Synced: m.Synced}
	err = ownNode(ctx, c.data, node, func(n *pipelines.Node) error {
		n.Streams.Observe(m.Put)
		gauges(m, budget)
		adm.watch(n)
		u := newRunner(n, r, m, log, c.opts)
		if c.logFormat == "text" {
			u.progress = newProgress(out)
		}
		return u.run(ctx, specs, c.watch, adm)
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, connectors.ErrNotDrained) {
		return nil // it was stopped before anything began
	}
	return err
}

// runAll runs pipelines beside each other, showing their progress.
func (a *app) runAll(ctx context.Context, n *pipelines.Node, r *pipelines.Registry, specs []*pipelines.Spec, opts pipelines.RunOptions) error {
	out := &syncWriter{w: a.err}
	log, err := newLogger(out, "text", "warn")
	if err != nil {
		return err
	}
	u := newRunner(n, r, metrics.New(""), log, opts)
	u.progress = newProgress(out)
	return u.run(ctx, specs, false, nil)
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
