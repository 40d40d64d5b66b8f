package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) pipelines() *cobra.Command {
	root := &cobra.Command{Use: "pipelines", Short: "Look at, pause, reset and unblock pipelines, and read again what they read", Example: "  penstock pipelines describe clicks-archive"}
	root.AddCommand(a.listPipelines(), a.describePipelines(), a.pause(), a.resume(), a.reset(), a.backfill(), a.abandonPlan())
	return root
}

func (a *app) listPipelines() *cobra.Command {
	cmd := a.onBooks("list", "List the pipelines that ran", cobra.NoArgs, func(cmd *cobra.Command, b *pipelines.Books, _ []string) error {
		names, err := b.Names(cmd.Context())
		if err != nil {
			return err
		}
		if names == nil {
			names = []string{} // a list in JSON, too
		}
		return a.answer(names, func() {
			for _, name := range names {
				a.printf("%s\n", name)
			}
		})
	})
	cmd.Example = "  penstock pipelines list\n  penstock pipelines list --state http://streams.example:4567"
	return cmd
}

func (a *app) describePipelines() *cobra.Command {
	cmd := a.onBooks("describe NAME", "Show how far a pipeline got in each shard, who reads it, and how far it is behind", cobra.ExactArgs(1), a.describePipeline)
	cmd.Long = "Show how far a pipeline got in each shard, who reads it, and how far it is behind. Of sequence numbers of 56\ndigits those are shown that tell the records of a shard apart; --json has them whole. OWNER is the worker that\nhas the shard's lease; of one that died it stays until another takes it."
	cmd.Example = "  penstock pipelines describe clicks-archive"
	return cmd
}

// described is a shard, and how its pipeline stands.
type described struct {
	pipelines.ShardProgress
	PausedAt *time.Time `json:"paused_at,omitempty"`
}

func (a *app) describePipeline(cmd *cobra.Command, b *pipelines.Books, args []string) error {
	standing, err := b.Standing(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	all, err := b.Progress(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	out := make([]described, len(all))
	for i, p := range all {
		out[i] = described{p, standing.PausedAt}
	}
	return a.answer(out, func() {
		rows := a.table("SOURCE", "SHARD", "CHECKPOINT", "LAST", "OPEN_PLAN", "OWNER", "ROWS", "WRITTEN", "FILTERED", "DEAD", "TRIMMED", "LAG")
		for _, p := range all {
			rows.row(p.Source, p.Shard, shortSequence(p.Checkpoint), shortSequence(p.Last), p.OpenPlan, p.Owner,
				p.Totals.Rows, p.Totals.Written, p.Totals.Filtered+p.Totals.Null, p.Totals.Dead, p.Totals.Trimmed, lagText(p))
		}
		rows.flush()
		for _, p := range all {
			for _, g := range p.Lost {
				a.printf("lost of %s: %s\n", p.Shard, g)
			}
		}
		if standing.PausedAt != nil {
			a.printf("%s\n", pausedText(standing))
		}
	})
}

func lagText(p pipelines.ShardProgress) string {
	switch {
	case p.File != nil && p.File.Problem != "":
		return fmt.Sprintf("unknown (%s: %s)", plainText(p.File.Path), p.File.Problem)
	case p.File != nil:
		return fmt.Sprintf("%d bytes left of %s", p.File.Bytes, plainText(p.File.Path))
	case p.Problem != "":
		return "unknown (" + p.Problem + ")"
	case p.Ended:
		return "0s (ended)"
	}
	return p.Lag.String()
}

// shortSequence is a sequence number as a person tells it from others of its shard. Of the 56 digits of a stream's the
// first are those of the shard, and the last those of its time: what stands between rises from record to record.
func shortSequence(s core.SequenceNumber) string {
	if len(s) != 56 {
		return string(s)
	}
	return "..." + string(s[14:32]) + "..."
}

func (a *app) abandonPlan() *cobra.Command {
	var yes bool
	c := &booksConfig{failover: true}
	cmd := a.withBooks(c, "abandon-plan NAME", "Give up the plans that a pipeline cannot finish", cobra.ExactArgs(1), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		if _, err := b.Standing(cmd.Context(), args[0]); err != nil {
			return err
		}
		if err := a.unattended(cmd.Context(), b, args[0], c.state.failover); err != nil {
			return err
		}
		store, err := b.Store(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		plans, err := connectors.OpenPlans(cmd.Context(), store, args[0])
		if err != nil {
			return err
		}
		a.result = plans
		if len(plans) == 0 {
			a.printf("pipeline %s has no open plan\n", args[0])
			return nil
		}
		a.printPlans(plans)
		if !yes {
			return usage(errors.New("nothing was given up: read what may double, then pass --yes"))
		}
		if plans, err = connectors.Abandon(cmd.Context(), store, args[0], plans); err != nil {
			return err
		}
		return a.show(plans, "gave up %d plans; their records are read again when the pipeline next runs\n", len(plans))
	})
	cmd.Long = `Give up the plans that are committed but not done, such as those of a version that is gone or of a destination that is.

The checkpoints stay where they are, so the records of the plans are read again, into new plans. What the plans had
already made visible at the destination stays there too and then stands there twice: each output that may is listed.
Remove those that are there before the pipeline runs again, and the plan's manifest with them, if it was written:
_penstock/{pipeline}-{incarnation}/{plan}.json. Else verify reports an overlap.`
	cmd.Example = "  penstock pipelines abandon-plan clicks-archive        # lists what may double\n  penstock pipelines abandon-plan clicks-archive --yes"
	cmd.Flags().BoolVar(&yes, "yes", false, "give them up")
	return cmd
}

// printPlans says what may be at the destination already.
func (a *app) printPlans(plans []connectors.Plan) {
	for _, p := range plans {
		var shards []string
		var c connectors.Counts
		for _, s := range p.Spans {
			shards = append(shards, fmt.Sprintf("  %s from %s through %s\n", s.Shard, orBeginning(string(s.From)), s.Through))
			c = c.Add(s.Counts)
		}
		a.printf("plan %d of %s (closed by %s): records=%d written=%d dead=%d\n%s", p.Number, p.Pipeline, p.Reason, c.Records, c.Written, c.Dead, strings.Join(shards, ""))
		for _, o := range p.Outputs {
			a.printf("  may double: %s rows=%d\n", o.Name, o.Rows)
		}
		if len(p.Outputs) == 0 {
			a.printf("  no output; its dead letters are put again, and listed once\n")
		}
	}
}

func orBeginning(seq string) string {
	if seq == "" {
		return "the beginning"
	}
	return seq
}
