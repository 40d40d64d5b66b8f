package lake

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/sinks/internal/ndjson"
	"github.com/penstock/penstock/sinks/internal/parquet"
	"github.com/penstock/penstock/sinks/internal/prefix"
)

// Layout is the part of a sink's configuration that says how files are laid out.
type Layout struct {
	Prefix         string              `yaml:"prefix" json:"prefix,omitempty" jsonschema:"description=Firehose prefix expression such as dt=!{timestamp:yyyy-MM-dd}/. Default: none."`
	PartitionBy    string              `yaml:"partition_by" json:"partition_by,omitempty" jsonschema:"description=The column that !{timestamp} is taken from. Default: each row's arrival time."`
	PartitionKeys  map[string]string   `yaml:"partition_keys" json:"partition_keys,omitempty" jsonschema:"description=Columns that !{partitionKeyFromQuery:name} is taken from."`
	Format         Format              `yaml:"format" json:"format,omitempty" jsonschema:"description=parquet or ndjson. Default parquet."`
	Late           *Late               `yaml:"late" json:"late,omitempty" jsonschema:"description=What becomes of rows that arrive long after their partition_by time. Default: they go where their time says."`
	TargetFileSize connectors.ByteSize `yaml:"target_file_size" json:"target_file_size,omitempty" jsonschema:"description=A file that reaches it ends the flush. Default: no target."`
}

// Format is how files are encoded: one of the two.
type Format struct {
	Parquet *parquet.Config `yaml:"parquet" json:"parquet,omitempty"`
	NDJSON  *ndjson.Config  `yaml:"ndjson" json:"ndjson,omitempty"`
}

// Late is the rule for rows that arrive long after the time they are partitioned by. How late a row is follows from the
// row alone (its arrival less its time), so a plan made again decides alike.
type Late struct {
	After connectors.Duration `yaml:"after" json:"after" jsonschema:"required,description=A row that arrived later than this after its time is late\\, such as 6h."`
	To    string              `yaml:"to" json:"to" jsonschema:"required,enum=own_file,enum=dead_letter,description=own_file: a file apart in the same partition\\, named as part 1. dead_letter: refused with code late."`
}

const (
	lateOwnFile    = "own_file"
	lateDeadLetter = "dead_letter"
)

// is reports whether a row is late; times in milliseconds.
func (l *Late) is(arrival, at int64) bool {
	return l != nil && arrival-at > time.Duration(l.After).Milliseconds()
}

func (l *Late) validate(partitionBy string) error {
	switch {
	case l == nil:
		return nil
	case partitionBy == "":
		return fmt.Errorf("late: needs partition_by, the column with a row's time: %w", core.ErrInvalid)
	case l.After <= 0:
		return fmt.Errorf("late: after: say how long after its time a row is late, such as 6h: %w", core.ErrInvalid)
	case l.To != lateOwnFile && l.To != lateDeadLetter:
		return fmt.Errorf("late: to: want own_file or dead_letter: %w", core.ErrInvalid)
	}
	return nil
}

// Target is the size at which a file ends the flush.
func (l Layout) Target() connectors.ByteSize { return l.TargetFileSize }

// Columns are those whose types matter to the layout.
func (l Layout) Columns() []string {
	var out []string
	if l.PartitionBy != "" {
		out = append(out, l.PartitionBy)
	}
	for _, c := range l.PartitionKeys {
		out = append(out, c)
	}
	return out
}

// Validate returns all that is wrong with l.
func (l Layout) Validate() error {
	return errors.Join(l.validatePrefix(), l.Late.validate(l.PartitionBy), l.Format.validate())
}

func (l Layout) validatePrefix() error {
	e, err := prefix.Parse(l.Prefix)
	if err != nil {
		return err
	}
	for _, k := range e.Keys() {
		if l.PartitionKeys[k] == "" {
			return fmt.Errorf("prefix names the partition key %s, which partition_keys does not have: add partition_keys: {%s: <column>}: %w", k, k, core.ErrInvalid)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.PartitionKeys)) {
		if !slices.Contains(e.Keys(), k) {
			return fmt.Errorf("partition_keys: the prefix does not name %s, so nothing is partitioned by it: write '%s=!{partitionKeyFromQuery:%s}/' into the prefix: %w", k, k, k, core.ErrInvalid)
		}
	}
	if l.PartitionBy != "" && l.Late == nil && e.Unit() == 0 {
		return fmt.Errorf("partition_by: it is what !{timestamp:...} stands for, and the prefix has none. For a time, write 'dt=!{timestamp:yyyy-MM-dd}/' into the prefix; "+
			"for any other column, '%[1]s=!{partitionKeyFromQuery:%[1]s}/' and partition_keys: {%[1]s: %[1]s}: %[2]w", l.PartitionBy, core.ErrInvalid)
	}
	return nil
}

func (f Format) validate() error {
	switch {
	case f.Parquet != nil && f.NDJSON != nil:
		return fmt.Errorf("format: choose one of parquet and ndjson: %w", core.ErrInvalid)
	case f.Parquet != nil:
		return f.Parquet.Validate()
	case f.NDJSON != nil:
		return f.NDJSON.Validate()
	}
	return nil
}

// extension is how the names of files end.
func (l Layout) extension() string {
	if l.Format.NDJSON != nil {
		return l.Format.NDJSON.Extension()
	}
	return ".parquet"
}
