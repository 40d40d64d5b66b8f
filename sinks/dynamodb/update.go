package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// updates gathers what the rows of each key and shard change of an item, as one update, or with single as one for each row.
type updates struct {
	w      *writer
	single bool
	of     map[string][]*update
}

// update is what rows of one shard change of one item.
type update struct {
	w     *writer
	key   map[string]types.AttributeValue
	id    string
	shard core.ShardID
	rows  []connectors.Reject
	marks []string // of rows
	first string   // the first of them
	last  string   // the last of them
	// refused are the marks of the rows before this one that the table refused, of single ones. The item keeps them beside the
	// mark of a later row: who finds that must not take them for made.
	refused *[]string

	cleared bool // a row deleted the item; what follows is of those after it
	deleted bool // none came after it
	expires int64
	values  map[string]types.AttributeValue // of plain columns and sets
	sets    map[string]bool                 // which of them are sets
	sums    map[string]*big.Rat             // of counters
}

func (u *updates) add(r *row) error {
	of := r.id + "\x00" + string(r.Shard)
	had := u.of[of]
	if len(had) == 0 || u.single {
		refused := new([]string)
		if len(had) > 0 {
			refused = had[0].refused
		}
		had = append(had, &update{w: u.w, key: r.key, id: r.id, shard: r.Shard, first: r.mark, refused: refused})
		had[len(had)-1].clear()
		u.of[of] = had
	}
	return had[len(had)-1].take(r)
}

func (u *updates) changes() [][]change {
	out := make([][]change, 0, len(u.of))
	for _, of := range u.of {
		var changes []change
		for _, up := range of {
			changes = append(changes, change{up.id, up.rows, up.send})
		}
		out = append(out, changes)
	}
	return out
}

func (u *update) clear() {
	u.values, u.sets, u.sums = map[string]types.AttributeValue{}, map[string]bool{}, map[string]*big.Rat{}
}

// take adds what a row changes to what those before it did.
func (u *update) take(r *row) error {
	u.rows, u.marks, u.last = append(u.rows, r.Reject), append(u.marks, r.mark), r.mark
	if u.deleted = r.deletes; r.deletes {
		u.clear()
		u.cleared, u.expires = true, r.expires
		return nil
	}
	for _, v := range r.columns {
		var err error
		switch v.kind {
		case plain:
			u.values[v.name] = v.AttributeValue
		case set:
			u.sets[v.name] = true
			u.values[v.name], err = union(u.values[v.name], v.AttributeValue)
		case counter:
			n, ok := new(big.Rat).SetString(v.AttributeValue.(*types.AttributeValueMemberN).Value)
			if !ok {
				return fmt.Errorf("column %q: %v is no number", v.name, v.AttributeValue)
			}
			if had := u.sums[v.name]; had != nil {
				n.Add(n, had)
			}
			u.sums[v.name] = n
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// send makes the change once, whoever else makes it, and however often. A row's mark says whether it was made.
func (u *update) send(ctx context.Context) error {
	err := u.make(ctx)
	if code, _ := ofItem(err); code != "" {
		*u.refused = append(*u.refused, u.last)
	}
	return err
}

func (u *update) make(ctx context.Context) error {
	mark := shardMark(u.w.plan.Pipeline, u.w.sourceOf(u.shard), u.shard)
	revive := false
	for range 3 { // a tombstone may come and go between two looks
		err := u.try(ctx, mark, revive)
		var failed *types.ConditionalCheckFailedException
		if !errors.As(err, &failed) {
			return err
		}
		item := failed.Item
		if len(item) == 0 { // not every server returns it
			if item, err = u.item(ctx); err != nil {
				return err
			}
		}
		if at, ok := item[mark].(*types.AttributeValueMemberS); ok {
			switch {
			case at.Value >= u.last:
				return u.made(item[mark+refusedName])
			case at.Value >= u.first:
				return errPartly
			}
		}
		_, revive = item[deletedName]
	}
	return errors.New("the item changes with every look at it")
}

// made is the error of a change that an item has the mark of, where the table refused rows of it.
func (u *update) made(refused types.AttributeValue) error {
	set, ok := refused.(*types.AttributeValueMemberSS)
	if !ok || !slices.ContainsFunc(u.marks, func(mark string) bool { return slices.Contains(set.Value, mark) }) {
		return nil
	}
	if len(u.marks) > 1 {
		return errPartly
	}
	return errRefusedBefore
}

// item is the item as it is.
func (u *update) item(ctx context.Context) (map[string]types.AttributeValue, error) {
	consistent := true
	out, err := u.w.sink.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &u.w.sink.cfg.Table, Key: u.key, ConsistentRead: &consistent})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// try makes the change if no row of it is in the item. revive says that the item is a tombstone, which another pipeline may have
// made; else it must not be one, unless that does not matter.
func (u *update) try(ctx context.Context, mark string, revive bool) error {
	e := newExpression()
	e.assign(mark, text(u.last))
	if len(*u.refused) > 0 {
		e.assign(mark+refusedName, &types.AttributeValueMemberSS{Value: *u.refused})
	} else {
		e.remove = append(e.remove, e.name(mark+refusedName))
	}
	condition := "(attribute_not_exists(" + e.name(mark) + ") OR " + e.name(mark) + " < " + e.value(text(u.first)) + ")"
	if !u.cleared {
		is := map[bool]string{true: " AND attribute_exists(", false: " AND attribute_not_exists("}[revive]
		condition += is + e.name(deletedName) + ")"
	}
	u.express(e, revive)
	text := e.update()
	_, err := u.w.sink.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &u.w.sink.cfg.Table, Key: u.key, UpdateExpression: &text, ConditionExpression: &condition,
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// express writes what changes.
func (u *update) express(e *expression, revive bool) {
	kept := map[string]bool{}
	for name, v := range u.values {
		kept[name] = true
		if u.sets[name] && !u.cleared {
			e.add = append(e.add, e.name(name)+" "+e.value(v))
		} else {
			e.assign(name, v)
		}
	}
	for name, sum := range u.sums {
		kept[name] = true
		v := &types.AttributeValueMemberN{Value: decimal(sum)}
		if u.cleared {
			e.assign(name, v)
		} else {
			e.add = append(e.add, e.name(name)+" "+e.value(v))
		}
	}
	expires := u.w.sink.expires()
	if u.deleted {
		kept[deletedName], kept[expires] = true, true
		e.assign(deletedName, &types.AttributeValueMemberBOOL{Value: true})
		e.assign(expires, number(u.expires))
	}
	var gone []string
	if u.cleared || revive {
		gone = append(gone, deletedName, expires)
	}
	if u.cleared {
		gone = append(gone, u.w.columns()...)
	}
	for _, name := range gone {
		if !kept[name] {
			kept[name] = true
			e.remove = append(e.remove, e.name(name))
		}
	}
}

// columns are those of the flush that an item has as attributes, but for its key.
func (w *writer) columns() (out []string) {
	for _, f := range core.VisibleFields(w.schema) {
		if f.Name != w.sink.cfg.DeleteWhen && f.Name != w.sink.cfg.Key.Partition && f.Name != w.sink.cfg.Key.Sort {
			out = append(out, f.Name)
		}
	}
	return out
}

// decimal writes a sum of decimals with all its digits.
func decimal(r *big.Rat) string {
	digits, _ := r.FloatPrec() // it is exact: what was added up are decimals
	return r.FloatString(digits)
}
