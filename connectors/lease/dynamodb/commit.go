package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
)

// tries bounds how often a transaction that met another one, or a limit, is tried.
const tries = 10

// Commit makes t happen and returns the version of the rows it wrote. Errors mean what those of control.Store.Commit do; one
// that wraps core.ErrThrottled says that nothing was written. A transaction is of a hundred items at most.
func (s *Store) Commit(ctx context.Context, t control.Txn) (int64, error) {
	x, err := s.transaction(t)
	if err != nil {
		return 0, err
	}
	for attempt := 1; ; attempt++ {
		err := s.send(ctx, x.items)
		if err == nil {
			s.did(x)
			return x.version, nil
		}
		if attempt == tries || !crowded(outcome(err)) || core.Pause(ctx, core.Jitter(time.Duration(attempt*attempt)*10*time.Millisecond)) != nil {
			if err = outcome(err); cures.Refused(err) {
				err = wrap(err, fmt.Sprintf("commit %d rows", len(t.Writes)))
			}
			return 0, err
		}
	}
}

// transaction is a control.Txn as DynamoDB has it.
type transaction struct {
	version int64
	items   []types.TransactWriteItem
	changes map[string]*change // by shard
}

// change is what becomes of a shard's item.
type change struct {
	expression
	shard    string
	lease    *owned
	progress *moved
	owner    string   // with lease
	at       extended // with progress
	parents  []core.ShardID
}

// transaction builds what is sent. It fails with control.ErrConflict where a row is known to be another.
func (s *Store) transaction(t control.Txn) (*transaction, error) {
	x := &transaction{version: s.version(), changes: map[string]*change{}}
	var order []string // of shards
	of := func(shard string) *change {
		if x.changes[shard] == nil {
			x.changes[shard] = &change{shard: shard}
			order = append(order, shard)
		}
		return x.changes[shard]
	}
	checks := map[string]int64{}
	for _, c := range t.Checks {
		p, ok := s.partOf(c.Key)
		if !ok {
			checks[c.Key] = c.Version
		} else if err := s.demand(of(p.shard), p, c.Version); err != nil {
			return nil, err
		}
	}
	for _, w := range t.Writes {
		p, ok := s.partOf(w.Key)
		if ok {
			if err := s.write(of(p.shard), p, w.Value, x.version); err != nil {
				return nil, err
			}
			continue
		}
		version, checked := checks[w.Key]
		delete(checks, w.Key)
		i, err := s.otherWrite(w, x.version, version, checked)
		if err != nil {
			return nil, err
		}
		x.items = append(x.items, i)
	}
	for key, version := range checks {
		e := rowIs(version)
		x.items = append(x.items, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &s.others, Key: otherKey(key), ConditionExpression: e.condition(), ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}})
	}
	for _, shard := range order {
		if c := x.changes[shard]; c.lease != nil || c.progress != nil || len(c.conditions) > 0 {
			x.items = append(x.items, s.shardWrite(c))
		}
	}
	if len(x.items) > maxItems {
		return nil, connectors.Permanent(fmt.Errorf("a transaction of %d items: DynamoDB takes %d: %w", len(x.items), maxItems, core.ErrInvalid))
	}
	return x, nil
}

// rowIs demands that a row of the second table has a version; 0: that it is not there.
func rowIs(version int64) (e expression) {
	if version == 0 {
		e.absent(rowKey)
	} else {
		e.is("version", num(version))
	}
	return e
}

func (s *Store) otherWrite(w control.Write, version, old int64, checked bool) (out types.TransactWriteItem, err error) {
	var e expression
	if checked {
		e = rowIs(old)
	}
	if w.Value == nil {
		out.Delete = &types.Delete{
			TableName: &s.others, Key: otherKey(w.Key), ConditionExpression: e.condition(), ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		}
		return out, nil
	}
	name, value, err := pack(w.Key, w.Value, "value", "packed")
	if err != nil {
		return out, err
	}
	i := otherKey(w.Key)
	i["version"], i[name] = num(version), value
	out.Put = &types.Put{
		TableName: &s.others, Item: i, ConditionExpression: e.condition(), ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	return out, nil
}

// last is a shard's item as it was last seen.
func (s *Store) lastSeen(shard string) shardItem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[shard]
}

// demand adds that a row is what was last seen of it, where that has the version.
func (s *Store) demand(c *change, p rowPart, version int64) error {
	was := s.lastSeen(p.shard)
	if was.version(p) != version {
		return fmt.Errorf("%s: %w", p.key, control.ErrConflict)
	}
	switch {
	case !was.there:
		c.absent(leaseKey)
	case p.lease:
		c.equal(attrCounter, num(was.counter), was.counter == 0)
		c.equal(attrOwner, str(was.owner), was.owner == "")
		c.equal(attrLeaseVersion, num(was.lease.version), was.lease.version == 0)
		if was.owner == "" { // whether the row is there depends on it
			c.equal(attrCheckpoint, str(was.at.number), was.at.number == "")
		}
	default:
		c.equal(attrCheckpoint, str(was.at.number), was.at.number == "")
		c.equal(attrSub, num(was.at.sub), was.at.sub == 0)
		c.equal(attrProgressVersion, num(was.progress.version), was.progress.version == 0)
	}
	return nil
}

// write adds that a row is written, or deleted.
func (s *Store) write(c *change, p rowPart, value []byte, version int64) error {
	was := s.lastSeen(p.shard)
	switch {
	case value == nil && !was.there:
	case value == nil && !p.lease: // KCL's checkpoint stays
		if c.progress == nil && was.progress.of == p.of { // else it is another incarnation's by now
			c.progress, c.at = &moved{}, was.at
		}
	case p.lease:
		var st lease.State
		if value != nil {
			if err := json.Unmarshal(value, &st); err != nil {
				return fmt.Errorf("write row %s: %w", p.key, err)
			}
		}
		c.owner = st.Owner
		c.lease = &owned{string(value), version, st.Owner, was.counter + 1}
	default:
		var prog connectors.Progress
		if err := json.Unmarshal(value, &prog); err != nil {
			return fmt.Errorf("write row %s: %w", p.key, err)
		}
		c.at = extended{shardEnd, 0}
		if !prog.Ended {
			c.at.number, c.at.sub = kinesis.Extended(prog.Checkpoint)
		}
		c.progress, c.parents = &moved{value, version, p.of, c.at}, prog.Parents
	}
	return nil
}

// shardWrite is the change of a shard's item, or the check of it.
func (s *Store) shardWrite(c *change) (out types.TransactWriteItem) {
	key := item{leaseKey: str(c.shard)}
	if c.lease == nil && c.progress == nil {
		out.ConditionCheck = &types.ConditionCheck{
			TableName: &s.leases, Key: key, ConditionExpression: c.condition(), ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		}
		return out
	}
	c.setOnce("entityType", str(entityLease))
	if c.lease != nil {
		c.setLease()
	} else {
		c.setOnce(attrCounter, num(0))
	}
	if c.progress != nil {
		c.setProgress()
	} else {
		c.setOnce(attrCheckpoint, str(trimHorizon))
		c.setOnce(attrSub, num(0))
		c.setOnce("ownerSwitchesSinceCheckpoint", num(0))
	}
	out.Update = &types.Update{
		TableName: &s.leases, Key: key, UpdateExpression: c.update(), ConditionExpression: c.condition(),
		ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
	}
	return out
}

func (c *change) setLease() {
	c.set(attrCounter, num(c.lease.counter))
	c.set(attrLeaseCounter, num(c.lease.counter))
	c.set(attrLeaseVersion, num(c.lease.version))
	c.setUnless(attrOwner, str(c.owner), c.owner == "") // an index of KCL's is by it
	c.setUnless(attrLeaseOwner, str(c.owner), c.owner == "")
	c.setUnless(attrLease, str(c.lease.value), c.lease.value == "")
	c.remove("checkpointOwner") // that of a lease that KCL was about to hand over
}

func (c *change) setProgress() {
	c.set(attrCheckpoint, str(c.at.number))
	c.set(attrSub, num(c.at.sub))
	c.set("ownerSwitchesSinceCheckpoint", num(0))
	for _, pending := range []string{"pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"} {
		c.remove(pending)
	}
	if len(c.parents) > 0 {
		parents := make([]string, len(c.parents))
		for i, p := range c.parents {
			parents[i] = string(p)
		}
		c.set("parentShardId", &types.AttributeValueMemberSS{Value: parents})
	}
	none := c.progress.version == 0
	c.setUnless(attrOurCheckpoint, str(c.at.number), none)
	c.setUnless(attrOurSub, num(c.at.sub), none)
	c.setUnless(attrProgressVersion, num(c.progress.version), none)
	c.setUnless(attrProgressOf, str(c.progress.of), none)
	name, value, err := pack("", c.progress.value, attrProgress, attrProgressPacked)
	if err != nil {
		panic(err) // a row of progress is bounded
	}
	for _, a := range []string{attrProgress, attrProgressPacked} {
		c.setUnless(a, value, none || a != name)
	}
}

// send sends a transaction; one of a single item as what it is, which costs half.
func (s *Store) send(ctx context.Context, items []types.TransactWriteItem) (err error) {
	if len(items) == 1 {
		switch one := items[0]; {
		case one.Put != nil:
			_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
				TableName: one.Put.TableName, Item: one.Put.Item, ConditionExpression: one.Put.ConditionExpression,
				ExpressionAttributeNames: one.Put.ExpressionAttributeNames, ExpressionAttributeValues: one.Put.ExpressionAttributeValues,
			})
			return err
		case one.Update != nil:
			_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: one.Update.TableName, Key: one.Update.Key, UpdateExpression: one.Update.UpdateExpression, ConditionExpression: one.Update.ConditionExpression,
				ExpressionAttributeNames: one.Update.ExpressionAttributeNames, ExpressionAttributeValues: one.Update.ExpressionAttributeValues,
			})
			return err
		}
	}
	if len(items) == 0 {
		return nil
	}
	_, err = s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items})
	return err
}

// did takes in what was committed.
func (s *Store) did(x *transaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for shard, c := range x.changes {
		now := s.seen[shard]
		if c.lease != nil {
			now.lease, now.owner, now.counter, now.there = *c.lease, c.owner, c.lease.counter, true
		}
		if c.progress != nil {
			now.progress, now.at, now.there = *c.progress, c.at, true
		}
		if now.there && now.at.number == "" {
			now.at.number = trimHorizon
		}
		s.seen[shard] = now
	}
}
