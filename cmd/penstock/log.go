package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// syncWriter lets several goroutines write whole lines.
type syncWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// newLogger returns a logger of the format and level that flags name.
func newLogger(out io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil || strings.ContainsAny(level, "+-") {
		return nil, fmt.Errorf("--log-level %q, want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(out, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q, want text or json", format)
}

// logEvents writes what a worker does to a log. Where a progress display shows it too, it is not repeated.
func logEvents(log *slog.Logger, shown bool) *connectors.Events {
	e := &connectors.Events{
		Lease: func(shard core.ShardID, state string) { log.Debug("lease", "shard", shard, "state", state) },
		Absent: func(columns []connectors.Absent) {
			log.Warn("the pipeline names columns that no record has had yet; they are null", "columns", listed(columns))
		},
		Advice:  func(what string) { log.Warn(what) },
		Noticed: func(what string) { log.Warn(what) },
		Futile: func(rows int64, first connectors.Refusal) {
			log.Warn("every row so far was refused, for the same reason", "rows", rows, "stage", first.Stage, "code", first.Code, "reason", first.Reason)
		},
		Refused: once(func(err error) { log.Warn("a stage cannot run with new fields; they go to _rescued", "error", err) }),
		Schema: func(version int64, columns int) {
			log.Debug("schema committed", "version", version, "columns", columns)
		},
		Lost: func(l connectors.Loss) {
			log.Error("records were lost", "shard", l.Shard, "from", l.Gap.From, "through", l.Gap.Through, "records", l.Gap.Records, "plan", l.Gap.Plan, "error", l.Gap.String())
		},
		Pause: func(state string) {
			log.Info(map[string]string{
				connectors.Pausing: "pausing: what was read is delivered", connectors.Paused: "paused: penstock pipelines resume has it go on", connectors.Resumed: "resumed",
			}[state])
		},
		Strays: strays(log),
		Stale:  func(string) { log.Debug("the schema grew, the flush is made anew when it closes") },
		Planned: func(p connectors.Plan) {
			log.Debug("plan committed", "plan", p.Number, "reason", p.Reason, "outputs", len(p.Outputs))
		},
	}
	if shown {
		return e
	}
	e.Resumed = func(p connectors.Plan) { log.Info("finishing a plan that an earlier run left open", "plan", p.Number) }
	e.Retry = func(what string, attempt int, wait time.Duration, err error) {
		log.Warn("failed, trying again", "step", what, "attempt", attempt, "in", wait.Round(time.Millisecond).String(), "error", err)
	}
	e.Checkpoint = func(p connectors.Plan, took time.Duration) {
		var c connectors.Counts
		for _, s := range p.Spans {
			c = c.Add(s.Counts)
		}
		log.Info("flushed", "plan", p.Number, "reason", p.Reason, "outputs", len(p.Outputs), "rows", c.Written, "dead", c.Dead,
			"took", took.Round(time.Millisecond).String())
	}
	return e
}

// strays says once for each shard that user records are passed over: after a reshard there are a few, and their producer
// sends them again; a producer that does not know the shards makes them all the time, and sends none again.
func strays(log *slog.Logger) func(core.ShardID, int64) {
	say := once(func(err error) { log.Warn(err.Error()) })
	return func(shard core.ShardID, _ int64) {
		say(fmt.Errorf("user records of aggregates in %s were passed over, since their hash keys are another shard's: the KPL sends such again after a reshard; "+
			"where another producer packs them whatever their shard, deaggregate: all takes them", shard))
	}
}

// listed are names of columns in one line.
func listed(columns []connectors.Absent) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.String()
	}
	return strings.Join(out, ", ")
}

// once calls f with each error once, told by its words.
func once(f func(error)) func(error) {
	var mu sync.Mutex // guards seen
	seen := map[string]bool{}
	return func(err error) {
		mu.Lock()
		news := !seen[err.Error()] && len(seen) < 100
		if news {
			seen[err.Error()] = true
		}
		mu.Unlock()
		if news {
			f(err)
		}
	}
}
