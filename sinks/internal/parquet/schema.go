package parquet

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/parquet-go"

	"github.com/penstock/penstock/core"
)

// group is a Parquet group that keeps the order of its fields; parquet-go's own sorts them by name.
type group struct {
	parquet.Group
	fields []parquet.Field
}

// Fields are those of the group, in the order of the Arrow schema.
func (g *group) Fields() []parquet.Field { return g.fields }

func newGroup(names []string, nodes []parquet.Node) *group {
	g := &group{Group: make(parquet.Group, len(names))}
	at := map[string]int{}
	for i, name := range names {
		g.Group[name] = nodes[i]
		at[name] = i
	}
	g.fields = make([]parquet.Field, len(names))
	for _, f := range g.Group.Fields() {
		g.fields[at[f.Name()]] = f
	}
	return g
}

// Check returns an error that names the first visible column of s that Parquet cannot hold, and the cure.
func Check(s *arrow.Schema) error {
	_, err := nodeOf(s)
	return err
}

func nodeOf(s *arrow.Schema) (parquet.Node, error) {
	visible := core.VisibleFields(s)
	if len(visible) == 0 {
		return nil, fmt.Errorf("there is no column to write; keep at least one: %w", core.ErrInvalid)
	}
	return groupOf("", visible)
}

func groupOf(path string, fields []arrow.Field) (*group, error) {
	var names []string
	var nodes []parquet.Node
	seen := map[string]bool{}
	for _, f := range fields {
		at := strings.TrimPrefix(path+"."+f.Name, ".")
		if f.Name == "" || seen[f.Name] {
			return nil, fmt.Errorf("column %q: a name is empty or there twice, rename it: %w", at, core.ErrInvalid)
		}
		seen[f.Name] = true
		n, err := typeOf(at, f.Type)
		if err != nil {
			return nil, err
		}
		names, nodes = append(names, f.Name), append(nodes, parquet.Optional(n))
	}
	return newGroup(names, nodes), nil
}

// typeOf is the required form of a type; the caller makes it optional, as all columns are.
func typeOf(path string, t arrow.DataType) (parquet.Node, error) {
	switch t := t.(type) {
	case *arrow.StructType:
		if t.NumFields() == 0 {
			return nil, fmt.Errorf("column %q is a struct without fields, which Parquet cannot hold; drop it: %w", path, core.ErrInvalid)
		}
		return groupOf(path, t.Fields())
	case *arrow.ListType:
		return listOf(path, t.Elem())
	case *arrow.LargeListType:
		return listOf(path, t.Elem())
	}
	n := scalar(t)
	if n == nil {
		return nil, fmt.Errorf("column %q has type %s, which this sink does not write; cast it: %w", path, t, core.ErrInvalid)
	}
	return n, nil
}

func listOf(path string, elem arrow.DataType) (parquet.Node, error) {
	n, err := typeOf(path+".element", elem)
	if err != nil {
		return nil, err
	}
	return parquet.List(parquet.Optional(n)), nil
}

func scalar(t arrow.DataType) parquet.Node {
	switch t.ID() { //nolint:exhaustive // nil for the rest
	case arrow.BOOL:
		return parquet.Leaf(parquet.BooleanType)
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		return parquet.Int(t.(arrow.FixedWidthDataType).BitWidth())
	case arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return parquet.Uint(t.(arrow.FixedWidthDataType).BitWidth())
	case arrow.FLOAT32:
		return parquet.Leaf(parquet.FloatType)
	case arrow.FLOAT64:
		return parquet.Leaf(parquet.DoubleType)
	case arrow.STRING, arrow.LARGE_STRING, arrow.NULL: // a column that was never anything but null is read as text
		return parquet.String()
	case arrow.BINARY, arrow.LARGE_BINARY:
		return parquet.Leaf(parquet.ByteArrayType)
	case arrow.DATE32:
		return parquet.Date()
	case arrow.TIMESTAMP:
		return timestamp(t.(*arrow.TimestampType))
	}
	return nil
}

func timestamp(t *arrow.TimestampType) parquet.Node {
	unit := parquet.Millisecond // Parquet has no seconds
	switch t.Unit {
	case arrow.Second, arrow.Millisecond:
	case arrow.Microsecond:
		unit = parquet.Microsecond
	case arrow.Nanosecond:
		unit = parquet.Nanosecond
	}
	return parquet.TimestampAdjusted(unit, t.TimeZone != "")
}
