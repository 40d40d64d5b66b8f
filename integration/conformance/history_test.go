//go:build linux

package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	clients  = 8
	eachDoes = 25 // operations of a client
	sides    = 2  // streams that are made and deleted
)

// history is what clients did to a server, and what they were answered.
type history struct {
	sdk   *kinesis.Client
	name  string
	began time.Time
	up    sync.RWMutex // held for writing until the server is started again
	over  atomic.Bool  // all clients are done

	mu    sync.Mutex // guards what follows
	puts  map[string]*putOp
	gets  []getOp
	sides [sides][]porcupine.Operation
	wrong []error
}

type putOp struct {
	call, end  int64
	acked      bool
	shard, seq string
}

type getOp struct {
	call, end int64
	shard     string
	ids       []string
}

// row is a record that was read.
type row struct{ shard, seq, key, id string }

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

func (h *history) fault(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, err)
}

// ready waits until the server is up.
func (h *history) ready() {
	h.up.RLock()
	defer h.up.RUnlock()
}

// code is that of a refusal; empty if no answer came, or one that leaves open what was done.
func code(err error) string {
	var api interface {
		error
		ErrorCode() string
	}
	if !errors.As(err, &api) || strings.HasPrefix(api.ErrorCode(), "Internal") || strings.HasPrefix(api.ErrorCode(), "ServiceUnavailable") {
		return ""
	}
	return api.ErrorCode()
}

// client does things, one after another.
func (h *history) client(ctx context.Context, c int, rng *rand.Rand) {
	n := 0
	for range eachDoes {
		h.ready()
		switch rng.IntN(10) {
		case 0, 1, 2, 3, 4:
			n = h.put(ctx, c, n, rng)
		case 5, 6:
			h.get(ctx, rng)
		case 7, 8:
			h.side(ctx, c, rng)
		default:
			h.reshard(ctx, rng)
		}
	}
}

// put puts records; the n of a key rise.
func (h *history) put(ctx context.Context, c, n int, rng *rand.Rand) int {
	in := &kinesis.PutRecordsInput{StreamName: &h.name}
	ops := []*putOp{}
	h.mu.Lock()
	for range 1 + rng.IntN(3) {
		id := fmt.Sprintf("%d %d", c, n)
		n++
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(id), PartitionKey: aws.String(fmt.Sprintf("%d-%d", c, rng.IntN(3)))})
		op := &putOp{call: h.now()}
		h.puts[id], ops = op, append(ops, op)
	}
	h.mu.Unlock()
	out, err := h.sdk.PutRecords(ctx, in)
	if err != nil {
		if code(err) != "" {
			h.fault(fmt.Errorf("put: %w", err))
		}
		return n
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, r := range out.Records {
		if r.SequenceNumber != nil {
			ops[i].acked, ops[i].shard, ops[i].seq, ops[i].end = true, *r.ShardId, *r.SequenceNumber, h.now()
		}
	}
	return n
}

// shards are those of a stream.
func shards(ctx context.Context, sdk *kinesis.Client, name string) ([]types.Shard, error) {
	out, err := sdk.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		return nil, err
	}
	return out.Shards, nil
}

// get reads all of a shard.
func (h *history) get(ctx context.Context, rng *rand.Rand) {
	shards, err := shards(ctx, h.sdk, h.name)
	if err != nil {
		return
	}
	op := getOp{call: h.now(), shard: *shards[rng.IntN(len(shards))].ShardId}
	it, err := iterator(ctx, h.sdk, h.name, op.shard)
	for err == nil && it != nil {
		var out *kinesis.GetRecordsOutput
		if out, err = h.sdk.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it}); err != nil {
			break
		}
		for _, r := range out.Records {
			op.ids = append(op.ids, string(r.Data))
		}
		if it = out.NextShardIterator; len(out.Records) == 0 {
			it = nil
		}
	}
	if err != nil {
		if code(err) != "" {
			h.fault(fmt.Errorf("get: %w", err))
		}
		return
	}
	op.end = h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gets = append(h.gets, op)
}

// iterator is one of a shard from its trim horizon on.
func iterator(ctx context.Context, sdk *kinesis.Client, name, shard string) (*string, error) {
	out, err := sdk.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// side makes, deletes, describes or tags one of a few streams.
func (h *history) side(ctx context.Context, c int, rng *rand.Rand) {
	i := rng.IntN(sides)
	name := fmt.Sprintf("%s-%d", h.name, i)
	op := streamOp{kind: rng.IntN(tagged + 1), shards: 1 + rng.IntN(3), text: fmt.Sprint(rng.IntN(1000))}
	out := said{}
	var err error
	call := h.now()
	switch op.kind {
	case create:
		_, err = h.sdk.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(int32(op.shards))}) //nolint:gosec // few
	case remove:
		_, err = h.sdk.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &name})
	case describe:
		var d *kinesis.DescribeStreamSummaryOutput
		if d, err = h.sdk.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name}); err == nil {
			out.shards = int(*d.StreamDescriptionSummary.OpenShardCount)
		}
	case tag:
		_, err = h.sdk.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: &name, Tags: map[string]string{"text": op.text}})
	case tagged:
		var tags *kinesis.ListTagsForStreamOutput
		if tags, err = h.sdk.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: &name}); err == nil && len(tags.Tags) > 0 {
			out.text = *tags.Tags[0].Value
		}
	}
	end := h.now()
	switch code(err) {
	case "":
		out.unknown = err != nil
	case "ResourceNotFoundException":
		out.refused = true
	case "ResourceInUseException":
		if !strings.Contains(err.Error(), "already exists") {
			return // somebody else changes it, and it was not done
		}
		out.refused = true
	default:
		h.fault(fmt.Errorf("stream: %w", err))
	}
	if out.unknown {
		if op.kind == describe || op.kind == tagged {
			return
		}
		end = never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sides[i] = append(h.sides[i], porcupine.Operation{ClientId: c, Input: op, Output: out, Call: call, Return: end})
}

// never is when the answer comes to what none came to.
const never = int64(24 * time.Hour)

// reshard splits or merges a shard of the history's stream.
func (h *history) reshard(ctx context.Context, rng *rand.Rand) {
	err := reshard(ctx, h.sdk, h.name, 4, rng)
	if c := code(err); c != "" && c != "ResourceInUseException" { // another was faster
		h.fault(fmt.Errorf("reshard: %w", err))
	}
}

// reshard splits a shard of a stream at random, or merges two; there are at most so many that are open.
func reshard(ctx context.Context, sdk *kinesis.Client, name string, most int, rng *rand.Rand) error {
	shards, err := shards(ctx, sdk, name)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(shards, func(s types.Shard) bool { return s.SequenceNumberRange.EndingSequenceNumber != nil })
	hash := func(text *string) *big.Int { n, _ := new(big.Int).SetString(*text, 10); return n }
	slices.SortFunc(open, func(a, b types.Shard) int {
		return hash(a.HashKeyRange.StartingHashKey).Cmp(hash(b.HashKeyRange.StartingHashKey))
	})
	if len(open) == 1 || len(open) < most && rng.IntN(2) == 0 {
		s := open[rng.IntN(len(open))]
		middle := new(big.Int).Add(hash(s.HashKeyRange.StartingHashKey), hash(s.HashKeyRange.EndingHashKey))
		_, err = sdk.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &name, ShardToSplit: s.ShardId, NewStartingHashKey: aws.String(middle.Rsh(middle, 1).String())})
		return err
	}
	i := rng.IntN(len(open) - 1)
	_, err = sdk.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &name, ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId})
	return err
}

// follow reads the stream from its first shards on, children once all their parents are read, until all is read and all
// clients are done.
func (h *history) follow(ctx context.Context) []row {
	var rows []row
	at := map[string]*string{} // iterators of the shards that are being read
	done := map[string]bool{}
	begin := func(shard string) {
		for at[shard] == nil && ctx.Err() == nil {
			h.ready()
			at[shard], _ = iterator(ctx, h.sdk, h.name, shard) // again, if no answer comes
		}
	}
	begin("shardId-000000000000")
	begin("shardId-000000000001")
	for ctx.Err() == nil {
		last, quiet := h.over.Load(), true
		for shard, it := range at {
			h.ready()
			out, err := h.sdk.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(7)})
			if err != nil {
				if code(err) != "" {
					h.fault(fmt.Errorf("follow: %w", err))
					return rows
				}
				quiet = false
				continue
			}
			quiet = quiet && len(out.Records) == 0 && out.NextShardIterator != nil
			for _, r := range out.Records {
				rows = append(rows, row{shard, *r.SequenceNumber, *r.PartitionKey, string(r.Data)})
			}
			if at[shard] = out.NextShardIterator; at[shard] != nil {
				continue
			}
			delete(at, shard)
			done[shard] = true
			for _, child := range out.ChildShards {
				if !slices.ContainsFunc(child.ParentShards, func(p string) bool { return !done[p] }) {
					begin(*child.ShardId)
				}
			}
		}
		if last && quiet {
			return rows
		}
	}
	h.fault(fmt.Errorf("follow: %w", ctx.Err()))
	return rows
}

// check holds what was read against what was put, and looks for an order of all that was done.
func (h *history) check(rows []row) error {
	errs := h.wrong
	byShard, seen, keys := map[string][]string{}, map[string]bool{}, map[string]int{}
	ops := map[string][]porcupine.Operation{}
	for _, r := range rows {
		op := h.puts[r.id]
		_, text, _ := strings.Cut(r.id, " ")
		n, err := strconv.Atoi(text)
		switch before, ok := keys[r.key]; {
		case op == nil || err != nil:
			errs = append(errs, fmt.Errorf("%v was never put", r))
			continue
		case seen[r.id]:
			errs = append(errs, fmt.Errorf("%v is read twice", r))
		case ok && n <= before:
			errs = append(errs, fmt.Errorf("%v comes after %d of its key", r, before))
		case op.acked && (op.shard != r.shard || op.seq != r.seq):
			errs = append(errs, fmt.Errorf("%v was acknowledged as %v", r, *op))
		}
		keys[r.key], seen[r.id] = n, true
		end := op.end
		if !op.acked {
			end = never
		}
		ops[r.shard] = append(ops[r.shard], porcupine.Operation{Input: logOp{true, len(byShard[r.shard])}, Call: op.call, Return: end})
		byShard[r.shard] = append(byShard[r.shard], r.id)
	}
	for id, op := range h.puts {
		if op.acked && !seen[id] {
			errs = append(errs, fmt.Errorf("%s was acknowledged and is not read: %v", id, *op))
		}
	}
	for _, g := range h.gets {
		if all := byShard[g.shard]; len(g.ids) > len(all) || !slices.Equal(g.ids, all[:len(g.ids)]) {
			errs = append(errs, fmt.Errorf("%s was read as %v, and is %v", g.shard, g.ids, all))
		}
		ops[g.shard] = append(ops[g.shard], porcupine.Operation{Input: logOp{false, len(g.ids)}, Call: g.call, Return: g.end})
	}
	for shard, list := range ops {
		if !linearizable(shardModel, list) {
			errs = append(errs, fmt.Errorf("%s is not linearizable: %v", shard, list))
		}
	}
	for i, list := range h.sides {
		if !linearizable(streamModel, list) {
			errs = append(errs, fmt.Errorf("stream %d is not linearizable: %v", i, list))
		}
	}
	return errors.Join(errs...)
}
