package kpl

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/kpl/kpltest"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
)

func TestUserRecordsComeAsTheyWerePacked(t *testing.T) {
	in := []kpltest.User{{Key: "a", Data: "one"}, {Key: "b", Hash: "340282366920938463463374607431768211455", Data: ""}, {Key: "a", Hash: "7", Data: "drei\x00"}, {Key: "é", Data: "4"}}
	got, ok := Unpack(kpltest.Pack(in...))
	require.True(t, ok)
	require.Len(t, got, len(in))
	for i, u := range in {
		require.Equal(t, u.Key, got[i].Key)
		require.Equal(t, u.Data, string(got[i].Data))
	}
	require.Equal(t, core.HashPartitionKey("a"), got[0].Hash())
	require.Equal(t, core.MaxHashKey, got[1].Hash())
	require.Equal(t, core.HashKey{Lo: 7}, got[2].Hash())
}

const pythonAggregate = "f3899ac20a026b310a026b3212033132331a0908001a0568656c6c6f1a0b080110001a05776f726c6424fde0dcc02c8db204428fcea29bd5e3"

// TestAnAggregateOfAnotherProgram is one that aws-kinesis-agg 1.2.3 for Python made of the user records ("k1", "hello")
// and ("k2", explicit hash 123, "world").
func TestAnAggregateOfAnotherProgram(t *testing.T) {
	b, err := hex.DecodeString(pythonAggregate)
	require.NoError(t, err)
	got, ok := Unpack(b)
	require.True(t, ok)
	require.Len(t, got, 2)
	require.Equal(t, []string{"k1", "hello", "k2", "world"}, []string{got[0].Key, string(got[0].Data), got[1].Key, string(got[1].Data)})
	require.Equal(t, core.HashKey{Lo: 123}, got[1].Hash())
}

func TestAnAggregateMayBeEmptyOrHaveFieldsOfLaterVersions(t *testing.T) {
	unknown := []byte{9 << 3, 1, 10<<3 | 2, 1, 'x', 11<<3 | 5, 0, 0, 0, 0, 12<<3 | 1, 0, 0, 0, 0, 0, 0, 0, 0}
	got, ok := Unpack(kpltest.Seal(unknown))
	require.True(t, ok)
	require.Empty(t, got)
	tagged := []byte{3<<3 | 2, 9, 1 << 3, 0, 3<<3 | 2, 1, 'd', 4<<3 | 2, 2, 1<<3 | 2, 0, 1<<3 | 2, 1, 'k'} // the table behind
	got, ok = Unpack(kpltest.Seal(tagged))
	require.True(t, ok)
	require.Equal(t, []UserRecord{{Key: "k", Data: []byte("d")}}, got)
}

func TestWhatIsNoAggregateIsARecordLikeAnyOther(t *testing.T) {
	good := kpltest.Pack(kpltest.User{Key: "k", Data: "data"})
	_, ok := Unpack(good)
	require.True(t, ok)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		_, ok := Unpack(bad)
		require.False(t, ok, "byte %d is another", i)
		_, ok = Unpack(good[:i])
		require.False(t, ok, "cut off at %d", i)
	}
	cases := map[string][]byte{
		"a record without data":          {1<<3 | 2, 1, 'k', 3<<3 | 2, 4, 1 << 3, 0, 1 << 3, 0},
		"a record without a key":         {1<<3 | 2, 1, 'k', 3<<3 | 2, 5, 3<<3 | 2, 3, 'a', 'b', 'c'},
		"a key that is not in the table": {1<<3 | 2, 1, 'k', 3<<3 | 2, 6, 1 << 3, 1, 3<<3 | 2, 2, 'a', 'b'},
		"a hash key that is not there":   {1<<3 | 2, 1, 'k', 3<<3 | 2, 6, 1 << 3, 0, 2 << 3, 0, 3<<3 | 2, 0},
		"a hash key that is no number":   {2<<3 | 2, 2, '-', '1'},
		"a hash key that is too large":   append([]byte{2<<3 | 2, 39}, "340282366920938463463374607431768211456"...),
		"a key that is no text":          {1<<3 | 2, 1, 0xff},
		"a key that is too long":         append([]byte{1<<3 | 2, 0x81, 2}, strings.Repeat("k", 257)...),
		"a record that is a number":      {3 << 3, 1},
		"a group that does not end":      {9<<3 | 3, 0},
		"a length beyond the end":        {3<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	}
	for name, message := range cases {
		_, ok := Unpack(kpltest.Seal(message))
		require.False(t, ok, name)
	}
	for _, b := range [][]byte{nil, []byte("plain"), []byte(magic), kpltest.Seal(nil)} {
		_, ok := Unpack(b)
		require.False(t, ok)
	}
}

func TestABombIsNotSetOff(t *testing.T) {
	key := strings.Repeat("é", 256) // of 512 bytes, in records of 8
	users := make([]kpltest.User, 10_000)
	for i := range users {
		users[i] = kpltest.User{Key: key}
	}
	_, ok := Unpack(kpltest.Pack(users...))
	require.False(t, ok)
	_, ok = Unpack(kpltest.Pack(users[:50]...))
	require.True(t, ok, "few of them are no bomb")
}

// FuzzUnpack: what is unpacked stays within its bounds, and packed again and unpacked, it is the same.
func FuzzUnpack(f *testing.F) {
	f.Add(kpltest.Pack(kpltest.User{Key: "k", Hash: "1", Data: "d"}, kpltest.User{Key: "k2"})[len(magic):])
	b, _ := hex.DecodeString(pythonAggregate)
	f.Add(b[len(magic) : len(b)-16])
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, message []byte) {
		_, ok := Unpack(message)
		require.Equal(t, ok, ok && Begins(message))
		record := kpltest.Seal(message)
		got, ok := Unpack(record)
		if !ok {
			return
		}
		size := 0
		users := make([]kpltest.User, len(got))
		for i, u := range got {
			size += len(u.Key) + len(u.Data)
			users[i] = kpltest.User{Key: u.Key, Data: string(u.Data)}
			if u.Explicit != nil {
				users[i].Hash = u.Explicit.String()
			}
		}
		require.LessOrEqual(t, size, maxGrowth*len(record))
		if len(users) == 0 {
			return
		}
		packed := kpltest.Pack(users...)
		again, ok := Unpack(packed)
		if size > maxGrowth*len(packed) { // only what else stood in the message made it large enough
			return
		}
		require.True(t, ok)
		for i := range got {
			require.Equal(t, got[i].Key, again[i].Key)
			require.Equal(t, got[i].Hash(), again[i].Hash())
			require.True(t, bytes.Equal(got[i].Data, again[i].Data))
		}
	}))
}
