package clients

import (
	"bufio"
	"crypto/md5" //nolint:gosec // as Kinesis routes
	"encoding/base64"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// record is one of a corpus.
type record struct {
	key, hash string
	data      []byte
}

// most is as large as a record with a key may be in a stream that was made without saying how large.
const most = 1 << 20

// corpus is n records: first those that clients have been seen to spoil, then any.
func corpus(n int) []record {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	rng := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // the same each time
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	last := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
	records := []record{
		{"all bytes", "", all},
		{"ключ", "", []byte("кириллица")},
		{"キー", "", []byte("\xff\xfe not UTF-8 \xc3\x28")},
		{"😀🏳️‍🌈", "", []byte("😀")},
		{"e\u0301 and \u00e9", "", []byte("a decomposed and a composed letter")},
		{"a\tb\nc\u0001\"\\/\u007f\u2028", "", []byte("{\"json\": \"\\u0000\"}\n")},
		{"\ufeff\ufffd", "", []byte("\ufeffa mark at the front")},
		{strings.Repeat("k", 256), "", []byte("the longest key")},
		{strings.Repeat("é", 256), "", []byte("the longest key, in two bytes a letter")},
		{"none", "", []byte{}},
		{"zeros", "", make([]byte, 1000)},
		{"first", "0", []byte("the first hash key")},
		{"last", last.String(), []byte("the last hash key")},
		{"middle", new(big.Int).Lsh(big.NewInt(1), 127).String(), []byte("2^127")},
		{"before the middle", new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1)).String(), []byte("2^127-1")},
		{"largest", "", bytes(most - len("largest"))},
		{"largest too", "", bytes(most - len("largest too"))},
	}
	for i := len(records); i < n; i++ {
		r := record{key: fmt.Sprintf("key-%d", rng.IntN(max(50, n/200))), data: fmt.Appendf(nil, "record %d: %s", i, bytes(rng.IntN(2000)))}
		if i%7 == 0 {
			r.hash = new(big.Int).Rsh(new(big.Int).SetBytes(bytes(16)), uint(rng.IntN(128))).String()
		}
		records = append(records, r)
	}
	return records
}

// shard is where a record belongs in a stream of 4 shards.
func (r record) shard() string {
	sum := md5.Sum([]byte(r.key)) //nolint:gosec // as Kinesis routes
	hash := new(big.Int).SetBytes(sum[:])
	if r.hash != "" {
		hash, _ = new(big.Int).SetString(r.hash, 10)
	}
	return fmt.Sprintf("shardId-%012d", new(big.Int).Rsh(hash, 126).Int64())
}

// write writes a corpus as client programs read it.
func write(t *testing.T, records []record) string {
	t.Helper()
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "%s\t%s\t%s\n", base64.StdEncoding.EncodeToString([]byte(r.key)), base64.StdEncoding.EncodeToString(r.data), r.hash)
	}
	path := filepath.Join(t.TempDir(), "corpus")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

// size is how many records a corpus has, and whether clients wait until iterators expire.
func size(t *testing.T) (n int, old string) {
	t.Helper()
	text := os.Getenv("PENSTOCK_CLIENT_RECORDS")
	if text == "" {
		return 300, "new"
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n, "old"
}

// lines are those of a file, in fields.
func lines(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path) //nolint:gosec // a test's own
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // only read
	var out [][]string
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 4<<20)
	for scan.Scan() {
		out = append(out, strings.Split(scan.Text(), "\t"))
	}
	require.NoError(t, scan.Err())
	return out
}
