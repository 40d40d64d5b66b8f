package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) backfill() *cobra.Command {
	var from, to, into string
	var opts pipelines.RunOptions
	cmd := a.onBooks("backfill NAME", "Send what a pipeline read from one time to another through its stages into another sink", cobra.ExactArgs(1), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		s, err := backfillSpec(cmd.Context(), b, args[0], from, to, into)
		if err != nil {
			return err
		}
		opts.State = b.State
		run := func(n *pipelines.Node) error {
			return a.runAll(cmd.Context(), n, b.Registry, []*pipelines.Spec{s}, opts)
		}
		if b.Node != nil {
			return run(b.Node)
		}
		dir, remove, err := workerData()
		if err != nil {
			return err
		}
		defer remove()
		return ownNode(cmd.Context(), dir, pipelines.NodeConfig{}, run)
	})
	cmd.Long = `Send what a pipeline read from one time to another through its stages into another sink. --into names a file with version,
name and sink, and perhaps buffer and dead_letter; source and stages are those with which the pipeline ran last, from --from,
included, to --to, which has come. That is a pipeline of its own: it has checkpoints of its own, the same command goes on
where it was stopped or killed, each row arrives exactly once, and verify, describe, pause and reset know it by its name. The
other pipeline may run meanwhile.`
	cmd.Example = "  penstock pipelines backfill clicks-archive --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --into clicks-again.yaml"
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "when the first records arrived, such as 2026-01-01T00:00:00Z")
	f.StringVar(&to, "to", "", "before when the last records arrived")
	f.StringVar(&into, "into", "", "file with the name and the sink")
	f.DurationVar(&opts.Drain, "drain", 10*time.Second, "how long a stop may take to flush what is buffered")
	for _, name := range []string{"from", "to", "into"} {
		_ = cmd.MarkFlagRequired(name) // the flag is there
	}
	return cmd
}

// backfillSpec is the pipeline that a backfill is.
func backfillSpec(ctx context.Context, b *pipelines.Books, of, from, to, into string) (*pipelines.Spec, error) {
	begin, err := time.Parse(time.RFC3339, from)
	if err != nil {
		return nil, usage(fmt.Errorf("--from %q is not a time such as 2026-01-01T00:00:00Z", from))
	}
	end, err := time.Parse(time.RFC3339, to)
	switch {
	case err != nil:
		return nil, usage(fmt.Errorf("--to %q is not a time such as 2026-01-02T00:00:00Z", to))
	case !begin.Before(end):
		return nil, usage(errors.New("--to is not after --from"))
	case time.Now().Before(end):
		return nil, usage(errors.New("--to has not come yet: records may still arrive before it"))
	}
	if b.State != nil && b.State.EachLease {
		return nil, usage(errors.New("a lease table of DynamoDB has one pipeline, so a backfill has no place in it: have its source, stages and sink in a file of its own"))
	}
	text, err := os.ReadFile(into) //nolint:gosec // the user named it
	if err != nil {
		return nil, usage(err)
	}
	stored, err := b.SpecText(ctx, of)
	if err != nil {
		return nil, err
	}
	s, err := b.Registry.Backfill(into, text, stored, begin, end, os.LookupEnv)
	if err != nil {
		return nil, usage(err)
	}
	if s.Name == of {
		return nil, usage(fmt.Errorf("%s: name: %s is the pipeline whose records are read: a backfill has a name of its own", into, of))
	}
	return s, sameRange(ctx, b, s)
}

// sameRange refuses to go on with another range than the backfill of that name has: what it has read would stay read.
func sameRange(ctx context.Context, b *pipelines.Books, s *pipelines.Spec) error {
	store, err := b.Store(ctx, s.Name)
	if err != nil {
		return err
	}
	if _, ran, err := connectors.LoadState(ctx, store, s.Name); err != nil || !ran {
		return err
	}
	was, err := b.Spec(ctx, s.Name)
	if err != nil {
		return err
	}
	if was.Source.Start.At.Equal(s.Source.Start.At) && was.Source.End.Equal(s.Source.End) {
		return nil
	}
	if was.Source.End.IsZero() {
		return usage(fmt.Errorf("%s is the name of a pipeline that ran already and was no backfill: choose another", s.Name))
	}
	return usage(fmt.Errorf("backfill %s ran from %s to %s: choose another name for another range", s.Name, was.Source.Start.At.Format(time.RFC3339), was.Source.End.Format(time.RFC3339)))
}
