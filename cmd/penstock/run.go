package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/stream"
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
	pins                stream.PinLimits
	pinBytes            connectors.ByteSize
	keys                keyPlaces
	renew               stream.KeyLimits
	admin               string
	public, pprof       bool
	logFormat, logLevel string
	state               stateConfig
	ownData             bool // --data was given
}

// load reads pipeline files. All mistakes of all files are one error.
func load(r *pipelines.Registry, paths []string) ([]*pipelines.Spec, error) {
	specs, err := loadSome(r, paths)
	if err == nil {
		return specs, nil
	}
	errs := []error{err}
	for _, s := range specs {
		errs = append(errs, lintOne(context.Background(), r, s)) // opening asks nothing of the network
	}
	return nil, usage(errors.Join(errs...))
}

// loadSome returns the files that can be read beside the mistakes of the others.
func loadSome(r *pipelines.Registry, paths []string) ([]*pipelines.Spec, error) {
	return loadWith(r.Load, paths)
}

// loadWith is loadSome with another reading of a file than as a pipeline that is to run.
func loadWith(read func(name string, text []byte, env func(string) (string, bool)) (*pipelines.Spec, error), paths []string) ([]*pipelines.Spec, error) {
	var specs []*pipelines.Spec
	var errs []error
	by := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // the user named it
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := read(path, text, os.LookupEnv)
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
	c := runConfig{memory: memory.Default}
	cmd := &cobra.Command{
		Use:   "run PIPELINE.yaml...",
		Short: "Run pipelines: to the end of a finite source, else until stopped",
		Long: "Run pipelines: to the end of a finite source, else until stopped.\n\n" +
			"SIGTERM and ctrl-C flush what is buffered within --drain; a second one ends the process at once. Nothing is lost either way.\n" +
			"SIGHUP reads the pipeline files again: one that changed is drained and goes on with its new text, one that is wrong keeps\n" +
			"running as it is. A pipeline that fails does not stop the others; the exit code is 3 then.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.ownData = cmd.Flags().Changed("data")
			return a.runPipelines(cmd.Context(), c, args)
		},
	}
	cmd.Example = "  penstock run clicks-archive.yaml --until-caught-up\n  penstock run *.yaml --watch --admin 127.0.0.1:4568\n  penstock run clicks-archive.yaml --state http://streams.example:4567   # one of any number of workers"
	cmd.ValidArgsFunction = yamlFiles
	dataFlag(cmd, &c.data)
	f := cmd.Flags()
	f.BoolVar(&c.opts.UntilCaughtUp, "until-caught-up", false, "deliver what the stream holds now, then exit")
	c.state.flags(f)
	c.flags(f)
	return cmd
}

// flags are those of every command that holds the data directory for long.
func (c *runConfig) flags(f *pflag.FlagSet) {
	f.BoolVar(&c.opts.Adopt, "adopt", false, "go on although the destination holds output of an earlier incarnation")
	f.DurationVar(&c.opts.Drain, "drain", 10*time.Second, "how long a stop may take to flush what is buffered")
	f.BoolVar(&c.watch, "watch", false, "read pipeline files again when they change")
	f.TextVar(&c.memory, "memory", c.memory, "memory of the process, 128MiB or more")
	f.DurationVar(&c.pins.Age, "pin-limit", stream.DefaultPinAge, "how long records that an open plan needs stay past their retention")
	f.TextVar(&c.pinBytes, "pin-bytes", connectors.ByteSize(stream.DefaultPinBytes), "how many bytes of such records the log keeps in all")
	f.StringVar(&c.keys.file, "encryption-keys", "", "file of the master keys of encrypted streams (default $"+keysVariable+")")
	f.StringVar(&c.keys.kms, "encryption-kms", "", "URL of a service of AWS KMS's API that has master keys of encrypted streams (default $"+kmsVariable+")")
	f.DurationVar(&c.renew.Age, "encryption-renew", 24*time.Hour, "how long an encrypted stream uses a data key before it gets a new one")
	f.StringVar(&c.admin, "admin", "", "address for /metrics, /healthz, /readyz and /status, such as 127.0.0.1:4568")
	f.BoolVar(&c.public, "admin-public", false, "let --admin be an address that other machines reach")
	f.BoolVar(&c.pprof, "pprof", false, "serve /debug/pprof at --admin too")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
}

// host is what a command has that holds the data directory for long.
type host struct {
	node     *pipelines.Node
	registry *pipelines.Registry
	metrics  *metrics.Metrics
	log      *slog.Logger
	budget   *memory.Budget
	admin    *admin
	progress *progress
}

// hosting opens what the flags say and calls f.
func (a *app) hosting(ctx context.Context, c runConfig, files []string, f func(h *host, specs []*pipelines.Spec) error) error {
	h := &host{progress: a.newProgress(), registry: registry(), metrics: metrics.New(readBuild().Version)}
	var out io.Writer = h.progress
	if h.progress.silent = c.logFormat != "text"; h.progress.silent {
		out = &syncWriter{w: a.err}
	}
	var err error
	if h.log, err = newLogger(out, c.logFormat, c.logLevel); err != nil {
		return usage(err)
	}
	if h.budget, err = memory.New(int64(c.memory)); err != nil {
		return usage(fmt.Errorf("--memory: %w", err))
	}
	h.budget.Limit()
	specs, err := load(h.registry, files)
	if err != nil {
		return err
	}
	if h.admin, err = openAdmin(ctx, c, h.metrics); err != nil {
		return usage(err)
	}
	defer h.admin.close()
	c.pins.Bytes = int64(c.pinBytes)
	masters, err := c.keys.open(ctx)
	if err != nil {
		return usage(err)
	}
	node := pipelines.NodeConfig{Memory: h.budget, Synced: h.metrics.Synced, Pins: c.pins, Masters: masters, Keys: c.renew}
	return ownNode(ctx, c.data, node, func(n *pipelines.Node) error {
		h.node = n
		n.Streams.Observe(h.metrics.Put)
		gauges(h.metrics, h.budget)
		h.admin.watch(n)
		return f(h, specs)
	})
}

// runPipelines runs the pipelines of files.
func (a *app) runPipelines(ctx context.Context, c runConfig, files []string) error {
	c.opts.Stdin = a.in
	var log *slog.Logger
	state, closing, err := c.state.open(ctx, warnAway(func() *slog.Logger { return log }))
	defer closing()
	if err != nil {
		return err
	}
	if c.opts.State = state; state != nil && !c.ownData {
		var remove func()
		if c.data, remove, err = workerData(); err != nil {
			return err
		}
		defer remove()
	}
	err = a.hosting(ctx, c, files, func(h *host, specs []*pipelines.Spec) error {
		log = h.log
		u := newRunner(h.node, h.registry, h.metrics, h.log, c.opts, h.progress)
		defer func() { a.result = u.sum }()
		return u.run(ctx, specs, c.watch, h.admin)
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, connectors.ErrNotDrained) {
		return nil // it was stopped before anything began
	}
	return err
}

// workerData is a data directory of a worker whose state is elsewhere: nothing in it outlives the run, and workers on one host
// each need one.
func workerData() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "penstock-worker-")
	return dir, func() { _ = os.RemoveAll(dir) }, err // it is below the folder for what may be removed
}

// runAll runs pipelines beside each other, showing their progress.
func (a *app) runAll(ctx context.Context, n *pipelines.Node, r *pipelines.Registry, specs []*pipelines.Spec, opts pipelines.RunOptions) error {
	p := a.newProgress()
	log, err := newLogger(p, "text", "warn")
	if err != nil {
		return err
	}
	opts.Stdin = a.in
	u := newRunner(n, r, metrics.New(""), log, opts, p)
	err = u.run(ctx, specs, false, nil)
	a.result = u.sum
	return err
}
