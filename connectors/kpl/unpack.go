package kpl

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the format has it; nothing is protected by it
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock/core"
)

const (
	magic = "\xf3\x89\x9a\xc2"
	// maxKey is how many characters a partition key has at most.
	maxKey = 256
	// maxGrowth bounds what the user records of an aggregate have of keys and data, times the size of the aggregate. A key
	// is stored once and may be that of many user records, each of at least six bytes, so that no producer comes near it.
	maxGrowth = 64
	// minRecord is how many bytes the fields have that a Record needs.
	minRecord = 4
)

// UserRecord is a record as its producer put it, before it was packed.
type UserRecord struct {
	Key      string
	Explicit *core.HashKey // that the producer gave; nil: the key's
	Data     []byte        // part of the aggregate
}

// Hash is the hash key that says which shard the user record belongs to.
func (u UserRecord) Hash() core.HashKey {
	if u.Explicit != nil {
		return *u.Explicit
	}
	return core.HashPartitionKey(u.Key)
}

// Begins reports whether a record begins as aggregates do.
func Begins(record []byte) bool {
	return len(record) >= len(magic) && string(record[:len(magic)]) == magic
}

// Unpack returns the user records of an aggregate, in order; there may be none. It returns false for every other record:
// a checksum that is wrong, a message that is cut off or lacks what is required, keys that are none, and a message that
// would grow without measure. KCL passes such a record on as it is, too.
func Unpack(record []byte) ([]UserRecord, bool) {
	if !Begins(record) || len(record) <= len(magic)+md5.Size {
		return nil, false
	}
	message, sum := record[len(magic):len(record)-md5.Size], record[len(record)-md5.Size:]
	if got := md5.Sum(message); !bytes.Equal(got[:], sum) { //nolint:gosec // see the import
		return nil, false
	}
	m, ok := parse(message)
	if !ok {
		return nil, false
	}
	out := make([]UserRecord, 0, len(m.records))
	size := 0
	for _, r := range m.records {
		u, ok := m.userRecord(r)
		if size += len(u.Key) + len(u.Data); !ok || size > maxGrowth*len(record) {
			return nil, false
		}
		out = append(out, u)
	}
	return out, true
}

// aggregate is the outer message, whose records are not parsed yet: the tables may stand behind them.
type aggregate struct {
	keys    []string
	hashes  []core.HashKey
	records [][]byte
}

func parse(message []byte) (aggregate, bool) {
	var m aggregate
	ok := fields(message, func(f protowire.Number, t protowire.Type, value []byte, _ uint64) bool {
		if f > 3 || f < 1 {
			return true
		}
		if t != protowire.BytesType {
			return false
		}
		switch f {
		case 1:
			key := string(value)
			m.keys = append(m.keys, key)
			return utf8.ValidString(key) && utf8.RuneCountInString(key) <= maxKey
		case 2:
			hash, err := core.ParseHashKey(withoutZeros(string(value)))
			m.hashes = append(m.hashes, hash)
			return err == nil
		default:
			m.records = append(m.records, value)
			return len(value) >= minRecord // before many are kept that are none
		}
	})
	return m, ok
}

// withoutZeros is a decimal without leading zeros.
func withoutZeros(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" || s == "" {
		return t
	}
	return "0"
}

// userRecord parses one of the records.
func (m *aggregate) userRecord(message []byte) (UserRecord, bool) {
	key, hash, data := -1, -1, []byte(nil)
	ok := fields(message, func(f protowire.Number, t protowire.Type, value []byte, n uint64) bool {
		switch {
		case f == 1 && t == protowire.VarintType && n < uint64(len(m.keys)):
			key = int(n) //nolint:gosec // an index of a slice
		case f == 2 && t == protowire.VarintType && n < uint64(len(m.hashes)):
			hash = int(n) //nolint:gosec // an index of a slice
		case f == 3 && t == protowire.BytesType:
			data = value
		default:
			return f > 3
		}
		return true
	})
	if !ok || key < 0 || data == nil {
		return UserRecord{}, false
	}
	u := UserRecord{Key: m.keys[key], Data: data}
	if hash >= 0 {
		u.Explicit = &m.hashes[hash]
	}
	return u, true
}

// fields calls f with each field of a message: its bytes where it has any, else its number. It returns false where the
// message is not well formed, or f does.
func fields(message []byte, f func(n protowire.Number, t protowire.Type, value []byte, number uint64) bool) bool {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		var value []byte
		var number uint64
		switch typ {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(num, typ, message)
		}
		if n < 0 || !f(num, typ, value, number) {
			return false
		}
		message = message[n:]
	}
	return true
}
