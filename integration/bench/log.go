package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/pipelines"
)

// How long an append job runs, what a call puts at the most, and how many callers there are.
const (
	appendFor    = 2 * time.Second
	callRecords  = 500
	callBytes    = 4 << 20
	callers      = 8
	diskWrite    = 1 << 20 // the size of a full group of the log
	diskFileSize = 256 << 20
)

var (
	recordSizes = []int{100, 1 << 10, 100 << 10}
	shardCounts = []int{1, 16, 1000}
)

// appendJob puts records as fast as they are made durable; its name is append/{bytes of a record}/{shards}.
func appendJob(ctx context.Context, name, work string) (f figures, err error) {
	var size, shards int
	if _, err := fmt.Sscanf(name, "append/%d/%d", &size, &shards); err != nil {
		return f, err
	}
	node, err := pipelines.OpenNode(ctx, filepath.Join(work, "data"))
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if _, err := node.Streams.Create(ctx, "s", stream.Settings{Shards: shards}); err != nil {
		return f, err
	}
	s, err := node.Streams.Open(ctx, "s")
	if err != nil {
		return f, err
	}
	// A shard's first put claims its log; that is no part of what is measured.
	if err := put(ctx, s, makeRecords(callers, 20*shards, 1)); err != nil {
		return f, err
	}
	var calls atomic.Int64
	each := max(1, min(callRecords, callBytes/size))
	var records [callers][]stream.Record
	for c := range records {
		records[c] = makeRecords(c, each, size)
	}
	f, err = measure(f, func() error {
		group, ctx := errgroup.WithContext(ctx)
		end := time.Now().Add(appendFor)
		for c := range callers {
			group.Go(func() error {
				for time.Now().Before(end) {
					if err := put(ctx, s, records[c]); err != nil {
						return err
					}
					calls.Add(1)
				}
				return nil
			})
		}
		return group.Wait()
	})
	f.Records = calls.Load() * int64(each)
	f.Bytes = f.Records * int64(size)
	return f, err
}

// makeRecords are records of noise, spread over the shards by their keys.
func makeRecords(seed, n, size int) []stream.Record {
	rng := rand.NewChaCha8([32]byte{byte(seed)}) //nolint:gosec // made-up data
	out := make([]stream.Record, n)
	for i := range out {
		data := make([]byte, size)
		_, _ = rng.Read(data) // never fails
		out[i] = stream.Record{Key: strconv.Itoa(seed*n + i), Data: data}
	}
	return out
}

// diskJob writes one block after the other and makes each durable before the next, as the log does with groups that are
// full, and nothing else: what this disk can give.
func diskJob(name, work string) (f figures, err error) {
	var block int
	if _, err := fmt.Sscanf(name, "disk/%d", &block); err != nil {
		return f, err
	}
	var disk vfs.OS
	if err := disk.MkdirAll(work); err != nil {
		return f, err
	}
	file, err := disk.Create(filepath.Join(work, "raw"))
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, written := makeRecords(0, 1, block)[0].Data, int64(0)
	f, err = measure(f, func() error {
		for end := time.Now().Add(appendFor); time.Now().Before(end); written += int64(block) {
			at := written % diskFileSize
			if at == 0 {
				if err := file.Allocate(0, diskFileSize); err != nil {
					return err
				}
			}
			if _, err := file.WriteAt(data, at); err != nil {
				return err
			}
			if err := file.Sync(); err != nil {
				return err
			}
		}
		return nil
	})
	f.Bytes = written
	return f, err
}
