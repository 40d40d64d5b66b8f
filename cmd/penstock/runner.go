package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/pipelines/metrics"
)

// runner runs pipelines and tells the log, the metrics and the progress display what becomes of them.
type runner struct {
	node     *pipelines.Node
	registry *pipelines.Registry
	metrics  *metrics.Metrics
	log      *slog.Logger
	opts     pipelines.RunOptions
	progress *progress
	sum      runSummary // once run has ended
	alone    bool       // there is one pipeline: its error is that of the command
	folder   string     // where pipeline files may come to; then run goes on without any. Empty: nowhere
	letters  []string   // the streams of dead letters

	status *status
}

func newRunner(n *pipelines.Node, r *pipelines.Registry, m *metrics.Metrics, log *slog.Logger, opts pipelines.RunOptions, p *progress) *runner {
	opts.Env = os.LookupEnv
	if opts.Drain <= 0 {
		opts.Drain = 10 * time.Second
	}
	return &runner{node: n, registry: r, metrics: m, log: log, opts: opts, progress: p, status: newStatus()}
}

// run runs the pipelines until each has ended, or ctx does. What cannot work is said before any of them starts.
func (u *runner) run(ctx context.Context, specs []*pipelines.Spec, watch bool, adm *admin) error {
	u.alone = len(specs) == 1 && u.folder == ""
	if !u.alone {
		var errs []error
		for _, s := range specs {
			errs = append(errs, u.node.Check(ctx, u.registry, s, u.opts))
		}
		if err := errors.Join(errs...); err != nil {
			return classify(err)
		}
	}
	for _, s := range specs {
		u.letters = append(u.letters, string(s.DeadLetter))
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		adm.setReady(false) // first, so that nobody counts on this process while it drains
		u.log.Info("stopping", "drain", u.opts.Drain.String())
		stop()
	})()
	changed := make(chan *pipelines.Spec)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go newReloader(u, specs, changed).run(running, hup, watch)
	go u.progress.watch(running)
	adm.show(u.status)
	adm.setReady(true)
	g := pipelines.Group{Node: u.node, Registry: u.registry, Options: u.options, Events: u.groupEvents(), Stay: u.folder != ""}
	err := g.Run(running, specs, changed, u.opts.Drain)
	u.summary(err)
	if len(specs) > 1 {
		return err
	}
	return classify(err)
}

// options say how a pipeline runs.
func (u *runner) options(s *pipelines.Spec) pipelines.RunOptions {
	opts, shown := u.opts, s.Name
	if u.alone {
		shown = ""
	}
	opts.Events = connectors.Join(
		u.metrics.Events(s.Name), u.status.events(s.Name), logEvents(u.log.With("pipeline", s.Name), !u.progress.silent), u.progress.events(shown),
	)
	return opts
}

func (u *runner) groupEvents() pipelines.GroupEvents {
	return pipelines.GroupEvents{
		Started: func(s *pipelines.Spec) {
			u.metrics.Up(s.Name, true)
			u.status.set(s.Name, stateRunning, nil)
			u.log.Debug("started", "pipeline", s.Name, "file", s.File)
		},
		Draining: func(s *pipelines.Spec) {
			u.status.set(s.Name, stateDraining, nil)
			u.log.Info("draining, to go on as its file says now", "pipeline", s.Name)
		},
		Ended: func(s *pipelines.Spec, err error) {
			u.metrics.Up(s.Name, false)
			u.status.set(s.Name, stateEnded, nil)
			if err != nil {
				u.status.set(s.Name, stateFailed, err)
			}
			if err != nil && !u.alone {
				u.log.Error("ended with an error; other pipelines go on", "pipeline", s.Name, "error", err)
			} else {
				u.log.Debug("ended", "pipeline", s.Name)
			}
		},
	}
}

// failed reports whether a pipeline ended with an error.
func (u *runner) failed(name string) bool { return u.status.is(name, stateFailed) }

// summary says in the end what was done.
func (u *runner) summary(err error) {
	const nothing = "nothing new since the last run; penstock pipelines reset reads again"
	u.sum = u.progress.finish()
	idle := err == nil && u.sum.Records == 0
	if u.sum.Dead > 0 {
		u.log.Warn("rows became dead letters; look at them with penstock dlq list", "rows", u.sum.Dead, "written", u.sum.Written, "streams", strings.Join(u.letters, " "))
	}
	switch {
	case u.progress.silent && idle:
		u.log.Info(nothing)
	case u.progress.silent:
		u.log.Info("ended", "records", u.sum.Records, "written", u.sum.Written, "dead", u.sum.Dead, "files", u.sum.Files)
	case idle:
		u.progress.printf(nothing)
	}
}
