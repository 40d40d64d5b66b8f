package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/transforms/json"
)

// runJob runs a job of this program on the events in dir.
func runJob(ctx context.Context, name, dir string) (figures, error) {
	work := filepath.Join(dir, "work-"+strconv.Itoa(os.Getpid()))
	defer os.RemoveAll(work) //nolint:errcheck // the bench's own folder
	switch {
	case strings.HasPrefix(name, "append/"):
		return appendJob(ctx, name, work)
	case strings.HasPrefix(name, "disk/"):
		return diskJob(name, work)
	}
	text, err := os.ReadFile(filepath.Join(dir, eventsFile)) //nolint:gosec // in the bench's folder
	if err != nil {
		return figures{}, err
	}
	f := figures{Bytes: int64(len(text)), Records: int64(len(lines(text)) - 1)}
	if job, ok := strings.CutPrefix(name, "warehouse/"); ok {
		return warehouseJob(ctx, f, job, text, dir, work)
	}
	switch name {
	case "decode":
		return measure(f, func() error { return decode(ctx, text, nil) })
	case "parquet":
		return parquetJob(ctx, f, text, work)
	case "archive":
		return archiveJob(ctx, f, text, work)
	}
	return figures{}, fmt.Errorf("there is no such job: %w", core.ErrInvalid)
}

const batchRecords = 8192

// decode turns text into rows; take, if any, gets each batch of them.
func decode(ctx context.Context, text []byte, take func(core.Batch) error) error {
	d, err := json.New(json.Config{})
	if err != nil {
		return err
	}
	var schema *arrow.Schema
	return rawBatches(text, batchRecords, func(raw core.Batch) error {
		if schema == nil {
			if schema, err = d.Widen(nil, raw, nil); err != nil {
				return err
			}
		}
		var v connectors.Verdicts
		rows, _, err := d.Decode(ctx, raw, schema, &v)
		if err != nil {
			return err
		}
		defer rows.Release()
		if len(v.Refused) > 0 || rows.NumRows() != raw.NumRows() {
			return fmt.Errorf("%d of %d records became rows", rows.NumRows(), raw.NumRows())
		}
		if take == nil {
			return nil
		}
		return take(rows)
	})
}

// parquetJob decodes the events and writes them through the file sink, without a log.
func parquetJob(ctx context.Context, f figures, text []byte, work string) (figures, error) {
	sink, err := file.Open(ctx, file.Config{Path: work})
	if err != nil {
		return f, err
	}
	f, err = measure(f, func() error {
		var st connectors.Staging
		err := decode(ctx, text, func(b core.Batch) error {
			if st == nil {
				if st, err = sink.Stage(ctx, connectors.Flush{Pipeline: "bench", Incarnation: "0123456789abcdef", Number: 1, Schema: b.Rows.Schema()}); err != nil {
					return err
				}
			}
			return st.Add(ctx, b, &connectors.Verdicts{})
		})
		if err != nil {
			return err
		}
		outputs, err := st.Outputs(ctx)
		if err != nil {
			return err
		}
		return st.Publish(ctx, connectors.Plan{Pipeline: "bench", Incarnation: "0123456789abcdef", Number: 1, Outputs: outputs}, nil)
	})
	f.Out = size(work, ".parquet")
	return f, errors.Join(err, sink.Close(ctx))
}

const archiveYAML = `version: 1
name: archive
source: {stream: events, decode: {json: {}}}
sink:
  file: {path: %q, format: {parquet: {compression: zstd}}}
`

// archiveJob puts the events into a stream of four shards and archives it: the whole chain.
func archiveJob(ctx context.Context, f figures, text []byte, work string) (figures, error) {
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddSink(r, "file", file.Open)
	lake := filepath.Join(work, "lake")
	spec, err := r.Load("archive.yaml", fmt.Appendf(nil, archiveYAML, lake), os.LookupEnv)
	if err != nil {
		return f, err
	}
	node, err := pipelines.OpenNode(ctx, filepath.Join(work, "data"))
	if err != nil {
		return f, err
	}
	f, err = measure(f, func() error {
		if err := putAll(ctx, node, text); err != nil {
			return err
		}
		return node.Run(ctx, r, spec, pipelines.RunOptions{UntilCaughtUp: true})
	})
	f.Out = size(lake, ".parquet")
	return f, errors.Join(err, node.Close())
}

// putAll puts each line as a record, in two lanes of calls of 5,000.
func putAll(ctx context.Context, node *pipelines.Node, text []byte) error {
	if _, err := node.Streams.Create(ctx, "events", stream.Settings{Shards: 4}); err != nil {
		return err
	}
	s, err := node.Streams.Open(ctx, "events")
	if err != nil {
		return err
	}
	const each, lanes = 5000, 2
	offsets := lines(text)
	group, ctx := errgroup.WithContext(ctx)
	for lane := range lanes {
		group.Go(func() error {
			var records []stream.Record
			for from := lane * each; from < len(offsets)-1; from += lanes * each {
				records = records[:0]
				for i := from; i < min(from+each, len(offsets)-1); i++ {
					records = append(records, stream.Record{Key: strconv.Itoa(i), Data: text[offsets[i] : offsets[i+1]-1]})
				}
				if err := put(ctx, s, records); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func put(ctx context.Context, s *stream.Stream, records []stream.Record) error {
	results, err := s.Put(ctx, records)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	return err
}

// size is how many bytes the files below dir have whose names end in ext.
func size(dir, ext string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ext {
			return err
		}
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n
}
