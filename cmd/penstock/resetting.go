package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) reset() *cobra.Command {
	var to []string
	var yes bool
	c := &booksConfig{failover: true}
	cmd := a.withBooks(c, "reset NAME", "Show what a pipeline would read again from another place on, and with --yes have it do so", cobra.ExactArgs(1), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		target, err := resetTo(to)
		if err != nil {
			return usage(err)
		}
		if yes {
			if err := a.unattended(cmd.Context(), b, args[0], c.state.failover); err != nil {
				return err
			}
		}
		r, err := b.PrepareReset(cmd.Context(), args[0], target)
		if err != nil {
			return err
		}
		preview := resetPreview{Reset: r, Sink: a.repeats(cmd.Context(), b, args[0])}
		a.printReset(preview)
		if !yes {
			return a.show(preview, "nothing was changed: pass --yes to do it\n")
		}
		if err := r.Commit(cmd.Context()); err != nil {
			return fmt.Errorf("reset pipeline %s: %w; look again at what it would do", args[0], err)
		}
		preview.Done = true
		return a.show(preview, "pipeline %s begins there when it next runs%s\n", args[0], a.afterReset(cmd.Context(), b, args[0]))
	})
	cmd.Long = `Show what a pipeline would read again from another place on, and with --yes have it do so: a new incarnation begins there,
with new names at the destination and without the schema that was inferred. What the destination holds stays.

--to is trim_horizon, latest, a time such as 2026-01-01T00:00:00Z, or SHARD:SEQ, which moves that shard alone to behind that
record and may be given several times. Without it the pipeline begins where its file says. What lies between the checkpoints and
that place is counted by reading it.

A pipeline that a worker reads is not reset: stop it, or pause it, reset it and resume it. Whether workers of other hosts that
hold leases live is found out by waiting for --failover.`
	cmd.Example = "  penstock pipelines reset clicks-archive --to 2026-01-01T00:00:00Z\n  penstock pipelines reset clicks-archive --to 0:49590338271490256608559692538361571095921575989136588898 --yes"
	cmd.Flags().StringArrayVar(&to, "to", nil, "where to begin: trim_horizon, latest, a time, or SHARD:SEQ (default: as the pipeline's file says)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// resetPreview is what a reset does, and what it means at the destination.
type resetPreview struct {
	*connectors.Reset
	Sink string `json:"sink"` // what becomes there of rows that are written again
	Done bool   `json:"done"`
}

// resetTo reads the values of --to.
func resetTo(values []string) (to connectors.ResetTo, err error) {
	const want = "--to %s: want trim_horizon, latest, a time such as 2026-01-01T00:00:00Z, or SHARD:SEQ"
	for _, v := range values {
		at, terr := time.Parse(time.RFC3339, v)
		shard, seq, ok := strings.Cut(v, ":")
		switch {
		case v == string(connectors.StartTrimHorizon), v == string(connectors.StartLatest):
			to.Start.Kind = connectors.StartKind(v)
		case terr == nil:
			to.Start = connectors.Start{Kind: connectors.StartAt, At: at}
		case ok:
			number, err := core.ParseSequenceNumber(seq)
			if err != nil {
				return to, fmt.Errorf(want+": %w", v, err)
			}
			if to.After == nil {
				to.After = map[core.ShardID]core.SequenceNumber{}
			}
			to.After[shardID(shard)] = number
			continue
		default:
			return to, fmt.Errorf(want, v)
		}
		if len(values) > 1 {
			return to, fmt.Errorf("--to %s: only SHARD:SEQ can be given more than once, and with nothing else", v)
		}
	}
	return to, nil
}

// repeats says what becomes at a pipeline's destination of rows that are written again.
func (a *app) repeats(ctx context.Context, b *pipelines.Books, name string) string {
	const unknown = "whether the destination then has them twice is not known"
	s, err := b.Spec(ctx, name)
	if err != nil {
		return unknown
	}
	p, err := b.Registry.Program(ctx, s)
	if err != nil {
		return unknown
	}
	defer p.Sink.Close(ctx) //nolint:errcheck // it was not used
	if r, ok := p.Sink.(connectors.Repeater); ok {
		return s.Sink.Kind + ": " + r.Repeats()
	}
	return s.Sink.Kind + ": " + unknown
}

// printReset says what a reset does.
func (a *app) printReset(p resetPreview) {
	rows := a.table("SHARD", "CHECKPOINT", "TO", "AGAIN", "BYTES", "SKIPPED")
	var again, skipped connectors.Amount
	for _, s := range p.Shards {
		rows.row(s.Shard, shortSequence(s.Checkpoint), orBeginning(shortSequence(s.To)), s.Again.Records, humanize.IBytes(uint64(s.Again.Bytes)), s.Skipped.Records) //nolint:gosec // not negative
		again = connectors.Amount{Records: again.Records + s.Again.Records, Bytes: again.Bytes + s.Again.Bytes}
		skipped.Records += s.Skipped.Records
	}
	rows.flush()
	a.printf("%d records (%s) are read again", again.Records, humanize.IBytes(uint64(again.Bytes))) //nolint:gosec // not negative
	if skipped.Records > 0 {
		a.printf(", %d that were not delivered are passed over and never will be", skipped.Records)
	}
	a.printf("\n")
	if again.Records > 0 {
		a.printf("%s\n", p.Sink)
	}
	if len(p.Open) > 0 {
		a.printf("open plans are given up; run the pipeline first to have them finished:\n")
		a.printPlans(p.Open)
	}
}

// afterReset is what has to be done for the reset to show.
func (a *app) afterReset(ctx context.Context, b *pipelines.Books, name string) string {
	if s, err := b.Standing(ctx, name); err == nil && s.PausedAt != nil {
		return ": it is paused; penstock pipelines resume " + name
	}
	return ""
}
