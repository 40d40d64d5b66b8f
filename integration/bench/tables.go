package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/penstock/penstock/integration/oracle"
)

// append measures what the log takes, each time between two measurements of the bare disk.
func (b *bench) append(ctx context.Context, out io.Writer) error {
	_, _ = fmt.Fprintf(out, "\nAppend, every record durable before its answer: %d callers of up to %d records. The bare disk writes blocks of 1 MiB,\n"+
		"one after the other, each made durable before the next.\n\n"+
		"| record | shards | records/s | MB/s | of the bare disk, MB/s | ratio |\n|---|---|---|---|---|---|\n", callers, callRecords)
	for _, size := range recordSizes {
		for _, shards := range shardCounts {
			var ours []figures
			var pairs []pair
			for range b.rounds {
				disk, err := b.child(ctx, fmt.Sprint("disk/", diskWrite), 1)
				if err != nil {
					return err
				}
				f, err := b.child(ctx, fmt.Sprintf("append/%d/%d", size, shards), 2)
				if err != nil {
					return err
				}
				ours, pairs = append(ours, f), append(pairs, pair{f, disk})
			}
			records := spreadOf(func(f figures) float64 { return float64(f.Records) / f.Wall }, ours)
			disk := spreadOf(func(p pair) float64 { return perSecond(p.theirs) }, pairs)
			_, _ = fmt.Fprintf(out, "| %d B | %d | %s | %s | %s | %s |\n", size, shards, records, spreadOf(perSecond, ours), disk, ratios(perSecond, pairs).with(2))
		}
	}
	return nil
}

// stages measures the stages of the main job, and all of it.
func (b *bench) stages(ctx context.Context, out io.Writer) error {
	_, _ = fmt.Fprint(out, "\nStages, MB of JSON:\n\n| what | cores | MB/s | MB/cpu-s | peak memory, MB | size of the files, % |\n|---|---|---|---|---|---|\n")
	for _, s := range []struct{ job, what string }{
		{"decode", "JSON file -> Arrow"},
		{"parquet", "JSON file -> Parquet zstd, through the file sink"},
		{"archive", "JSON -> stream of 4 shards, durable -> Parquet zstd"},
	} {
		for _, cores := range []int{1, 2} {
			var runs []figures
			for range b.rounds {
				f, err := b.child(ctx, s.job, cores)
				if err != nil {
					return err
				}
				runs = append(runs, f)
			}
			peak := spreadOf(func(f figures) float64 { return float64(f.Peak) / 1e6 }, runs)
			share := spreadOf(func(f figures) float64 { return 100 * float64(f.Out) / float64(f.Bytes) }, runs)
			_, _ = fmt.Fprintf(out, "| %s | %d | %s | %s | %s | %.1f |\n", s.what, cores, spreadOf(perSecond, runs), spreadOf(perProcessor, runs), peak, share.median)
		}
	}
	_, _ = fmt.Fprint(out, "\nThe whole file of events is in memory, and counted, in each of these.\n")
	return nil
}

//go:embed duckdb.py
var duckScript string

// peers measures our jobs and those of DuckDB in turns.
func (b *bench) peers(ctx context.Context, out io.Writer) error {
	python, err := oracle.Python(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\nBeside %s, in turns; ratios are those of each round, above 1 we are faster:\n\n"+
		"| ours | theirs | cores | MB/s | theirs | ratio | MB/cpu-s | theirs | ratio | files, ours/theirs |\n|---|---|---|---|---|---|---|---|---|---|\n", oracle.Packages[1])
	for _, c := range []struct{ job, duck, ours, theirs string }{
		{"decode", "scan", "JSON -> Arrow", "read_json, typed, and a hash of each row"},
		{"parquet", "copy", "JSON -> Parquet zstd", "COPY to Parquet zstd"},
		{"parquet", "copy level 1", "JSON -> Parquet zstd", "COPY to Parquet zstd, level 1"},
		{"archive", "copy", "JSON -> durable stream -> Parquet zstd", "COPY to Parquet zstd, no log"},
	} {
		for _, cores := range []int{1, 2} {
			var pairs []pair
			for range b.rounds {
				p, err := b.pair(ctx, python, c.job, c.duck, cores)
				if err != nil {
					return err
				}
				pairs = append(pairs, p)
			}
			column := func(f func(figures) float64) (ours, theirs, ratio spread) {
				return spreadOf(func(p pair) float64 { return f(p.ours) }, pairs), spreadOf(func(p pair) float64 { return f(p.theirs) }, pairs), ratios(f, pairs)
			}
			ours, theirs, ratio := column(perSecond)
			oursCPU, theirsCPU, ratioCPU := column(perProcessor)
			files := "–"
			if p := pairs[0]; p.theirs.Out > 0 {
				files = strconv.FormatFloat(float64(p.ours.Out)/float64(p.theirs.Out), 'f', 2, 64)
			}
			_, _ = fmt.Fprintf(out, "| %s | %s | %d | %s | %s | %s | %s | %s | %s | %s |\n",
				c.ours, c.theirs, cores, ours, theirs, ratio.with(2), oursCPU, theirsCPU, ratioCPU.with(2), files)
		}
	}
	return nil
}

func (b *bench) pair(ctx context.Context, python, job, duck string, cores int) (pair, error) {
	ours, err := b.child(ctx, job, cores)
	if err != nil {
		return pair{}, err
	}
	theirs, err := b.figuresOf("duckdb "+duck, cores, exec.CommandContext(ctx, python, "-c", duckScript, duck, b.events, filepath.Join(b.dir, "duckdb.parquet"), strconv.Itoa(cores))) //nolint:gosec // fixed arguments
	return pair{ours, theirs}, err
}
