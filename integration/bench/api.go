package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/penstock/penstock/integration/servers"
)

// puttings are measured at every server.
var puttings = []putting{
	{500, 500, 1}, {500, 500, 64}, {100, 1 << 10, 1}, {100, 1 << 10, 64}, {1, 1 << 10, 1}, {1, 1 << 10, 64},
}

// stored is what is read back.
var stored = putting{500, 500, 4}

// apiRow is one line of the table: what a job gave at each server, in the order of the servers, round by round.
type apiRow struct {
	what string
	runs [][]callFigures
	rate func(callFigures) float64
}

// api measures the API of Kinesis Data Streams, our own server and others in turns, through the same client.
func (b *bench) api(ctx context.Context, out io.Writer) error {
	var all []*servers.Kinesis
	for _, name := range servers.KinesisNames() {
		s, err := servers.NewKinesis(ctx, name, filepath.Join(b.dir, name))
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	var rows []apiRow
	for _, p := range puttings {
		row, err := b.turns(ctx, all, p.String()+", records/s", p.run)
		if err != nil {
			return err
		}
		row.rate = callFigures.perSecond
		rows = append(rows, row)
	}
	row, err := b.turns(ctx, all, "GetRecords of up to 5,000 x 500 B, 1 connection, MB/s", storedThenRead)
	if err != nil {
		return err
	}
	row.rate = callFigures.mbPerSecond
	rows = append(rows, row)
	printAPI(out, all, rows)
	return b.subscriptions(ctx, out, all[0])
}

// storedThenRead puts records and reads them back.
func storedThenRead(ctx context.Context, c *apiClient, stream string) (callFigures, error) {
	if _, err := stored.run(ctx, c, stream); err != nil {
		return callFigures{}, err
	}
	return getting(ctx, c, stream, stored.size)
}

// turns runs a job at each server in turns. The others are not running meanwhile, and what one is slow to finish dies
// with it.
func (b *bench) turns(ctx context.Context, all []*servers.Kinesis, what string, do job) (apiRow, error) {
	row := apiRow{what: what, runs: make([][]callFigures, len(all))}
	for range b.rounds {
		for i, s := range all {
			f, err := atServer(ctx, s, do)
			if err != nil {
				return row, fmt.Errorf("%s at %s: %w", what, s.Name, err)
			}
			row.runs[i] = append(row.runs[i], f)
			_, _ = fmt.Fprintf(b.progress, "%-60s %-14s %9.0f records/s %7.1f MB/s p50=%.2f ms p99=%.2f ms busy=%d cut=%t\n",
				what, s.Name, f.perSecond(), f.mbPerSecond(), f.percentile(50), f.percentile(99), f.busy, f.cut)
		}
	}
	return row, nil
}

// job is what is measured, on a stream of its own.
type job func(ctx context.Context, c *apiClient, stream string) (callFigures, error)

// atServer runs a job at a server that is started for it.
func atServer(ctx context.Context, s *servers.Kinesis, do job) (callFigures, error) {
	if err := s.Start(ctx); err != nil {
		return callFigures{}, err
	}
	defer s.Kill()
	return newAPIClient(s.Endpoint, s.Key.AccessKey, s.Key.Secret.Reveal()).onNewStream(ctx, do)
}

// onNewStream runs a job on a stream that is made for it and deleted after it.
func (c *apiClient) onNewStream(ctx context.Context, do job) (callFigures, error) {
	line, err := c.connect(ctx)
	if err != nil {
		return callFigures{}, err
	}
	stream := "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	err = line.newStream(ctx, stream, apiShards)
	line.close() // a server may have closed it when it is wanted again
	if err != nil {
		return callFigures{}, err
	}
	f, err := do(ctx, c, stream)
	if err != nil || f.cut {
		return f, err
	}
	if line, err = c.connect(ctx); err != nil {
		return f, err
	}
	defer line.close()
	return f, line.call(ctx, "DeleteStream", object{"StreamName": stream, "EnforceConsumerDeletion": true}, nil)
}

func printAPI(out io.Writer, all []*servers.Kinesis, rows []apiRow) {
	_, _ = fmt.Fprintf(out, "\nThe Kinesis API over %d shards, one server after the other in each round, through one client on the same machine that signs\n"+
		"its requests. A record is on disk before Penstock answers; the others keep theirs in memory. ms are p50 / p99\n"+
		"of the calls that were answered within %s; the ratio is to the fastest of the others in the same round:\n\n| what |", apiShards, apiFor+patience)
	for _, s := range all {
		_, _ = fmt.Fprintf(out, " %s | ms |", s.Name)
	}
	_, _ = fmt.Fprint(out, " ratio |\n|---|")
	for range all {
		_, _ = fmt.Fprint(out, "---|---|")
	}
	_, _ = fmt.Fprint(out, "---|\n")
	for _, r := range rows {
		_, _ = fmt.Fprintf(out, "| %s |", r.what)
		for _, runs := range r.runs {
			p := func(n int) float64 {
				return spreadOf(func(f callFigures) float64 { return f.percentile(n) }, runs).median
			}
			_, _ = fmt.Fprintf(out, " %s | %.2f / %.2f |", spreadOf(r.rate, runs), p(50), p(99))
		}
		_, _ = fmt.Fprintf(out, " %s |\n", r.ratio().with(1))
	}
}

// ratio is how many times as fast as the fastest of the others ours is, round by round.
func (r apiRow) ratio() spread {
	ours := r.runs[0]
	rounds := make([]float64, len(ours))
	for n := range ours {
		fastest := 0.0
		for _, theirs := range r.runs[1:] {
			fastest = max(fastest, r.rate(theirs[n]))
		}
		rounds[n] = r.rate(ours[n]) / fastest
	}
	return spreadOf(func(v float64) float64 { return v }, rounds)
}
