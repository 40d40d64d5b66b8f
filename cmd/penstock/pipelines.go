package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) pipelines() *cobra.Command {
	root := &cobra.Command{Use: "pipelines", Short: "Look at, reset and unblock pipelines", Example: "  penstock pipelines describe clicks-archive"}
	list := a.onNode("list", "List the pipelines that ran", cobra.NoArgs, func(cmd *cobra.Command, n *pipelines.Node, _ []string) error {
		names, err := connectors.ListPipelines(cmd.Context(), n.Control)
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
	list.Example = "  penstock pipelines list"
	describe := a.onNode("describe NAME", "Show how far a pipeline got in each shard, and how far it is behind", cobra.ExactArgs(1), a.describePipeline)
	describe.Long = "Show how far a pipeline got in each shard, and how far it is behind. Of sequence numbers of 56\ndigits those are shown that tell the records of a shard apart; --json has them whole."
	describe.Example = "  penstock pipelines describe clicks-archive"
	reset := a.onNode("reset NAME", "Make a pipeline begin anew when it next runs", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if err := errors.Join(ran(cmd.Context(), n, args[0]), n.Idle(args[0])); err != nil {
			return err
		}
		if err := connectors.Reset(cmd.Context(), n.Control, args[0]); err != nil {
			return err
		}
		return a.show(map[string]string{"reset": args[0]}, "pipeline %s begins anew when it next runs; what its destination holds stays\n", args[0])
	})
	reset.Example = "  penstock pipelines reset clicks-archive"
	root.AddCommand(list, describe, reset, a.abandonPlan())
	return root
}

// ran returns an error unless a pipeline of that name ran on the node.
func ran(ctx context.Context, n *pipelines.Node, name string) error {
	_, ok, err := connectors.LoadState(ctx, n.Control, name)
	if err == nil && !ok {
		err = usage(fmt.Errorf("no pipeline %s ran on this data directory; penstock pipelines list names those that did", name))
	}
	return err
}

func (a *app) describePipeline(cmd *cobra.Command, n *pipelines.Node, args []string) error {
	if err := ran(cmd.Context(), n, args[0]); err != nil {
		return err
	}
	all, err := n.Progress(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	return a.answer(all, func() {
		rows := a.table("SOURCE", "SHARD", "CHECKPOINT", "LAST", "OPEN_PLAN", "ROWS", "WRITTEN", "FILTERED", "DEAD", "TRIMMED", "LAG")
		for _, p := range all {
			rows.row(p.Source, p.Shard, shortSequence(p.Checkpoint), shortSequence(p.Last), p.OpenPlan,
				p.Totals.Rows, p.Totals.Written, p.Totals.Filtered+p.Totals.Null, p.Totals.Dead, p.Totals.Trimmed, lagText(p))
		}
		rows.flush()
		for _, p := range all {
			for _, g := range p.Lost {
				a.printf("lost of %s: %s\n", p.Shard, g)
			}
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
	cmd := a.onNode("abandon-plan NAME", "Give up the plans that a pipeline cannot finish", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if err := errors.Join(ran(cmd.Context(), n, args[0]), n.Idle(args[0])); err != nil {
			return err
		}
		plans, err := connectors.OpenPlans(cmd.Context(), n.Control, args[0])
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
		if plans, err = connectors.Abandon(cmd.Context(), n.Control, args[0], plans); err != nil {
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
