package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/integration/servers"
)

// workerFailover is the failover time of the workers that are measured.
const workerFailover = 2 * time.Second

// fleet is a server with a stream, and what starts workers over it.
type fleet struct {
	*bench
	server *servers.Kinesis
	client *apiClient
	files  int
}

// workers measures a pipeline that several processes share, and how long a shard stands still when one of them dies.
func (b *bench) workers(ctx context.Context, out io.Writer) error {
	server, err := servers.NewKinesis(ctx, "penstock", filepath.Join(b.dir, "fleet"))
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	defer server.Kill()
	f := &fleet{bench: b, server: server, client: newAPIClient(server.Endpoint, server.Key.AccessKey, server.Key.Secret.Reveal())}
	if err := f.throughput(ctx, out); err != nil {
		return err
	}
	return f.deaths(ctx, out)
}

// stream makes a stream of a server that has none of that name.
func (f *fleet) stream(ctx context.Context, name string, shards int) (*connection, error) {
	line, err := f.client.connect(ctx)
	if err != nil {
		return nil, err
	}
	return line, line.newStream(ctx, name, shards)
}

// pipeline writes the file of a new pipeline from a stream to a folder.
func (f *fleet) pipeline(stream, buffer, format string) (file, lake string, err error) {
	f.files++
	name := fmt.Sprint("p", f.files)
	file, lake = filepath.Join(f.dir, name+".yaml"), filepath.Join(f.dir, name)
	return file, lake, os.WriteFile(file, fmt.Appendf(nil, `version: 1
name: %s
source: {kinesis: {stream: %s, endpoint: '%s'}, decode: {json: {}}}
buffer: %s
sink: {file: {path: '%s', format: %s}}
`, name, stream, f.server.Endpoint, buffer, lake, format), 0o600)
}

func (f *fleet) worker(ctx context.Context, file string, flags ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(f.dir, "fleet", "penstock"), append([]string{"run", file, "--quiet", "--state", f.server.Endpoint, "--failover", workerFailover.String()}, flags...)...) //nolint:gosec // built by the bench
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+f.server.Key.AccessKey, "AWS_SECRET_ACCESS_KEY="+f.server.Key.Secret.Reveal(), "AWS_REGION=us-east-1", "TMPDIR="+f.dir)
	return cmd
}

// throughput lets one, two and four workers deliver a stream.
func (f *fleet) throughput(ctx context.Context, out io.Writer) error {
	const stream, calls, each = "full", 2000, 500
	line, err := f.stream(ctx, stream, 16)
	if err != nil {
		return err
	}
	defer line.close()
	bytes, err := putEvents(ctx, line, stream, calls, each)
	if err != nil {
		return err
	}
	counts := []int{1, 2, 4}
	runs := make([][]figures, len(counts))
	for range f.rounds {
		for i, n := range counts {
			run, err := f.deliver(ctx, stream, n)
			if err != nil {
				return err
			}
			run.Records, run.Bytes = calls*each, bytes
			runs[i] = append(runs[i], run)
			_, _ = fmt.Fprintf(f.progress, "%d workers %.0f records/s\n", n, float64(run.Records)/run.Wall)
		}
	}
	_, _ = fmt.Fprintf(out, "\nWorkers that share a pipeline, from a server's stream of 16 shards with %d records of %d B to Parquet, all on this machine:\n\n"+
		"| workers | records/s | MB/s |\n|---|---|---|\n", calls*each, bytes/(calls*each))
	for i, n := range counts {
		records := spreadOf(func(f figures) float64 { return float64(f.Records) / f.Wall }, runs[i])
		_, _ = fmt.Fprintf(out, "| %d | %s | %s |\n", n, records, spreadOf(perSecond, runs[i]))
	}
	return nil
}

// putEvents puts made-up events to a stream, and returns how many bytes they had.
func putEvents(ctx context.Context, line *connection, stream string, calls, each int) (size int64, err error) {
	g, err := generator.New(generator.Config{})
	if err != nil {
		return 0, err
	}
	for call := range calls {
		records := make([]object, each)
		for i := range records {
			_, event, err := g.Event(nil, int64(call*each+i))
			if err != nil {
				return 0, err
			}
			size += int64(len(event))
			records[i] = object{"PartitionKey": strconv.Itoa(call*each + i), "Data": event}
		}
		if err := line.call(ctx, "PutRecords", object{"StreamName": stream, "Records": records}, nil); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// deliver lets workers deliver what a stream holds.
func (f *fleet) deliver(ctx context.Context, stream string, workers int) (figures, error) {
	file, lake, err := f.pipeline(stream, "{max_records: 250000, max_age: 60s}", "{parquet: {}}")
	if err != nil {
		return figures{}, err
	}
	defer os.RemoveAll(lake) //nolint:errcheck // a temporary folder
	return measure(figures{}, func() error {
		group, ctx := errgroup.WithContext(ctx)
		for range workers {
			group.Go(func() error {
				if said, err := f.worker(ctx, file, "--until-caught-up").CombinedOutput(); err != nil {
					return fmt.Errorf("worker: %w: %s", err, said)
				}
				return nil
			})
		}
		return group.Wait()
	})
}

// deaths kills one of two workers again and again, and measures until a record put to each shard at that moment has come.
func (f *fleet) deaths(ctx context.Context, out io.Writer) error {
	const stream, shards = "live", 16
	line, err := f.stream(ctx, stream, shards)
	if err != nil {
		return err
	}
	defer line.close()
	file, lake, err := f.pipeline(stream, "{max_age: 200ms}", "{ndjson: {compression: none}}")
	if err != nil {
		return err
	}
	workers := []*exec.Cmd{f.worker(ctx, file), f.worker(ctx, file)}
	defer func() {
		for _, w := range workers {
			_ = w.Process.Kill() // it may not have started
			_ = w.Wait()
		}
	}()
	for _, w := range workers {
		if err := w.Start(); err != nil {
			return err
		}
	}
	var took []float64
	for death := range 3 * f.rounds {
		if _, err := f.arrive(ctx, line, stream, fmt.Sprintf("before-%d-", death), shards, lake); err != nil {
			return err
		}
		<-time.After(3 * workerFailover) // for the shards to be spread
		_ = workers[0].Process.Kill()
		_ = workers[0].Wait() // it was killed
		d, err := f.arrive(ctx, line, stream, fmt.Sprintf("after-%d-", death), shards, lake)
		if err != nil {
			return err
		}
		took = append(took, d.Seconds())
		workers = []*exec.Cmd{workers[1], f.worker(ctx, file)}
		if err := workers[1].Start(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	_, err = fmt.Fprintf(out, "\nFrom SIGKILL of one of two workers until a record of each of %d shards has come, with a failover time of %s, %d deaths: "+
		"median %.2f s, most %.2f s (a flush of 200 ms included).\n", shards, workerFailover, len(took), took[len(took)/2], took[len(took)-1])
	return err
}

var errLost = errors.New("records do not come")

// arrive puts a record to each shard and waits until all are in the lake.
func (f *fleet) arrive(ctx context.Context, line *connection, stream, prefix string, shards int, lake string) (time.Duration, error) {
	records := make([]object, shards)
	for i := range records {
		first := new(big.Int).Lsh(big.NewInt(int64(i)), 128)
		records[i] = object{"PartitionKey": "k", "ExplicitHashKey": first.Div(first, big.NewInt(int64(shards))).String(), "Data": fmt.Appendf(nil, `{"id":"%s%d."}`, prefix, i)}
	}
	began := time.Now()
	if err := line.call(ctx, "PutRecords", object{"StreamName": stream, "Records": records}, nil); err != nil {
		return 0, err
	}
	for time.Since(began) < time.Minute {
		text, err := rowsIn(lake)
		if err != nil {
			return 0, err
		}
		here := 0
		for i := range shards {
			if bytes.Contains(text, fmt.Appendf(nil, `%s%d.`, prefix, i)) {
				here++
			}
		}
		if here == shards {
			return time.Since(began), nil
		}
		<-time.After(20 * time.Millisecond)
	}
	return 0, fmt.Errorf("%s: %w within a minute", strings.TrimSuffix(prefix, "-"), errLost)
}

// rowsIn is the text of all files of a lake of NDJSON.
func rowsIn(lake string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(lake, "*.ndjson"))
	var text []byte
	for _, name := range files {
		rows, rerr := os.ReadFile(name) //nolint:gosec // of the bench
		text, err = append(text, rows...), errors.Join(err, rerr)
	}
	return text, err
}
