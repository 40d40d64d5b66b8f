package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/deadletter"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/pipelines"
)

// Bounds of what is found of pipelines.
const (
	stuckLook   = 3 * time.Second  // a plan that is still open after so long is worth a word
	letterHours = 1                // dead letters of so long count as growing
	deadLook    = 10 * time.Second // a worker that stands still for so long is dead
)

// pipeline looks at how a pipeline that ran stands.
func (d *doctor) pipeline(ctx context.Context, name string) {
	check := "pipeline " + name
	standing, err := d.books.Standing(ctx, name)
	if err != nil {
		d.bad(check, "see the message", "%v", err)
		return
	}
	if standing.PausedAt != nil {
		d.odd(check, "penstock pipelines resume "+name, "it is paused since %s: nothing is delivered", standing.PausedAt.Format(time.RFC3339))
	}
	d.plans(ctx, name, standing)
	shards, err := d.books.Progress(ctx, name)
	if err != nil {
		d.bad(check, "see the message", "how far it got: %v", err)
		return
	}
	d.lag(ctx, name, standing, shards)
	d.letters(ctx, name)
}

// plans looks for plans that stay open.
func (d *doctor) plans(ctx context.Context, name string, was pipelines.Standing) {
	check := "plans of " + name
	if len(was.OpenPlans) == 0 {
		d.fine(check, "none is open")
		return
	}
	if len(was.Holders) == 0 {
		d.bad(check, "run it: the plan is finished first, under the same names. What no run can finish: penstock pipelines abandon-plan "+name,
			"plan %d is open and nobody runs the pipeline: its records are not known as delivered, and are kept past their retention", was.OpenPlans[0])
		return
	}
	if core.Pause(ctx, stuckLook) != nil {
		return
	}
	now, err := d.books.Standing(ctx, name)
	for _, n := range was.OpenPlans {
		if err == nil && slices.Contains(now.OpenPlans, n) {
			d.odd(check, "look at the log, or at /status of --admin, of the worker: the destination may not answer",
				"plan %d is open for longer than %s", n, stuckLook)
			return
		}
	}
	d.fine(check, "they are carried out")
}

// lag looks how far a pipeline is behind, and how near what it has to read is to its end.
func (d *doctor) lag(ctx context.Context, name string, standing pipelines.Standing, shards []pipelines.ShardProgress) {
	check := "lag of " + name
	var most pipelines.ShardProgress
	unknown := false
	for _, s := range shards {
		for _, g := range s.Lost {
			d.bad(check, "what is gone cannot be had again; give the stream a longer retention than its pipelines are ever behind (penstock streams)", "lost of %s: %s", s.Shard, g)
		}
		switch {
		case s.Problem != "" && !s.Ended:
			unknown = true
			d.odd(check, "see the message", "how far %s is behind is not known: %s", s.Shard, s.Problem)
		case s.Lag > most.Lag && !s.Ended:
			most = s
		}
	}
	behind := time.Duration(most.Lag)
	keep, err := d.retention(ctx, name, most.Source)
	switch {
	case behind == 0 && unknown:
	case behind == 0:
		d.fine(check, "nothing waits")
	case err == nil && behind > keep*8/10:
		d.bad(check, "have it catch up (resume it, add workers, mend its destination), or give the stream a longer retention now",
			"%s is %s behind, and its stream keeps records for %s: they expire before they are delivered", most.Shard, behind.Round(time.Second), keep)
	case err == nil && behind > keep/2:
		d.odd(check, "have it catch up, or give the stream a longer retention", "%s is %s behind, and its stream keeps records for %s", most.Shard, behind.Round(time.Second), keep)
	case behind > time.Minute && standing.PausedAt == nil && d.books.Unattended(ctx, name, deadLook) == nil:
		d.odd(check, "start it with penstock run or serve", "%s is %s behind, and nobody reads it", most.Shard, behind.Round(time.Second))
	default:
		d.fine(check, "%s at most", behind)
	}
}

// retention is how long the stream that a pipeline reads keeps records.
func (d *doctor) retention(ctx context.Context, name, source string) (time.Duration, error) {
	if source == "" {
		return 0, core.ErrInvalid
	}
	s, err := d.books.Source(ctx, name, source)
	if err != nil {
		return 0, err
	}
	defer s.Close() //nolint:errcheck // it only reads
	r, ok := s.(interface {
		Retention(ctx context.Context) (time.Duration, error)
	})
	if !ok {
		return 0, fmt.Errorf("what %s reads does not expire: %w", name, core.ErrInvalid)
	}
	return r.Retention(ctx)
}

// letters counts the dead letters that came of late.
func (d *doctor) letters(ctx context.Context, name string) {
	check := "dead letters of " + name
	s, err := d.books.Spec(ctx, name)
	if err != nil {
		return // it was said, or it is a consumer
	}
	source, err := d.books.Letters(ctx, s.DeadLetter)
	if err != nil {
		d.fine(check, "there is no stream of them")
		return
	}
	defer source.Close() //nolint:errcheck // it only reads
	n := 0
	var last connectors.DeadLetter
	since := time.Now().Add(-letterHours * time.Hour)
	err = deadletter.ListSince(ctx, source, since, func(l connectors.DeadLetter) bool {
		if l.Pipeline == name {
			n, last = n+1, l
		}
		return true
	})
	switch {
	case err != nil:
		d.odd(check, "see the message", "%v", err)
	case n > 0:
		d.odd(check, "penstock dlq list "+string(s.DeadLetter), "%d came within the last hour, the last at %s, %s: %s", n, last.Stage, last.Code, plainText(last.Reason))
	default:
		d.fine(check, "none came within the last hour")
	}
}
