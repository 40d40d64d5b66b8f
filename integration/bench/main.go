package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	size := flags.Int64("mb", 200, "megabytes of JSON that every job reads")
	rounds := flags.Int("rounds", 3, "how often each job runs, in turns with the others")
	dir := flags.String("dir", "", "folder to work in; a temporary one without it. Its disk is what is measured")
	only := flags.String("only", "", "append, stages, peers, warehouse, api or workers; everything without it")
	job := flags.String("job", "", "run one job in this process and print its figures: for the bench itself")
	endpoint := flags.String("endpoint", "", "with -job api/{records of a call}/{bytes of a record}/{connections}: the server; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are its key")
	profile := flags.String("profile", "", "with -job: write a CPU profile there")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		tmp, err := os.MkdirTemp("", "penstock-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp) //nolint:errcheck // a temporary folder
		*dir = tmp
	}
	if *endpoint != "" {
		return oneAPI(ctx, *job, *endpoint, out)
	}
	if *job != "" {
		return one(ctx, *job, *dir, *profile, out)
	}
	b := bench{dir: *dir, rounds: *rounds, progress: progress, events: filepath.Join(*dir, eventsFile)}
	if *only == "api" || *only == "workers" { // they need no events
		return b.run(ctx, *only, out)
	}
	if err := writeEvents(b.events, *size*1e6); err != nil {
		return err
	}
	return b.run(ctx, *only, out)
}

// one runs a job and prints its figures as JSON.
func one(ctx context.Context, name, dir, profile string, out io.Writer) error {
	if profile != "" {
		f, err := os.Create(profile) //nolint:gosec // the user named it
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	f, err := runJob(ctx, name, dir)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	return json.NewEncoder(out).Encode(f)
}

// oneAPI puts to a server that runs, and prints what it took.
func oneAPI(ctx context.Context, name, endpoint string, out io.Writer) error {
	var p putting
	if _, err := fmt.Sscanf(name, "api/%d/%d/%d", &p.each, &p.size, &p.connections); err != nil {
		return err
	}
	f, err := newAPIClient(endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")).onNewStream(ctx, p.run)
	if err != nil {
		return fmt.Errorf("job %s: %w", name, err)
	}
	_, err = fmt.Fprintf(out, "%d records in %.2f s, %.0f/s, %.1f MB/s, p50 %.2f ms, p99 %.2f ms\n", f.Records, f.Wall, f.perSecond(), f.mbPerSecond(), f.percentile(50), f.percentile(99))
	return err
}

// bench is one run of everything.
type bench struct {
	dir, events string
	rounds      int
	progress    io.Writer
}

func (b *bench) run(ctx context.Context, only string, out io.Writer) error {
	_, _ = fmt.Fprintf(out, "%s/%s, %d cores, %s; medians of %d rounds (least to most).\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), b.rounds)
	for _, part := range []struct {
		name string
		run  func(context.Context, io.Writer) error
	}{{"append", b.append}, {"stages", b.stages}, {"peers", b.peers}, {"warehouse", b.warehouse}, {"api", b.api}, {"workers", b.workers}} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.run(ctx, out); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
