package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
)

// pauseLook is how often it is looked whether a pipeline is drained.
const pauseLook = 200 * time.Millisecond

func (a *app) pause() *cobra.Command {
	var wait time.Duration
	cmd := a.onBooks("pause NAME", "Have a pipeline deliver what it has read, and read nothing more until it is resumed", cobra.ExactArgs(1), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		if _, err := b.Pause(cmd.Context(), args[0]); err != nil {
			return err
		}
		s, err := drained(cmd.Context(), b, args[0], wait)
		if err != nil {
			return err
		}
		return a.show(s, "%s\n", pausedText(s))
	})
	cmd.Long = `Have a pipeline deliver what it has read, and read nothing more until it is resumed. It stays paused when run or serve is
started again, and for the workers of all hosts. The command waits until what was read is delivered, or --wait is over:
then the pipeline is paused all the same, and delivers what it has when it can.`
	cmd.Example = "  penstock pipelines pause clicks-archive\n  penstock pipelines pause clicks-archive --state http://streams.example:4567"
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait until what was read is delivered")
	return cmd
}

// drained waits until nothing of a paused pipeline is under way, or nobody is there to finish it, or for so long.
func drained(ctx context.Context, b *pipelines.Books, name string, wait time.Duration) (s pipelines.Standing, err error) {
	for until := time.Now().Add(wait); ; {
		if s, err = b.Standing(ctx, name); err != nil || len(s.Holders) == 0 || time.Now().After(until) {
			return s, err
		}
		if err := core.Pause(ctx, pauseLook); err != nil {
			return s, err
		}
	}
}

// pausedText says how a paused pipeline stands.
func pausedText(s pipelines.Standing) string {
	text := fmt.Sprintf("pipeline %s is paused since %s", s.Pipeline, s.PausedAt.Format(time.RFC3339))
	if len(s.Holders) > 0 {
		text += fmt.Sprintf("; not all that was read is delivered yet, by %s", strings.Join(s.Holders, ", "))
	}
	if len(s.OpenPlans) > 0 {
		text += fmt.Sprintf("; %d plans are open, which its workers finish, also while it is paused", len(s.OpenPlans))
	}
	return text
}

func (a *app) resume() *cobra.Command {
	cmd := a.onBooks("resume NAME", "Have a paused pipeline go on from its checkpoints", cobra.ExactArgs(1), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		if err := b.Resume(cmd.Context(), args[0]); err != nil {
			return err
		}
		return a.show(map[string]string{"resumed": args[0]}, "pipeline %s goes on, wherever it runs\n", args[0])
	})
	cmd.Example = "  penstock pipelines resume clicks-archive"
	return cmd
}
