package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/lease/postgres"
	"github.com/penstock/penstock/core/controlapi"
	"github.com/penstock/penstock/pipelines"
)

// stateConfig is what the flags of run say of the state that workers share.
type stateConfig struct {
	url      string
	failover time.Duration
	looks    bool // the state is not made where there is none
}

// stateVariable is the environment variable that names the state.
const stateVariable = "PENSTOCK_STATE"

func (c *stateConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.url, "state", "", "where workers that share the pipelines have their leases and checkpoints: http(s)://HOST:PORT of penstock serve, postgres://..., or dynamodb://TABLE[?region=...&endpoint=...], KCL's lease table (default: in the data directory, for this process alone; or $"+stateVariable+")")
	f.DurationVar(&c.failover, "failover", 10*time.Second, "how long a worker stands still until others take over, with --state")
}

// away is told that the state cannot be reached and is asked again. May be nil.
type away func(attempt int, wait time.Duration, err error)

// warnAway warns of it, every few seconds.
func warnAway(log func() *slog.Logger) away {
	const often = 5 * time.Second
	var mu sync.Mutex // guards last
	var last time.Time
	return func(_ int, _ time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) >= often {
			last = time.Now()
			log().Warn("the state that workers share cannot be reached, trying again", "error", err)
		}
	}
}

// open returns the state; nil where there is none. close ends its connections.
func (c *stateConfig) open(ctx context.Context, told away) (st *pipelines.State, closing func(), err error) {
	closing = func() {}
	where := c.url
	if where == "" {
		where = os.Getenv(stateVariable)
	}
	if where == "" {
		return nil, closing, nil
	}
	if c.failover < time.Second {
		return nil, closing, usage(fmt.Errorf("--failover %s: want a second or more", c.failover))
	}
	u, err := url.Parse(where)
	if err != nil {
		return nil, closing, usage(errors.New("--state: want a URL such as http://127.0.0.1:4567 or postgres://user@host/database")) // it may have a password
	}
	st = &pipelines.State{Failover: c.failover}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" || u.Path != "" && u.Path != "/" {
			return nil, closing, usage(fmt.Errorf("--state %s: want a URL of scheme and host only", u.Redacted()))
		}
		st.Server = &kinesis.Config{Endpoint: u.Scheme + "://" + u.Host}
		st.Store, st.Names, err = serverState(ctx, st.Server.Endpoint, told)
	case "postgres", "postgresql":
		st.Store, closing, err = databaseState(ctx, where, told)
		st.Names = func(ctx context.Context) ([]string, error) {
			store, err := st.Store(ctx, "")
			if err != nil {
				return nil, err
			}
			return connectors.ListPipelines(ctx, store)
		}
	case "dynamodb":
		st.EachLease = true // KCL's workers look at nothing else
		st.Store, st.Names, err = tableState(ctx, u, told, c.looks)
	default:
		err = usage(fmt.Errorf("--state: %q is none of http, https, postgres and dynamodb", u.Scheme))
	}
	return st, closing, err
}

func serverState(ctx context.Context, endpoint string, told away) (func(context.Context, string) (lease.Store, error), func(context.Context) ([]string, error), error) {
	cfg, err := controlapi.FindConfig(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	cfg.Unreachable = told
	return func(_ context.Context, pipeline string) (lease.Store, error) {
		return controlapi.NewClient(cfg, pipeline), nil
	}, controlapi.NewClient(cfg, "").Pipelines, nil
}

func databaseState(ctx context.Context, where string, told away) (func(context.Context, string) (lease.Store, error), func(), error) {
	cfg, err := pgxpool.ParseConfig(where)
	if err != nil {
		return nil, func() {}, usage(errors.New("--state: it cannot be read as the URL of a database")) // it may have a password
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // a pooler may hand out another server
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, func() {}, err
	}
	open := func(ctx context.Context, _ string) (lease.Store, error) {
		return postgres.Open(ctx, postgres.Config{Pool: pool, Unreachable: told})
	}
	return open, pool.Close, nil
}
