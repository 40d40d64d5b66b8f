package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/cloudwatchapi"
	"github.com/penstock/penstock/core/controlapi"
	"github.com/penstock/penstock/core/kinesisapi"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/stream/limit"
	"github.com/penstock/penstock/pipelines"
)

// serveConfig is what the flags of serve say.
type serveConfig struct {
	runConfig
	doors     doorConfig
	auth      string
	pipelines string
	limits    string
	factor    float64
	api       kinesisapi.Config
}

func (a *app) serve() *cobra.Command {
	c := serveConfig{runConfig: runConfig{memory: memory.Default}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the Kinesis Data Streams API, and run the pipelines of a folder",
		Long: "Serve the Kinesis Data Streams API, and run the pipelines of a folder, until stopped. AWS clients need their endpoint\n" +
			"changed and nothing else. A record is on disk before it is acknowledged.\n\n" +
			"SIGTERM and ctrl-C end what is under way within --drain; a second one ends the process at once. Nothing is lost either way.\n" +
			"SIGHUP reads keys, certificates and pipeline files again; what is wrong then stays as it was.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serveAPI(cmd.Context(), c) },
	}
	cmd.Example = "  penstock serve\n  penstock serve --auth none --listen unix:///run/penstock.sock\n  penstock serve --listen 0.0.0.0:4567 --allow 10.0.0.0/8 --tls-self-signed --tls-name streams.example\n  aws --endpoint-url http://127.0.0.1:4567 kinesis create-stream --stream-name clicks --shard-count 4"
	cmd.ValidArgsFunction = noFiles
	dataFlag(cmd, &c.data)
	f := cmd.Flags()
	c.doors.flags(f)
	f.StringVar(&c.auth, "auth", "", "file of keys and policies (default DATA/credentials.yaml, made at the first start), or none: whoever reaches the address may do everything; only at loopback addresses and Unix sockets")
	f.StringVar(&c.pipelines, "pipelines", "", "folder of pipeline files (*.yaml) to run beside the API; with --watch or at SIGHUP, also those that come later")
	f.StringVar(&c.api.Region, "region", defaultRegion, "region in ARNs and signatures")
	f.StringVar(&c.api.Account, "account", "000000000000", "account id in ARNs")
	f.DurationVar(&c.api.Delay, "state-delay", 500*time.Millisecond, "how long streams stay CREATING, UPDATING and DELETING; 0s: not at all")
	f.IntVar(&c.api.ShardLimit, "shard-limit", 10_000, "open shards of all streams together")
	f.StringVar(&c.limits, "limits", "none", "aws: refuse what a shard, a consumer or an account may not do in a second on AWS; none: take what the machine takes")
	f.Float64Var(&c.factor, "limits-factor", 1, "times what AWS allows that --limits aws does")
	c.flags(f)
	return cmd
}

// limiter is what the flags say that callers are held to.
func (c *serveConfig) limiter() (*limit.Limiter, error) {
	switch c.limits {
	case "none":
		return nil, nil //nolint:nilnil // it has no limits
	case "aws":
		l, err := limit.New(c.factor)
		if err != nil {
			return nil, fmt.Errorf("--limits-factor: %w", err)
		}
		return l, nil
	}
	return nil, fmt.Errorf("--limits %s: none or aws", c.limits)
}

// serveAPI serves until ctx ends.
func (a *app) serveAPI(ctx context.Context, c serveConfig) error {
	if c.api.Delay == 0 {
		c.api.Delay = -1 // as asked for, not the default
	}
	var err error
	if c.api.Limits, err = c.limiter(); err != nil {
		return usage(err)
	}
	if err := c.api.Validate(); err != nil {
		return usage(err)
	}
	files, err := folder(c.pipelines)
	if err != nil {
		return usage(err)
	}
	d, err := c.doors.open(ctx, c.auth == authNone)
	if err != nil {
		return err
	}
	defer d.close() //nolint:errcheck // closed by the server before
	c.opts.Stdin = a.in
	return a.hosting(ctx, c.runConfig, files, func(h *host, specs []*pipelines.Spec) error {
		return a.serveOn(ctx, c, d, h, specs)
	})
}

// serveOn serves at doors, beside the pipelines.
func (a *app) serveOn(ctx context.Context, c serveConfig, d *doors, h *host, specs []*pipelines.Spec) error {
	c.api.Log, c.api.Events = h.log, h.metrics.Kinesis()
	api, err := kinesisapi.New(ctx, h.node.Streams, h.node.Control, c.api)
	if err != nil {
		return err
	}
	guards, err := c.guards(h, api, a.err)
	if err != nil {
		return err
	}
	server := awsapi.HTTPServer(localOnly(c.auth == authNone, c.services(h, api, guards)), h.log)
	server.RegisterOnShutdown(api.EndSubscriptions)
	listeners, err := d.listeners(ctx, h, c.data)
	if err != nil {
		return err
	}
	go onHangup(ctx, guards.reload, d.reload)
	g, running := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			err := server.Serve(l)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		})
	}
	g.Go(func() error {
		select {
		case <-running.Done():
		case <-h.node.Failed():
			return errors.Join(errors.New("the log failed: start penstock again"), server.Close()) // there is nothing to drain to
		}
		h.admin.setReady(false)
		ending, stop := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Drain)
		defer stop()
		if err := server.Shutdown(ending); err != nil {
			return errors.Join(fmt.Errorf("requests were under way after %s: %w", c.opts.Drain, err), server.Close())
		}
		return nil
	})
	for _, l := range d.all {
		h.log.Info("serving", "endpoint", l.endpoint(), "region", c.api.Region, "account", c.api.Account)
	}
	h.admin.setReady(true)
	if c.pipelines != "" {
		c.opts.Await = true // streams are made by clients, later
		u := newRunner(h.node, h.registry, h.metrics, h.log, c.opts, h.progress)
		u.folder = c.pipelines
		g.Go(func() error {
			err := u.run(running, specs, c.watch, h.admin)
			if err != nil && ctx.Err() == nil {
				h.log.Error("pipelines ended; the API goes on", "error", err)
				<-running.Done()
			}
			return err
		})
	}
	return g.Wait()
}

// services hands each request to the service that it is for.
func (c *serveConfig) services(h *host, api *kinesisapi.API, g guards) http.Handler {
	streams := awsapi.New(api.Service(), awsapi.Config{Guard: g.kinesis, Memory: h.budget, Log: h.log})
	figures := cloudwatchapi.New(cloudwatchapi.Config{Guard: g.cloudwatch, Memory: h.budget, Log: h.log, Observe: h.metrics.CloudWatch()})
	rows := awsapi.New(controlapi.Service(h.node.Control, controlapi.Config{Region: c.api.Region, Account: c.api.Account}),
		awsapi.Config{Guard: g.control, Memory: h.budget, Log: h.log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case controlapi.Match(r):
			rows.ServeHTTP(w, r)
		case cloudwatchapi.Match(r):
			figures.ServeHTTP(w, r)
		default:
			streams.ServeHTTP(w, r)
		}
	})
}

// folder are the pipeline files of a folder; none of no folder.
func folder(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if _, serr := os.Stat(dir); err == nil && serr != nil {
		err = fmt.Errorf("--pipelines %s: %w", dir, serr)
	}
	slices.Sort(files)
	return files, err
}
