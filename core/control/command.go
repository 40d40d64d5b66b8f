package control

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Kinds of commands, as stored.
const (
	kindTxn   = "txn"
	kindBegin = "begin" // a snapshot begins: what the table is at this place
	kindRows  = "rows"  // a part of the snapshot
	kindEnd   = "end"   // the snapshot is whole
)

// command is what stands in the control log, one an entry, as JSON in the one column "command".
type command struct {
	ID       string  `json:"id"`
	Kind     string  `json:"kind"`
	Checks   []Check `json:"checks,omitempty"`
	Writes   []Write `json:"writes,omitempty"`
	Snapshot string  `json:"snapshot,omitempty"` // of ROWS and END: the id of their BEGIN
	Rows     []Row   `json:"rows,omitempty"`
}

var commandSchema = arrow.NewSchema([]arrow.Field{{Name: "command", Type: arrow.BinaryTypes.Binary}}, nil)

// encode is the command as a batch of one row, which the caller releases.
func (c command) encode() arrow.Record {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // a struct of strings, integers and bytes always marshals
	}
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer b.Release()
	b.Append(text)
	col := b.NewArray()
	defer col.Release()
	return array.NewRecord(commandSchema, []arrow.Array{col}, 1)
}

func decodeCommand(rec arrow.Record) (command, error) {
	var c command
	if rec.NumCols() != 1 || rec.NumRows() != 1 {
		return c, fmt.Errorf("an entry of the control log has %d columns and %d rows, want 1 and 1", rec.NumCols(), rec.NumRows())
	}
	col, ok := rec.Column(0).(*array.Binary)
	if !ok {
		return c, fmt.Errorf("an entry of the control log has a column of type %s, want binary", rec.Column(0).DataType())
	}
	if err := json.Unmarshal(col.Value(0), &c); err != nil {
		return c, fmt.Errorf("an entry of the control log: %w", err)
	}
	return c, nil
}

func newID() string { return rand.Text() }

// now is when a command is said to have arrived, for people only.
func now() time.Time { return time.Now() }
