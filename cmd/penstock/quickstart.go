package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

const quickstartYAML = `version: 1
name: clicks-archive
source: {stream: clicks, decode: {json: {}}}
stages:
  - filter: 'event_type != "heartbeat"'
  - hash: {columns: [user_id], algorithm: sha256}
sink:
  file: {path: %q, prefix: 'dt=!{timestamp:yyyy-MM-dd}/', partition_by: event_time, format: {parquet: {compression: zstd}}}
`

func (a *app) quickstart() *cobra.Command {
	var dir string
	var count int64
	cmd := &cobra.Command{
		Use:     "quickstart",
		Short:   "See it work: a million events into a stream of four shards, archived as Parquet and verified",
		Example: "  penstock quickstart --events 100000",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.quickstartIn(cmd.Context(), dir, count) },
	}
	cmd.ValidArgsFunction = noFiles
	cmd.Flags().StringVar(&dir, "dir", "./penstock-quickstart", "folder for the data directory, the pipeline file and the lake")
	cmd.Flags().Int64Var(&count, "events", 1_000_000, "how many events")
	return cmd
}

func (a *app) quickstartIn(ctx context.Context, dir string, count int64) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(abs); err == nil {
		return usage(fmt.Errorf("%s is there already: remove it, or choose another folder with --dir", dir))
	}
	if err := os.MkdirAll(abs, 0o755); err != nil { //nolint:gosec // the lake in it is for others to read
		return err
	}
	file := filepath.Join(abs, "clicks-archive.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, quickstartYAML, filepath.Join(abs, "lake")), 0o600); err != nil {
		return err
	}
	began := time.Now()
	r := registry()
	specs, err := load(r, []string{file})
	if err != nil {
		return err
	}
	var raw int64
	err = makeNode(ctx, filepath.Join(abs, "data"), func(n *pipelines.Node) error {
		if _, err := n.Streams.Create(ctx, "clicks", stream.Settings{Shards: 4}); err != nil {
			return err
		}
		s, err := n.Streams.Open(ctx, "clicks")
		if err != nil {
			return err
		}
		put := time.Now()
		if raw, err = fill(ctx, s, count); err != nil {
			return err
		}
		took := time.Since(put)
		a.printf("put        %s events, %s, into 4 shards in %.1fs (%.0f MB/s, each synced before it was acknowledged)\n",
			humanize.Comma(count), humanize.Bytes(uint64(raw)), took.Seconds(), float64(raw)/1e6/took.Seconds()) //nolint:gosec // not negative
		return a.runAll(ctx, n, r, specs, pipelines.RunOptions{UntilCaughtUp: true})
	})
	if err != nil {
		return err
	}
	report, err := a.verifyOne(ctx, r, specs[0], nil, false)
	a.result = report
	return errors.Join(err, a.summary(filepath.Join(abs, "lake"), file, raw, time.Since(began)))
}

// fill puts made-up events into a stream and returns how many bytes they have.
func fill(ctx context.Context, s *stream.Stream, count int64) (int64, error) {
	g, err := generator.New(generator.Config{})
	if err != nil {
		return 0, err
	}
	const each = 5000
	var bytes [2]int64
	group, ctx := errgroup.WithContext(ctx)
	for lane := range bytes {
		group.Go(func() error {
			records := make([]stream.Record, 0, each)
			for from := int64(lane) * each; from < count; from += int64(len(bytes)) * each {
				records = records[:0]
				buf := make([]byte, 0, each*400)
				for i := from; i < min(from+each, count); i++ {
					start := len(buf)
					key, data, err := g.Event(buf, i)
					if err != nil {
						return err
					}
					buf = data
					records = append(records, stream.Record{Key: key, Data: data[start:]})
					bytes[lane] += int64(len(data) - start)
				}
				results, err := s.Put(ctx, records)
				if err != nil {
					return err
				}
				for _, res := range results {
					if res.Err != nil {
						return res.Err
					}
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return bytes[0] + bytes[1], err
}

// summary says what came out and what to type next.
func (a *app) summary(lake, file string, raw int64, took time.Duration) error {
	var files, bytes int64
	err := filepath.WalkDir(lake, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	if err != nil || files == 0 {
		return err
	}
	a.printf("done       %d Parquet files, %s from %s of events (%.1f : 1) in %.1fs, %.0f MB/s from first put to last sync\n\nlook at    %s\nnext       penstock verify %s\n",
		files, humanize.Bytes(uint64(bytes)), humanize.Bytes(uint64(raw)), float64(raw)/float64(bytes), took.Seconds(), float64(raw)/1e6/took.Seconds(), lake, file) //nolint:gosec // not negative
	return nil
}
