// Package kpltest packs user records as the Kinesis Producer Library does, for tests. It shares no code with what takes
// them apart.
package kpltest

import (
	"crypto/md5" //nolint:gosec // the format has it
	"encoding/binary"
	"slices"
)

// User is a user record.
type User struct {
	Key  string
	Hash string // explicit hash key, a decimal; empty: none
	Data string
}

// Pack is an aggregate of user records.
func Pack(users ...User) []byte {
	var keys, hashes []string
	var message, records []byte
	for _, u := range users {
		r := field(nil, 1, intern(&keys, u.Key))
		if u.Hash != "" {
			r = field(r, 2, intern(&hashes, u.Hash))
		}
		records = text(records, 3, string(text(r, 3, u.Data)))
	}
	for _, k := range keys {
		message = text(message, 1, k)
	}
	for _, h := range hashes {
		message = text(message, 2, h)
	}
	return Seal(append(message, records...))
}

// Seal puts the magic bytes before a message and its MD5 behind it.
func Seal(message []byte) []byte {
	sum := md5.Sum(message) //nolint:gosec // see the import
	return slices.Concat([]byte{0xF3, 0x89, 0x9A, 0xC2}, message, sum[:])
}

// intern is the place of s in a table, to which it is added if it is new.
func intern(table *[]string, s string) uint64 {
	i := slices.Index(*table, s)
	if i < 0 {
		i = len(*table)
		*table = append(*table, s)
	}
	return uint64(i) //nolint:gosec // an index
}

func field(b []byte, number byte, v uint64) []byte {
	return binary.AppendUvarint(append(b, number<<3), v)
}

func text(b []byte, number byte, s string) []byte {
	return append(binary.AppendUvarint(append(b, number<<3|2), uint64(len(s))), s...)
}
