package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
	specs, err := loadSome(r, paths)
	if err != nil {
		return nil, usage(err)
	}
	return specs, nil
}

// loadSome returns the files that can be read beside the mistakes of the others.
func loadSome(r *pipelines.Registry, paths []string) ([]*pipelines.Spec, error) {
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
	return specs, errors.Join(errs...)
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
	cmd.Example = "  penstock run clicks-archive.yaml --until-caught-up"
	cmd.ValidArgsFunction = yamlFiles
	dataFlag(cmd, &data)
	cmd.Flags().BoolVar(&opts.UntilCaughtUp, "until-caught-up", false, "deliver what the stream holds now, then exit")
	cmd.Flags().BoolVar(&opts.Adopt, "adopt", false, "go on although the destination holds output of an earlier incarnation")
	cmd.Flags().DurationVar(&opts.Drain, "drain", 10*time.Second, "how long a stop may take to flush what is buffered")
	return cmd
}

// runAll runs pipelines beside each other; the first error stops them all.
func (a *app) runAll(ctx context.Context, n *pipelines.Node, r *pipelines.Registry, specs []*pipelines.Spec, opts pipelines.RunOptions) error {
	p := a.newProgress()
	opts.Events, opts.Env = p.events(), os.LookupEnv
	g, ctx := errgroup.WithContext(ctx)
	watching, stop := context.WithCancel(ctx)
	go p.watch(watching)
	for _, s := range specs {
		g.Go(func() error { return n.Run(ctx, r, s, opts) })
	}
	err := g.Wait()
	stop()
	sum := p.finish()
	a.result = sum
	if err == nil && sum.Records == 0 {
		p.printf("nothing new since the last run; penstock pipelines reset reads again")
	}
	return classify(err)
}
