package core

import (
	"cmp"
	"fmt"
	"strings"
)

// MaxSequenceDigits is the longest sequence number that Kinesis clients may send.
const MaxSequenceDigits = 128

// SequenceNumber identifies a record within its shard: an opaque decimal without leading zeros, of at most
// MaxSequenceDigits digits, that compares as an integer. The empty one stands before every record.
type SequenceNumber string

// ParseSequenceNumber accepts what a client sends. It strips leading zeros; anything but digits is ErrInvalid.
func ParseSequenceNumber(s string) (SequenceNumber, error) {
	if s == "" || len(s) > MaxSequenceDigits {
		return "", fmt.Errorf("sequence number of %d characters, want 1 to %d: %w", len(s), MaxSequenceDigits, ErrInvalid)
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return "", fmt.Errorf("sequence number %q has a character that is no digit: %w", s, ErrInvalid)
		}
	}
	t := strings.TrimLeft(s, "0")
	if t == "" {
		t = "0"
	}
	return SequenceNumber(t), nil
}

// Compare orders a and b as integers: -1, 0 or +1.
func (a SequenceNumber) Compare(b SequenceNumber) int {
	if len(a) != len(b) {
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Compare(a, b)
}

// Span is a run of records of one shard, both ends included. The zero Span is empty.
type Span struct{ First, Last SequenceNumber }
