package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/consumer"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// A consumer of a stream in a data directory goes on where the one before it stopped.
func Example() {
	ctx := context.Background()
	dir, clean := dataDirectory("clicks", "one", "two", "three")
	defer clean()

	node, err := pipelines.OpenNode(ctx, dir)
	check(err)
	defer func() { check(node.Close()) }()
	clicks, err := node.Streams.Open(ctx, "clicks")
	check(err)
	run := func() {
		c, err := consumer.New(consumer.Config{
			Name: "printer", Source: streamsource.New(clicks), Store: node.Control, UntilCaughtUp: true,
			Lease: lease.Config{Exclusive: true}, // this process has the data directory, and no server shares its rows
			Process: func(_ context.Context, b consumer.Batch) error {
				for r := range b.Records() {
					fmt.Println(r.Key, string(r.Data))
				}
				return nil
			},
		})
		check(err)
		check(c.Run(ctx))
	}
	run()
	put(ctx, clicks, "four")
	run()
	// Output:
	// key-0 one
	// key-1 two
	// key-2 three
	// key-0 four
}

// What Process did before its error is done again. Here it is done once: the end of a batch is stored with what the batch
// adds up to, in one step, and a batch whose end is stored is passed over.
func Example_exactlyOnce() {
	ctx := context.Background()
	dir, clean := dataDirectory("orders", "10", "20", "12")
	defer clean()

	node, err := pipelines.OpenNode(ctx, dir)
	check(err)
	defer func() { check(node.Close()) }()
	orders, err := node.Streams.Open(ctx, "orders")
	check(err)
	total := &account{file: filepath.Join(filepath.Dir(dir), "total.json")}
	calls := 0
	c, err := consumer.New(consumer.Config{
		Name: "total", Source: streamsource.New(orders), Store: node.Control, UntilCaughtUp: true, Lease: lease.Config{Exclusive: true},
		Process: func(_ context.Context, b consumer.Batch) error {
			sum := 0
			for r := range b.Records() {
				var n int
				if err := json.Unmarshal(r.Data, &n); err != nil {
					return connectors.Permanent(err)
				}
				sum += n
			}
			if err := total.add(b, sum); err != nil {
				return err
			}
			if calls++; calls == 1 {
				return errors.New("the network went after the total was stored")
			}
			return nil
		},
	})
	check(err)
	check(c.Run(ctx))
	fmt.Println("calls:", calls)
	fmt.Println("total:", total.stored().Total)
	// Output:
	// calls: 2
	// total: 42
}

// account is a number in a file, and through which record of each shard it was added up.
type account struct{ file string }

type accountState struct {
	Total   int
	Through map[string]core.SequenceNumber
}

// add adds what a batch holds, in the one step of a rename. In a database it would be a transaction that reads the row of the
// shard FOR UPDATE.
func (a *account) add(b consumer.Batch, n int) error {
	s := a.stored()
	switch at, known := s.Through[b.Key()]; {
	case known && at == b.Through:
		return nil // it was done before
	case known && at != b.From:
		return connectors.Permanent(fmt.Errorf("%s stands at %q, the batch begins after %q", b.Key(), at, b.From))
	}
	s.Total += n
	s.Through[b.Key()] = b.Through
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(a.file+".new", a.file)
}

func (a *account) stored() accountState {
	s := accountState{Through: map[string]core.SequenceNumber{}}
	text, err := os.ReadFile(a.file)
	if errors.Is(err, os.ErrNotExist) {
		return s
	}
	check(err)
	check(json.Unmarshal(text, &s))
	return s
}

// dataDirectory makes one with a stream of one shard, and records in it.
func dataDirectory(name core.StreamName, records ...string) (dir string, clean func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "penstock-example-")
	check(err)
	node, err := pipelines.OpenNode(ctx, filepath.Join(dir, "data"))
	check(err)
	_, err = node.Streams.Create(ctx, name, stream.Settings{Shards: 1})
	check(err)
	s, err := node.Streams.Open(ctx, name)
	check(err)
	put(ctx, s, records...)
	check(node.Close())
	return filepath.Join(dir, "data"), func() { check(os.RemoveAll(dir)) }
}

func put(ctx context.Context, s *stream.Stream, records ...string) {
	var batch []stream.Record
	for i, r := range records {
		batch = append(batch, stream.Record{Key: fmt.Sprint("key-", i), Data: []byte(r)})
	}
	out, err := s.Put(ctx, batch)
	check(err)
	for _, r := range out {
		check(r.Err)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
