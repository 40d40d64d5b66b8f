package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// callFigures are what one run of calls to a server gave.
type callFigures struct {
	Records, Bytes int64
	Wall           float64         // seconds
	Took           []time.Duration // of each call, or each record's way; sorted

	busy int64 // calls that the server had no room for
	cut  bool  // calls were given up that had no answer patience after the end
}

func (f callFigures) perSecond() float64   { return float64(f.Records) / f.Wall }
func (f callFigures) mbPerSecond() float64 { return float64(f.Bytes) / 1e6 / f.Wall }

// percentile is in milliseconds.
func (f callFigures) percentile(p int) float64 {
	if len(f.Took) == 0 {
		return 0
	}
	return float64(f.Took[min(len(f.Took)-1, len(f.Took)*p/100)].Microseconds()) / 1000
}

const (
	apiShards = 4
	apiFor    = 3 * time.Second
	patience  = 7 * time.Second
	distinct  = 8 // requests that are sent again and again
)

// putting is a job of puts.
type putting struct{ each, size, connections int }

func (p putting) String() string {
	if p.each == 1 {
		return fmt.Sprintf("PutRecord %d B, %d connections", p.size, p.connections)
	}
	return fmt.Sprintf("PutRecords %d x %d B, %d connections", p.each, p.size, p.connections)
}

// run puts as fast as the server answers.
func (p putting) run(ctx context.Context, c *apiClient, stream string) (f callFigures, err error) {
	requests, err := c.puts(ctx, stream, distinct, p.each, p.size)
	if err != nil {
		return f, err
	}
	lines := make([]*connection, p.connections)
	for i := range lines {
		if lines[i], err = c.connect(ctx); err != nil {
			return f, err
		}
		defer lines[i].close()
	}
	if _, err := lines[0].send(ctx, requests[0]); err != nil { // a server's first is no part of what is measured
		return f, err
	}
	var mu sync.Mutex // guards f
	group, began := errgroup.Group{}, time.Now()
	for i, line := range lines {
		group.Go(func() error {
			took, records, err := line.repeat(ctx, requests, i, p.each, began.Add(c.during))
			mu.Lock()
			defer mu.Unlock()
			f.busy += line.busy
			if errors.Is(err, os.ErrDeadlineExceeded) {
				f.cut, err = true, nil
			}
			f.Took, f.Records = append(f.Took, took...), f.Records+records
			return err
		})
	}
	err = group.Wait()
	f.Wall, f.Bytes = time.Since(began).Seconds(), f.Records*int64(p.size)
	slices.Sort(f.Took)
	return f, err
}

// repeat sends requests that put, in turns, and returns how many records were taken.
func (c *connection) repeat(ctx context.Context, requests [][]byte, from, each int, end time.Time) (took []time.Duration, records int64, err error) {
	c.until = end.Add(patience)
	for i := from; time.Now().Before(end); i++ {
		began := time.Now()
		answer, err := c.send(ctx, requests[i%len(requests)])
		if errors.Is(err, errBusy) {
			c.busy++
			<-time.After(100 * time.Millisecond)
			continue
		}
		if err != nil {
			return took, records, err
		}
		took = append(took, time.Since(began))
		if n := bytes.Count(answer, []byte(`"SequenceNumber"`)); n != each {
			return took, records, fmt.Errorf("%d of %d records were taken: %.300s", n, each, answer)
		}
		records += int64(each)
	}
	return took, records, nil
}

// errNothing says that a stream has less than was put.
var errNothing = errors.New("records that were put are not there")

// getting reads a stream of records of that size from its begin to its end, again and again, shard by shard.
func getting(ctx context.Context, c *apiClient, stream string, size int) (f callFigures, err error) {
	line, err := c.connect(ctx)
	if err != nil {
		return f, err
	}
	defer line.close()
	var shards struct {
		Shards []struct {
			ShardID string `json:"ShardId"`
		}
	}
	if err := line.call(ctx, "ListShards", object{"StreamName": stream}, &shards); err != nil {
		return f, err
	}
	began := time.Now()
	for end := began.Add(c.during); time.Now().Before(end); {
		before := f.Records
		for _, s := range shards.Shards {
			if err := line.readShard(ctx, object{"StreamName": stream, "ShardId": s.ShardID, "ShardIteratorType": "TRIM_HORIZON"}, end, &f); err != nil {
				return f, err
			}
		}
		if f.Records == before {
			return f, errNothing
		}
	}
	f.Wall, f.Bytes = time.Since(began).Seconds(), f.Records*int64(size)
	slices.Sort(f.Took)
	return f, nil
}

// readShard reads a shard until a page is empty.
func (c *connection) readShard(ctx context.Context, start object, end time.Time, f *callFigures) error {
	var at struct{ ShardIterator string }
	if err := c.call(ctx, "GetShardIterator", start, &at); err != nil {
		return err
	}
	for iterator := at.ShardIterator; time.Now().Before(end); {
		body, err := json.Marshal(object{"ShardIterator": iterator, "Limit": 5000})
		if err != nil {
			return err
		}
		request, err := c.client.request(ctx, "GetRecords", body)
		if err != nil {
			return err
		}
		began := time.Now()
		answer, err := c.send(ctx, request)
		if err != nil {
			return fmt.Errorf("GetRecords: %w", err)
		}
		f.Took = append(f.Took, time.Since(began))
		n := bytes.Count(answer, []byte(`"Data"`))
		f.Records += int64(n)
		if iterator, err = nextIterator(answer); n == 0 || err != nil {
			return err
		}
	}
	return nil
}

// nextIterator finds the iterator in an answer without reading the records, which takes longer than serving them.
func nextIterator(answer []byte) (string, error) {
	const name = `"NextShardIterator"`
	at := bytes.LastIndex(answer, []byte(name))
	if at < 0 {
		return "", fmt.Errorf("no iterator in %.300s", answer)
	}
	rest := bytes.TrimLeft(answer[at+len(name):], ": \n")
	var s string
	err := json.NewDecoder(bytes.NewReader(rest)).Decode(&s)
	return s, err
}
