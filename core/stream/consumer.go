package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// Bounds of the consumers of a stream, those of Kinesis Data Streams.
const (
	MaxConsumers = 20
	MaxAdvantage = 50 // of an on-demand stream, while the account's commitment holds
	MaxCreating  = 5  // that are Creating at one time
)

// What a caller should do with each is its first words.
var (
	// ErrNoConsumer: check the name. The stream has no such consumer.
	ErrNoConsumer = errors.New("no such consumer")
	// ErrConsumerExists: choose another name, or use the consumer that is there.
	ErrConsumerExists = errors.New("consumer exists")
	// ErrConsumers: deregister them first. The stream has consumers.
	ErrConsumers = errors.New("stream has consumers")
)

// Consumer is a reader that is registered with a stream: a row of the control store of its own, under the stream's
// generated id. It goes with its stream.
type Consumer struct {
	Name    string            `json:"name"`
	Created time.Time         `json:"created"` // whole seconds; never those of another one that had its name before
	Tags    map[string]string `json:"tags,omitempty"`
	Policy  string            `json:"policy,omitempty"` // who else may use it: a document of AWS's
	Phase   Status            `json:"phase,omitempty"`
	Since   time.Time         `json:"since,omitzero"` // when the phase began
	Until   time.Time         `json:"until,omitzero"` // when it ends
}

// Status is the consumer's at a time. One that was Deleting is gone when that ends.
func (c Consumer) Status(now time.Time) Status {
	if c.Phase != "" && within(now, c.Since, c.Until) {
		return c.Phase
	}
	return Active
}

func (c Consumer) gone(now time.Time) bool {
	return c.Phase == Deleting && !within(now, c.Since, c.Until)
}

const consumerPrefix = "consumers/"

func consumersOf(streamID string) string { return consumerPrefix + streamID + "/" }

func consumerKey(streamID, name string) string { return consumersOf(streamID) + name }

func (c Consumer) write(key string) control.Write {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and times always marshal
	}
	return control.Write{Key: key, Value: b}
}

func decodeConsumer(row control.Row) (Consumer, error) {
	var c Consumer
	if err := json.Unmarshal(row.Value, &c); err != nil {
		return c, fmt.Errorf("read row %s: %w", row.Key, err)
	}
	return c, nil
}

// Consumers are the stream's, in order of their names.
func (s *Stream) Consumers(ctx context.Context) ([]Consumer, error) {
	rows, err := s.store.control.List(ctx, consumersOf(s.id))
	if err != nil {
		return nil, fmt.Errorf("list the consumers of stream %s: %w", s.name, err)
	}
	now, out := time.Now(), make([]Consumer, 0, len(rows))
	for _, row := range rows {
		c, err := decodeConsumer(row)
		if err != nil {
			return nil, err
		}
		if !c.gone(now) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Consumer is the stream's of a name; ErrNoConsumer.
func (s *Stream) Consumer(ctx context.Context, name string) (Consumer, error) {
	_, c, err := s.consumer(ctx, name)
	return c, err
}

func (s *Stream) consumer(ctx context.Context, name string) (control.Row, Consumer, error) {
	row, ok, err := s.store.control.Get(ctx, consumerKey(s.id, name))
	if err != nil {
		return row, Consumer{}, fmt.Errorf("read consumer %s of stream %s: %w", name, s.name, err)
	}
	var c Consumer
	if ok {
		c, err = decodeConsumer(row)
	}
	if err == nil && (!ok || c.gone(time.Now())) {
		err = fmt.Errorf("consumer %s of stream %s: %w", name, s.name, ErrNoConsumer)
	}
	return row, c, err
}

// Register makes a consumer, which is Creating for delay. ErrConsumerExists; ErrLimit.
func (s *Stream) Register(ctx context.Context, name string, tags map[string]string, delay time.Duration) (Consumer, error) {
	if err := core.StreamName(name).Validate(); err != nil { // the rules for names are the same
		return Consumer{}, fmt.Errorf("a consumer's name: %w", err)
	}
	if err := CheckTags(tags); err != nil {
		return Consumer{}, err
	}
	commitment, err := s.store.Commitment(ctx)
	if err != nil {
		return Consumer{}, err
	}
	var made Consumer
	err = s.consumers(ctx, func(info *Info, have []Consumer, now time.Time) ([]control.Write, error) {
		creating := 0
		for _, c := range have {
			if c.Status(now) == Creating {
				creating++
			}
			if c.Name == name {
				return nil, fmt.Errorf("consumer %s of stream %s: %w", name, s.name, ErrConsumerExists)
			}
		}
		most := MaxConsumers
		if info.Mode == OnDemand && commitment.Active(now) {
			most = MaxAdvantage
		}
		if len(have) >= most {
			return nil, tooMany("%d consumers can be registered with it", most)
		}
		if creating >= MaxCreating {
			return nil, tooMany("%d consumers can be CREATING at one time", MaxCreating)
		}
		second := max(now.Unix(), info.Deregistered+1)
		made = Consumer{Name: name, Created: time.Unix(second, 0).UTC(), Tags: tags}
		if delay > 0 {
			made.Phase, made.Since, made.Until = Creating, now.UTC(), now.Add(delay).UTC()
		}
		return []control.Write{made.write(consumerKey(s.id, name))}, nil
	})
	return made, err
}

// Deregister removes a consumer, which is Deleting for delay. ErrNoConsumer; ErrBusy while it is not Active.
func (s *Stream) Deregister(ctx context.Context, name string, delay time.Duration) error {
	return s.consumers(ctx, func(info *Info, have []Consumer, now time.Time) ([]control.Write, error) {
		for _, c := range have {
			if c.Name != name {
				continue
			}
			if is := c.Status(now); is != Active {
				return nil, fmt.Errorf("consumer %s of stream %s is %s: %w", name, s.name, is, ErrBusy)
			}
			info.Deregistered = max(info.Deregistered, c.Created.Unix())
			if delay <= 0 {
				return []control.Write{{Key: consumerKey(s.id, name)}}, nil
			}
			c.Phase, c.Since, c.Until = Deleting, now.UTC(), now.Add(delay).UTC()
			return []control.Write{c.write(consumerKey(s.id, name))}, nil
		}
		return nil, fmt.Errorf("consumer %s of stream %s: %w", name, s.name, ErrNoConsumer)
	})
}

// consumers changes which consumers a stream has. Rows of consumers that are gone are taken away.
func (s *Stream) consumers(ctx context.Context, change func(*Info, []Consumer, time.Time) ([]control.Write, error)) error {
	return s.store.updateWith(ctx, s.name, func(info *Info) ([]control.Write, error) {
		if info.ID != s.id || info.Phase == Deleting {
			return nil, fmt.Errorf("stream %s: %w", s.name, ErrNotFound)
		}
		rows, err := s.store.control.List(ctx, consumersOf(s.id))
		if err != nil {
			return nil, fmt.Errorf("list the consumers of stream %s: %w", s.name, err)
		}
		now := time.Now()
		var have []Consumer
		away := map[string]bool{}
		for _, r := range rows {
			c, err := decodeConsumer(r)
			if err != nil {
				return nil, err
			}
			if c.gone(now) {
				away[r.Key] = true
			} else {
				have = append(have, c)
			}
		}
		writes, err := change(info, have, now)
		if err != nil {
			return nil, err
		}
		for _, w := range writes {
			delete(away, w.Key)
		}
		for key := range away {
			writes = append(writes, control.Write{Key: key})
		}
		return writes, nil
	})
}

// belongings are writes that take away the rows which go with a stream. Whoever commits them checks that the stream's
// row is as it was before the call.
func (s *Store) belongings(ctx context.Context, streamID string) ([]control.Write, error) {
	rows, err := s.control.List(ctx, consumersOf(streamID))
	if err != nil {
		return nil, fmt.Errorf("list the consumers of stream %s: %w", streamID, err)
	}
	keys, err := s.control.List(ctx, dataKeysOf(streamID))
	if err != nil {
		return nil, fmt.Errorf("list the data keys of stream %s: %w", streamID, err)
	}
	out := make([]control.Write, 0, len(rows)+len(keys))
	for _, r := range append(rows, keys...) {
		out = append(out, control.Write{Key: r.Key})
	}
	return out, nil
}
