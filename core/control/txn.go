package control

import "errors"

// ErrConflict says that a row no longer has the version a transaction expected. Read again and decide anew; nothing
// was written.
var ErrConflict = errors.New("row changed")

// ErrUnknown says that the outcome of a commit is not known. Read the rows back before writing again.
var ErrUnknown = errors.New("outcome of commit unknown")

// Row is one row of the table. The value belongs to the store: do not change it.
type Row struct {
	Key     string
	Value   []byte
	Version int64 // rises with every write of the key; never 0
}

// Check demands that a key has a version when the transaction is folded; version 0 demands that there is no such row.
type Check struct {
	Key     string
	Version int64
}

// Write sets a key's value, or deletes the row where Value is nil. Writes are not checked unless a Check names the key.
type Write struct {
	Key   string
	Value []byte
}

// Txn is checks and writes that happen together or not at all. Each key may be checked and written once.
type Txn struct {
	Checks []Check
	Writes []Write
}
