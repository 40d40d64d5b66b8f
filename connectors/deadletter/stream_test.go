package deadletter

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/streamsource"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// letters are dead letters kept in a stream of an engine in memory, and the streams of that.
func letters(t *testing.T) (*Stream, *stream.Store) {
	t.Helper()
	return lettersOver(t, local.Config{})
}

func lettersOver(t *testing.T, cfg local.Config) (*Stream, *stream.Store) {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	c, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	store := stream.NewStore(e, c, "test")
	s, err := New(store, "p.dead")
	require.NoError(t, err)
	return s, store
}

func listed(t *testing.T, s *Stream) (out []connectors.DeadLetter) {
	t.Helper()
	from, err := s.store.Open(t.Context(), s.name)
	if errors.Is(err, stream.ErrNotFound) {
		return nil
	}
	require.NoError(t, err)
	require.NoError(t, List(t.Context(), streamsource.New(from), func(l connectors.DeadLetter) bool {
		out = append(out, l)
		return true
	}))
	return out
}

func TestLettersAreListedOnceByIdentity(t *testing.T) {
	s, _ := letters(t)
	require.Empty(t, listed(t, s))
	a := connectors.DeadLetter{Pipeline: "p", Incarnation: "i", Shard: "shardId-0", Seq: "1", Stage: "decode", Code: "bad_json", Raw: []byte("{")}
	b := a
	b.Seq = "2"
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{a, b}))
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{a}))
	require.Equal(t, []connectors.DeadLetter{a, b}, listed(t, s))
}

// TestTheLargestRecordIsWholeInItsLetter: a letter can be sent on as it came, whatever came.
func TestTheLargestRecordIsWholeInItsLetter(t *testing.T) {
	s, _ := letters(t)
	key := strings.Repeat("\x01", stream.MaxKey) // each takes six bytes in JSON
	l := connectors.DeadLetter{
		Pipeline: "p", Incarnation: "i", Shard: "shardId-0", Seq: "1", Stage: "decode", Code: "bad_json", Key: key,
		Reason: strings.Repeat("because ", 1000), Raw: bytes.Repeat([]byte{0xff}, stream.MaxMaxRecord-len(key)),
	}
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{l}))
	require.Equal(t, []connectors.DeadLetter{l}, listed(t, s))
}

func TestALetterIsCutToWhatItsStreamTakes(t *testing.T) {
	for name, c := range map[string]struct {
		takes int64 // 0: the stream is made by the first letter
		raw   int
		least int
	}{
		"a line of a file may be longer than any record": {0, 20 << 20, 10 << 20},
		"a stream that a user made":                      {stream.DefaultMaxRecord, 2 << 20, 700 << 10},
		"a stream of an earlier version":                 {stream.MaxMaxRecord, 10 << 20, 7 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := letters(t)
			if c.takes > 0 {
				_, err := store.Create(t.Context(), "p.dead", stream.Settings{MaxRecord: c.takes})
				require.NoError(t, err)
			}
			l := connectors.DeadLetter{Pipeline: "p", Shard: "shardId-0", Seq: "1", Key: "k", Reason: "no JSON", Raw: bytes.Repeat([]byte("x"), c.raw)}
			require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{l}))
			got := listed(t, s)
			require.Len(t, got, 1)
			require.Contains(t, got[0].Reason, "no JSON (the raw record of")
			require.Greater(t, len(got[0].Raw), c.least)
		})
	}
}

// TestAStreamThatTakesNoLetterIsSaid: trying again for ever would stop the pipeline without a word.
func TestAStreamThatTakesNoLetterIsSaid(t *testing.T) {
	s, store := letters(t)
	_, err := store.Create(t.Context(), "p.dead", stream.Settings{MaxRecord: 100})
	require.NoError(t, err)
	err = s.Put(t.Context(), []connectors.DeadLetter{{Pipeline: "p", Shard: "shardId-0", Seq: "1", Raw: []byte("x")}})
	require.ErrorContains(t, err, "p.dead takes records of 100 bytes, too few for a dead letter: name another stream in dead_letter")
	require.True(t, connectors.IsPermanent(err))
}

// TestManyLettersArePutThoughTheLogTakesFewAtATime: what is refused would be tried again with all the others, for ever.
func TestManyLettersArePutThoughTheLogTakesFewAtATime(t *testing.T) {
	s, _ := lettersOver(t, local.Config{Queue: 1 << 20})
	const many = 500
	all := make([]connectors.DeadLetter, many)
	for i := range all {
		all[i] = connectors.DeadLetter{Pipeline: "p", Shard: "shardId-0", Seq: core.SequenceNumber(strconv.Itoa(i)), Raw: bytes.Repeat([]byte("x"), 16<<10)}
	}
	require.NoError(t, s.Put(t.Context(), all))
	require.Len(t, listed(t, s), many)
}

// TestAStreamThatIsDeletedIsMadeAgain: to delete it is how letters that are of no use any more are thrown away.
func TestAStreamThatIsDeletedIsMadeAgain(t *testing.T) {
	s, store := letters(t)
	l := connectors.DeadLetter{Pipeline: "p", Shard: "shardId-0", Seq: "1", Raw: []byte("x")}
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{l}))
	require.NoError(t, store.Delete(t.Context(), "p.dead"))
	l.Seq = "2"
	require.NoError(t, s.Put(t.Context(), []connectors.DeadLetter{l}))
	require.Equal(t, []connectors.DeadLetter{l}, listed(t, s))
}
