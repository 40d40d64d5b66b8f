package kinesis

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/penstock/penstock/core"
)

// position is where in a shard to begin to read. What it is written as, a sequence number, stands in checkpoints.
type position struct {
	kind positionKind
	seq  core.SequenceNumber // of before and after
	at   time.Time           // of atTime
}

type positionKind int

const (
	atStart positionKind = iota
	afterRecord
	beforeRecord
	atTime
	atLatest // which is never written
)

const (
	// timeMark begins the number that a time is written as; its milliseconds since 1970 follow, in timeDigits digits. It is
	// far less than every number that AWS gives, which have 56 digits.
	timeMark   = "7070070700707"
	timeDigits = 13

	// The low hex digit of AWS's sequence numbers is their version.
	versions, version = 16, 2
)

// parsePosition reads what String wrote.
func parsePosition(s core.SequenceNumber) position {
	switch {
	case s == "":
		return position{}
	case len(s) == len(timeMark)+timeDigits && strings.HasPrefix(string(s), timeMark):
		if ms, err := strconv.ParseInt(string(s[len(timeMark):]), 10, 64); err == nil {
			return position{kind: atTime, at: time.UnixMilli(ms)}
		}
	case low(s) == version-1:
		return position{kind: beforeRecord, seq: plus(s, 1)}
	}
	return position{kind: afterRecord, seq: s}
}

func after(s core.SequenceNumber) position { return position{kind: afterRecord, seq: s} }

// before is the position before a record; false where its number is none as AWS gives them, and there is no number to
// write it as.
func before(s core.SequenceNumber) (position, bool) {
	return position{kind: beforeRecord, seq: s}, low(s) == version
}

// number is what the position is written as.
func (p position) number() core.SequenceNumber {
	switch p.kind {
	case afterRecord:
		return p.seq
	case beforeRecord:
		return plus(p.seq, -1)
	case atTime:
		return core.SequenceNumber(fmt.Sprintf("%s%0*d", timeMark, timeDigits, p.at.UnixMilli()))
	case atStart, atLatest: // below
	}
	return ""
}

// where is the position as the API has it.
func (p position) where() types.StartingPosition {
	switch p.kind {
	case afterRecord, beforeRecord:
		seq := string(p.seq)
		return types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: &seq}
	case atTime:
		return types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &p.at}
	case atLatest:
		return types.StartingPosition{Type: types.ShardIteratorTypeLatest}
	case atStart: // below
	}
	return types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
}

// missed reports whether the first record that is read from the position shows that the one it begins at is gone.
func (p position) missed(first core.SequenceNumber) bool {
	return (p.kind == afterRecord || p.kind == beforeRecord) && first != p.seq && low(first) == version
}

// low is the low hex digit of a number.
func low(s core.SequenceNumber) int {
	const digits = 4 // 10^4 is a multiple of 16
	n, _ := strconv.Atoi(string(s[max(0, len(s)-digits):]))
	return n % versions
}

// plus is a number and a small one.
func plus(s core.SequenceNumber, n int64) core.SequenceNumber {
	v, ok := new(big.Int).SetString(string(s), 10)
	if !ok {
		return s
	}
	return core.SequenceNumber(v.Add(v, big.NewInt(n)).String())
}

// sameShard reports whether two numbers, as AWS gives them, are of one shard.
func sameShard(a, b core.SequenceNumber) bool {
	shard := func(s core.SequenceNumber) string {
		v, ok := new(big.Int).SetString(string(s), 10)
		if !ok || low(s) != version || v.BitLen() != numberBits {
			return ""
		}
		hex := v.Text(16)
		return hex[:10] + hex[len(hex)-9:] // its creation, and its index
	}
	of := shard(a)
	return of != "" && of == shard(b)
}

// numberBits are those of the 47 hex digits of a number, of which the first is 2.
const numberBits = 186

// createdAt is when the shard of a sequence number was made, which AWS's numbers begin with; false of others.
func createdAt(s core.SequenceNumber) (time.Time, bool) {
	v, ok := new(big.Int).SetString(string(s), 10)
	if !ok || low(s) != version || v.BitLen() != numberBits {
		return time.Time{}, false
	}
	secs := v.Rsh(v, 37*4).Int64() & (1<<36 - 1)
	return time.Unix(secs, 0), true
}

// Extended is a checkpoint as the Kinesis Client Library has it: a word or a sequence number, and of the user records that the
// record was packed of the last that is done. All of them are where the checkpoint is after the record, none where it is
// before. There is no word for a time, at which nothing was read yet.
func Extended(checkpoint core.SequenceNumber) (number string, sub int64) {
	switch p := parsePosition(checkpoint); p.kind {
	case afterRecord:
		return string(p.seq), math.MaxInt32
	case beforeRecord:
		return string(p.seq), -1
	case atStart, atTime, atLatest: // below
	}
	return "TRIM_HORIZON", 0
}
