package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/internal/awserr"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Config says where the rows are.
type Config struct {
	Client   *dynamodb.Client // that tries once: what is tried again is the store's matter
	Table    string           // KCL's lease table of the application; it and the one beside it are made if they are not there
	Pipeline string           // whose rows they are: a table has one
	Looks    bool             // the tables are only looked at: they are neither made nor claimed
	// Unreachable is told of each try that failed and will be made again. May be nil.
	Unreachable func(attempt int, wait time.Duration, err error)
}

// Store is the rows of one pipeline. Its methods mean what those of control.Store do. While DynamoDB cannot be reached,
// reading waits for it, and a commit's outcome is unknown. It is safe for concurrent use.
type Store struct {
	client         *dynamodb.Client
	leases, others string // tables
	pipeline       string
	unreachable    func(int, time.Duration, error)

	mu   sync.Mutex // guards what follows
	last int64      // the largest version that was seen or made
	seen map[string]shardItem
}

var (
	_ lease.Store   = (*Store)(nil)
	_ lease.Bounded = (*Store)(nil)
)

// Open makes the tables that are not there. One that has the rows of another pipeline is refused. While DynamoDB cannot be
// reached it waits.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := newStore(cfg)
	if _, err := s.client.Options().Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("state in table %s: no credentials: give the AWS SDK some (environment, profile, role): %w", cfg.Table, err)
	}
	if cfg.Looks {
		return s, s.looks(ctx)
	}
	if err := s.makeTables(ctx); err != nil {
		return nil, err
	}
	return s, s.claim(ctx)
}

// looks checks that the tables have the pipeline.
func (s *Store) looks(ctx context.Context) error {
	r, ok, err := s.Get(ctx, whose)
	switch {
	case err != nil:
		return err
	case ok && string(r.Value) != s.pipeline:
		return connectors.Permanent(fmt.Errorf("table %s has the leases of pipeline %s, not of %s: %w", s.leases, r.Value, s.pipeline, core.ErrInvalid))
	}
	return nil
}

// Pipeline names the pipeline that has the table; empty: none yet. It makes no table.
func Pipeline(ctx context.Context, cfg Config) (string, error) {
	r, _, err := newStore(cfg).Get(ctx, whose)
	if awserr.Code(err) == codeNotFound {
		return "", nil
	}
	return string(r.Value), err
}

func newStore(cfg Config) *Store {
	s := &Store{
		client: cfg.Client, leases: cfg.Table, others: cfg.Table + beside, pipeline: cfg.Pipeline, unreachable: cfg.Unreachable,
		seen: map[string]shardItem{},
	}
	if s.unreachable == nil {
		s.unreachable = func(int, time.Duration, error) {}
	}
	return s
}

// whose is the key of the row that has the pipeline's name.
const whose = "pipeline"

// claim makes the tables the pipeline's. Two pipelines would move the same checkpoints.
func (s *Store) claim(ctx context.Context) error {
	for {
		r, ok, err := s.Get(ctx, whose)
		switch {
		case err != nil:
			return err
		case ok && string(r.Value) != s.pipeline:
			return connectors.Permanent(fmt.Errorf("table %s has the leases of pipeline %s: give %s another one: %w", s.leases, r.Value, s.pipeline, core.ErrInvalid))
		case ok:
			return nil
		}
		_, err = s.Commit(ctx, control.Txn{Checks: []control.Check{{Key: whose}}, Writes: []control.Write{{Key: whose, Value: []byte(s.pipeline)}}})
		if err != nil && !errors.Is(err, control.ErrConflict) && !errors.Is(err, control.ErrUnknown) && !errors.Is(err, core.ErrThrottled) {
			return err
		}
	}
}

// maxItems is how many items DynamoDB takes in one transaction.
const maxItems = 100

// Shards leaves room for a few rows beside, such as that of a plan.
func (s *Store) Shards() int { return maxItems - 4 }

// Get reads a row; false if there is none.
func (s *Store) Get(ctx context.Context, key string) (control.Row, bool, error) {
	in := &dynamodb.GetItemInput{TableName: &s.others, Key: otherKey(key), ConsistentRead: aws.Bool(true)}
	part, ofShard := s.partOf(key)
	if ofShard {
		in.TableName, in.Key = &s.leases, item{leaseKey: str(part.shard)}
	}
	var out *dynamodb.GetItemOutput
	err := s.ask(ctx, func() (err error) {
		out, err = s.client.GetItem(ctx, in)
		return err
	})
	if err != nil {
		return control.Row{}, false, wrap(err, "read row "+key)
	}
	if ofShard {
		r, ok := s.row(s.saw(part.shard, out.Item), part)
		return r, ok, nil
	}
	if out.Item == nil {
		return control.Row{}, false, nil
	}
	r, err := s.other(out.Item)
	return r, err == nil, err
}

// List reads the rows whose keys begin with prefix, in order of their keys. Many of them are read in several requests,
// between which rows can change.
func (s *Store) List(ctx context.Context, prefix string) (out []control.Row, err error) {
	scope := s.scopeOf(prefix)
	if scope.others {
		if out, err = s.listOthers(ctx, prefix); err != nil {
			return nil, wrap(err, "list rows "+prefix)
		}
	}
	if scope.shards {
		rows, err := s.listShards(ctx, prefix, scope)
		if err != nil {
			return nil, wrap(err, "list rows "+prefix)
		}
		out = append(out, rows...)
	}
	slices.SortFunc(out, func(a, b control.Row) int { return cmp.Compare(a.Key, b.Key) })
	return out, nil
}

// listOthers reads rows that are no part of a lease: of one part of the table, or of all, where the prefix names none.
func (s *Store) listOthers(ctx context.Context, prefix string) (out []control.Row, err error) {
	names, values := map[string]string{"#k": rowKey}, item{":k": str(prefix)}
	next := func(start item) (items []item, after item, err error) {
		out, err := s.client.Scan(ctx, &dynamodb.ScanInput{
			TableName: &s.others, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
			FilterExpression: aws.String("begins_with(#k, :k)"), ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
		if err != nil {
			return nil, nil, err
		}
		return out.Items, out.LastEvaluatedKey, nil
	}
	if part, whole := part(prefix); whole {
		names["#p"], values[":p"] = partKey, str(part)
		next = func(start item) (items []item, after item, err error) {
			out, err := s.client.Query(ctx, &dynamodb.QueryInput{
				TableName: &s.others, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start,
				KeyConditionExpression: aws.String("#p = :p AND begins_with(#k, :k)"), ExpressionAttributeNames: names, ExpressionAttributeValues: values,
			})
			if err != nil {
				return nil, nil, err
			}
			return out.Items, out.LastEvaluatedKey, nil
		}
	}
	items, err := s.pages(ctx, next)
	for _, i := range items {
		r, err := s.other(i)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, err
}

// listShards reads all leases, and makes rows of them.
func (s *Store) listShards(ctx context.Context, prefix string, scope scope) (out []control.Row, err error) {
	items, err := s.pages(ctx, func(start item) ([]item, item, error) {
		out, err := s.client.Scan(ctx, &dynamodb.ScanInput{TableName: &s.leases, ConsistentRead: aws.Bool(true), ExclusiveStartKey: start})
		if err != nil {
			return nil, nil, err
		}
		return out.Items, out.LastEvaluatedKey, nil
	})
	for _, i := range items {
		if kind := textOf(i, "entityType"); kind != "" && kind != entityLease { // what KCL has there beside leases
			continue
		}
		shard := textOf(i, leaseKey)
		c := s.saw(shard, i)
		for _, p := range scope.parts(shard, c) {
			if r, ok := s.row(c, p); ok && strings.HasPrefix(r.Key, prefix) {
				out = append(out, r)
			}
		}
	}
	return out, err
}

// pages reads a list to its end.
func (s *Store) pages(ctx context.Context, next func(start item) (items []item, after item, err error)) (all []item, err error) {
	var start item
	for {
		var items []item
		err := s.ask(ctx, func() (err error) {
			items, start, err = next(start)
			return err
		})
		all = append(all, items...)
		if err != nil || len(start) == 0 {
			return all, err
		}
	}
}

// version makes one for a commit.
func (s *Store) version() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, time.Now().UnixMicro()<<randomBits|rand.Int64N(1<<randomBits)) //nolint:gosec // that two clocks come apart
	return s.last
}

// randomBits are the low bits of a version; derived marks one that is a hash.
const (
	randomBits = 10
	derived    = 1 << 62
)

// noticed takes in a version that was made elsewhere.
func (s *Store) noticed(version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < derived {
		s.last = max(s.last, version)
	}
}

// Bounds of the wait between two tries.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = 5 * time.Second
)

// ask calls f, which changes nothing, until it is answered, refused, or ctx ends.
func (s *Store) ask(ctx context.Context, f func() error) error {
	return core.Asking{First: firstWait, Most: maxWait, Told: s.unreachable, Final: func(err error) bool {
		return cures.Refused(err) || connectors.IsPermanent(err)
	}}.Ask(ctx, f)
}

// part is the hash key of a row, or what a prefix has of it; whole says that it is all of it.
func part(key string) (string, bool) {
	n := 0
	for i, c := range key {
		if c == '/' {
			if n++; n == 2 {
				return key[:i], true
			}
		}
	}
	return key, false
}

func otherKey(key string) item {
	p, _ := part(key)
	return item{partKey: str(p), rowKey: str(key)}
}

// other is the row of an item of the second table.
func (s *Store) other(i item) (control.Row, error) {
	r := control.Row{Key: textOf(i, rowKey), Version: numberOf(i, "version")}
	s.noticed(r.Version)
	var err error
	if r.Value, err = valueOf(i, "value", "packed"); err != nil {
		return r, fmt.Errorf("read row %s: %w", r.Key, err)
	}
	return r, nil
}

// item is one of DynamoDB's.
type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func textOf(i item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func numberOf(i item, name string) int64 {
	if v, ok := i[name].(*types.AttributeValueMemberN); ok {
		n, _ := strconv.ParseInt(v.Value, 10, 64) // what is none is no version of ours
		return n
	}
	return 0
}
