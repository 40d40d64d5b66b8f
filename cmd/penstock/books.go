package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// booksConfig is what the flags of a command say of where the pipelines are that it is about.
type booksConfig struct {
	data     string
	ownData  bool // --data was given
	state    stateConfig
	noEnv    bool // $PENSTOCK_STATE says nothing to the command
	failover bool // --failover is a flag of it
}

// flags are --data and --state.
func (c *booksConfig) flags(cmd *cobra.Command) {
	dataFlag(cmd, &c.data)
	c.stateFlags(cmd)
}

func (c *booksConfig) stateFlags(cmd *cobra.Command) {
	usage := "where workers that share the pipelines have their state: http(s)://HOST:PORT of penstock serve, or postgres://..."
	if !c.noEnv {
		usage += " (default $" + stateVariable + ", unless --data is given)"
	}
	f := cmd.Flags()
	f.StringVar(&c.state.url, "state", "", usage)
	c.state.failover = 10 * time.Second
	if c.failover {
		f.DurationVar(&c.state.failover, "failover", c.state.failover, "the workers' --failover: those that stand still for so long are dead")
	}
}

// open calls f with the books that the flags name.
func (c *booksConfig) open(cmd *cobra.Command, f func(*pipelines.Books) error) error {
	ctx := cmd.Context()
	c.ownData = cmd.Flags().Changed("data")
	if c.ownData && c.state.url != "" {
		return usage(errors.New("choose one of --data and --state"))
	}
	shared := c.state.url != "" || !c.noEnv && !c.ownData && os.Getenv(stateVariable) != ""
	if !shared || callOf(ctx).node != nil { // who was forwarded to had no state in mind
		return withNode(ctx, c.data, func(n *pipelines.Node) error {
			return f(&pipelines.Books{Node: n, Registry: registry(), Env: os.LookupEnv})
		})
	}
	c.state.looks = true
	st, closing, err := c.state.open(ctx, nil)
	defer closing()
	if err != nil {
		return err
	}
	return f(&pipelines.Books{State: st, Registry: registry(), Env: os.LookupEnv})
}

// booksCommand is what a command does with the pipelines that it is about.
type booksCommand func(cmd *cobra.Command, b *pipelines.Books, args []string) error

// onBooks is a command about pipelines of a data directory, or of a state that workers share.
func (a *app) onBooks(use, short string, args cobra.PositionalArgs, f booksCommand) *cobra.Command {
	return a.withBooks(&booksConfig{}, use, short, args, f)
}

func (a *app) withBooks(c *booksConfig, use, short string, args cobra.PositionalArgs, f booksCommand) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, ValidArgsFunction: noFiles, RunE: func(cmd *cobra.Command, args []string) error {
		err := c.open(cmd, func(b *pipelines.Books) error { return f(cmd, b, args) })
		if errors.Is(err, stream.ErrNotFound) {
			err = fmt.Errorf("%w; penstock streams list shows those there are", err)
		}
		return classify(err)
	}}
	c.flags(cmd)
	return cmd
}

// unattended is the books' Unattended, told of to people who wait for it.
func (a *app) unattended(ctx context.Context, b *pipelines.Books, name string, failover time.Duration) error {
	t := time.AfterFunc(2*time.Second, func() {
		_, _ = fmt.Fprintf(a.err, "looking for %s whether the workers that hold leases of %s are alive\n", failover, name)
	})
	defer t.Stop()
	return b.Unattended(ctx, name, failover)
}
