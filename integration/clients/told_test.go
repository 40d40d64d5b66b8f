package clients

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/integration/servetest"
)

// got is a record that a client read.
type got struct {
	seq, key string
	data     string // for comparing
	arrival  int64  // milliseconds
}

// told is what a client program told of what it was answered.
type told struct {
	acks   map[int][2]string           // line of the corpus: shard and sequence number
	read   map[string]map[string][]got // section, shard
	asked  map[string]int64            // shard: milliseconds
	errors []string                    // classes
	lines  map[[2]string][][]string    // section (subscription or child), shard: the other fields
}

// roundTrip runs a client program, which is all of args, against a new server, and checks what it tells.
func roundTrip(t *testing.T, classes []string, program string, args ...string) {
	t.Helper()
	roundTripAt(t, servetest.New(t), classes, program, args...)
}

// roundTripAt is roundTrip at a server.
func roundTripAt(t *testing.T, server *servetest.Server, classes []string, program string, args ...string) {
	t.Helper()
	n, old := size(t)
	records := corpus(n)
	out := filepath.Join(t.TempDir(), "told")
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), program, append(args, server.Endpoint, "clicks", write(t, records), out, old)...) //nolint:gosec // the tests' own
	if strings.HasPrefix(server.Endpoint, "https") {
		cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE="+server.CA())
	}
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
	t.Logf("%s", text)
	v := tellings(t, out)
	v.check(t, records, began)
	c := server.Client(t)
	for shard, rows := range v.read["trim"] {
		want := drain(t, c, iterator(t, c, shard, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}))
		require.True(t, slices.Equal(want, rows), "%s is to another client another one", shard)
	}
	if old == "old" {
		classes = append(slices.Clone(classes), "ExpiredIteratorException", "ExpiredNextTokenException")
	}
	require.Equal(t, classes, v.errors)
}

// classes are the exceptions that a client is to catch.
var classes = []string{
	"ResourceInUseException", "ResourceNotFoundException", "InvalidArgumentException", "LimitExceededException", "ValidationException",
}

func tellings(t *testing.T, path string) *told {
	t.Helper()
	v := &told{acks: map[int][2]string{}, read: map[string]map[string][]got{}, asked: map[string]int64{}, lines: map[[2]string][][]string{}}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		return n
	}
	plain := func(s string) string {
		b, err := base64.StdEncoding.DecodeString(s)
		require.NoError(t, err)
		return string(b)
	}
	for _, f := range lines(t, path) {
		switch f[0] {
		case "put":
			v.acks[int(number(f[1]))] = [2]string{f[2], f[3]}
		case "asked":
			v.asked[f[1]] = number(f[2])
		case "error":
			v.errors = append(v.errors, f[1])
			t.Log(strings.Join(f, " "))
		case "subscription", "child":
			of := [2]string{f[0], f[1]}
			v.lines[of] = append(v.lines[of], f[2:])
		default:
			if v.read[f[0]] == nil {
				v.read[f[0]] = map[string][]got{}
			}
			v.read[f[0]][f[1]] = append(v.read[f[0]][f[1]], got{f[2], plain(f[3]), plain(f[4]), number(f[5])})
		}
	}
	return v
}

// check holds what was read against what was put.
func (v *told) check(t *testing.T, records []record, began time.Time) {
	t.Helper()
	require.Len(t, v.acks, len(records))
	where := map[string]map[string]int{} // shard, sequence number: line
	last := map[[2]string]core.SequenceNumber{}
	for i, r := range records {
		shard, seq := v.acks[i][0], v.acks[i][1]
		require.Equal(t, r.shard(), shard, "record %d", i)
		require.Positive(t, core.SequenceNumber(seq).Compare(last[[2]string{r.key, r.hash}]), "record %d: in the order of its key", i)
		last[[2]string{r.key, r.hash}] = core.SequenceNumber(seq)
		if where[shard] == nil {
			where[shard] = map[string]int{}
		}
		where[shard][seq] = i
	}
	require.Len(t, where, 4)
	for shard, seqs := range where {
		rows := v.read["trim"][shard]
		require.Len(t, rows, len(seqs), shard)
		for i, row := range rows {
			line, ok := seqs[row.seq]
			require.True(t, ok, "%s %s was never acknowledged", shard, row.seq)
			require.True(t, records[line].key == row.key && string(records[line].data) == row.data, "record %d is not what was put: key %q for %q", line, row.key, records[line].key)
			require.True(t, i == 0 || core.SequenceNumber(row.seq).Compare(core.SequenceNumber(rows[i-1].seq)) > 0 && row.arrival >= rows[i-1].arrival, "%s is read in order", shard)
			require.True(t, row.arrival >= began.UnixMilli() && row.arrival <= time.Now().UnixMilli(), "arrived at %d", row.arrival)
		}
		v.checkIterators(t, shard, rows)
	}
}

// checkIterators holds what iterators of other types read against what that of the trim horizon does.
func (v *told) checkIterators(t *testing.T, shard string, rows []got) {
	t.Helper()
	from := slices.IndexFunc(rows, func(r got) bool { return r.arrival >= v.asked[shard] })
	require.GreaterOrEqual(t, from, 0)
	for section, want := range map[string][]got{
		"latest": rows, "at-sequence": rows[len(rows)/2:], "after-sequence": rows[len(rows)/2+1:], "at-timestamp": rows[from:],
	} {
		have := v.read[section][shard]
		require.Len(t, have, len(want), fmt.Sprint(section, shard))
		require.True(t, slices.Equal(want, have), "%s of %s is another part of it", section, shard)
	}
}
