package dynamodb

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
)

// Attributes of an item beside its columns. No column can have such a name.
const (
	markName    = "_penstock.seq"     // of the record that the item was last put from
	refusedName = ".refused"          // ends the name of the marks of rows that the table refused, beside a mark
	ordersName  = "_penstock.order"   // what order_by had in it
	deletedName = "_penstock.deleted" // true: the item is a tombstone
	expiresName = "_penstock.expires" // seconds since 1970: when a tombstone may go, where no column says so of items
)

// row is a row of a batch as the table is to have it.
type row struct {
	connectors.Reject // which row it is

	id      string // of its key: rows of one item have one
	key     map[string]types.AttributeValue
	mark    string // where its record stands, in the order of texts
	order   order
	deletes bool
	expires int64 // where it deletes: when the tombstone may go
	columns []value
}

// value is what a row has in a column that is not null and not of the key.
type value struct {
	name string
	kind kind
	types.AttributeValue
}

// kind is what becomes of a column's value.
type kind int

const (
	plain kind = iota
	counter
	set
)

// item is all of a row as an item has it.
func (r *row) item() map[string]types.AttributeValue {
	out := make(map[string]types.AttributeValue, len(r.columns)+4)
	for name, v := range r.key {
		out[name] = v
	}
	for _, v := range r.columns {
		out[v.name] = v.AttributeValue
	}
	return out
}

// markOf is where a row stands among those of its shard, as a text that is ordered as they are.
func markOf(r connectors.Reject) string {
	return strings.Repeat("0", core.MaxSequenceDigits-len(r.Seq)) + string(r.Seq) + fmt.Sprintf(".%010d", r.Ord)
}

// shardMark is the attribute that holds the mark of an item's rows of one shard.
func shardMark(pipeline, source string, shard core.ShardID) string {
	sum := sha256.Sum256([]byte(pipeline + "\x00" + source + "\x00" + string(shard)))
	return markName + "." + hex.EncodeToString(sum[:8])
}

// reader reads the rows of one batch.
type reader struct {
	cfg    Config
	table  *table
	batch  core.Batch
	source string
	// pipeline is part of the identity of rows: several may append to one table.
	pipeline string
	key      []column
	columns  []column
	deletes  *array.Boolean
	orders   func(i int) (order, error) // nil: no order_by, or null
}

// column is one that is not null throughout.
type column struct {
	name  string
	kind  kind
	arr   arrow.Array
	value attribute
}

// newReader binds the columns of a batch. An error is of a column's type.
func newReader(cfg Config, t *table, pipeline, source string, b core.Batch) (*reader, error) {
	r := &reader{cfg: cfg, table: t, batch: b, source: source, pipeline: pipeline, key: make([]column, len(cfg.Key.names()))}
	for c := core.HiddenColumns; c < int(b.Rows.NumCols()); c++ {
		if b.Rows.Column(c).DataType().ID() == arrow.NULL {
			continue
		}
		if err := r.bind(column{name: b.Rows.ColumnName(c), arr: b.Rows.Column(c)}); err != nil {
			return nil, fmt.Errorf("column %q: %w", b.Rows.ColumnName(c), err)
		}
	}
	return r, nil
}

func (r *reader) bind(c column) (err error) {
	if c.name == r.cfg.OrderBy && r.cfg.OrderBy != "" {
		if r.orders, err = orderOf(c.arr); err != nil {
			return err
		}
	}
	if c.name == r.cfg.DeleteWhen && r.cfg.DeleteWhen != "" {
		var ok bool
		if r.deletes, ok = c.arr.(*array.Boolean); !ok {
			return fmt.Errorf("delete_when: it is %s, and has to be bool", c.arr.DataType())
		}
		return nil
	}
	switch {
	case c.name == r.cfg.TTL && r.cfg.TTL != "":
		c.value, err = secondsOf(c.arr)
	case slices.Contains(r.cfg.Sets, c.name):
		c.kind = set
		c.value, err = setOf(c.arr)
	default:
		if slices.Contains(r.cfg.Counters, c.name) {
			c.kind = counter
		}
		c.value, err = attributeOf(c.arr)
	}
	if err != nil {
		return err
	}
	for i, name := range r.cfg.Key.names() {
		if name != c.name {
			continue
		}
		if r.cfg.Mode == modeAppend && name == r.cfg.Key.identity() {
			return connectors.Permanent(errors.New("the key has an attribute of this name, which mode: append makes: rename one of them"))
		}
		r.key[i] = c
		return nil
	}
	r.columns = append(r.columns, c)
	return nil
}

// read reads a row; an error is an *unfit.
func (r *reader) read(i int) (*row, error) {
	out := &row{Reject: r.which(i)}
	var err error
	if out.key, out.id, err = r.keyOf(i); err != nil {
		return nil, err
	}
	if r.orders != nil {
		if out.order, err = r.orders(i); err != nil {
			return nil, err
		}
	}
	out.mark = markOf(out.Reject)
	if r.deletes != nil && r.deletes.IsValid(i) && r.deletes.Value(i) {
		out.deletes = true
		out.expires = int64(r.batch.Arrivals().Value(i))/1000 + int64(time.Duration(r.cfg.Tombstones)/time.Second)
		return out, nil
	}
	size := 0
	for name, v := range out.key {
		size += len(name) + sizeOf(v)
	}
	for _, c := range r.columns {
		if c.arr.IsNull(i) {
			continue
		}
		v, err := c.value(i)
		if u := (*unfit)(nil); errors.As(err, &u) {
			return nil, &unfit{u.code, fmt.Sprintf("column %q: %s", c.name, u.reason)}
		} else if err != nil {
			return nil, err
		}
		if c.kind == counter && !isNumber(v) {
			return nil, &unfit{"counter", fmt.Sprintf("column %q: only a number can be added", c.name)}
		}
		if v == nil { // the empty set
			continue
		}
		size += len(c.name) + sizeOf(v)
		out.columns = append(out.columns, value{c.name, c.kind, v})
	}
	if size > maxItem {
		return nil, &unfit{"too_large", fmt.Sprintf("the item has at least %d bytes, more than DynamoDB's %d", size, maxItem)}
	}
	return out, nil
}

func (r *reader) which(i int) connectors.Reject {
	return connectors.Reject{Shard: r.batch.Shard, Seq: r.batch.SequenceOf(i), Ord: r.batch.Ords().Value(i)}
}

func isNumber(v types.AttributeValue) bool {
	_, ok := v.(*types.AttributeValueMemberN)
	return ok
}

// maxItem bounds an item.
const maxItem = 400 << 10

// secondsOf are times as DynamoDB removes items by: seconds since 1970.
func secondsOf(a arrow.Array) (attribute, error) {
	switch a := a.(type) {
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(i int) (types.AttributeValue, error) { return number(a.Value(i).ToTime(unit).Unix()), nil }, nil
	case *array.Date32:
		return func(i int) (types.AttributeValue, error) { return number(int64(a.Value(i)) * 86400), nil }, nil
	case *array.Int64:
		return func(i int) (types.AttributeValue, error) { return number(a.Value(i)), nil }, nil
	}
	return nil, fmt.Errorf("ttl: it is %s: cast it to timestamp, or to int64 as seconds since 1970", a.DataType())
}

// sizeOf is how many bytes a value has at least, as DynamoDB counts them.
func sizeOf(v types.AttributeValue) (n int) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberM:
		n = 3
		for name, e := range v.Value {
			n += 1 + len(name) + sizeOf(e)
		}
	case *types.AttributeValueMemberL:
		n = 3
		for _, e := range v.Value {
			n += 1 + sizeOf(e)
		}
	case *types.AttributeValueMemberSS:
		for _, e := range v.Value {
			n += len(e)
		}
	case *types.AttributeValueMemberBS:
		for _, e := range v.Value {
			n += len(e)
		}
	default:
		return 1
	}
	return n
}
