package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// lineStream makes a data directory with a stream of some shards that holds lines.
func lineStream(t *testing.T, shards int, lines string, putArgs ...string) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	ok(t, "streams", "create", "s", "--shards", fmt.Sprint(shards), "--data", data)
	code, _, errOut := commandIn(t, lines, append([]string{"put", "s", "--data", data}, putArgs...)...)
	require.Equal(t, exitOK, code, errOut)
	return data
}

// tailOf are the records that tail prints.
func tailOf(t *testing.T, args ...string) []tailed {
	t.Helper()
	return tailOfStream(t, "s", args...)
}

func tailOfStream(t *testing.T, name string, args ...string) (out []tailed) {
	t.Helper()
	sc := bufio.NewScanner(strings.NewReader(ok(t, append([]string{"tail", name, "--json"}, args...)...)))
	sc.Buffer(nil, 32<<20)
	for sc.Scan() {
		var r tailed
		require.NoError(t, json.Unmarshal(sc.Bytes(), &r))
		out = append(out, r)
	}
	require.NoError(t, sc.Err())
	return out
}

func TestTailPrintsWhatWasPut(t *testing.T) {
	data := lineStream(t, 3, "one\ntwo\nthree \x1b[31m\n\xff\xfe\n", "--key", "k")
	got := tailOf(t, "--data", data)
	require.Len(t, got, 4)
	require.Equal(t, "one", *got[0].Data)
	require.Equal(t, "k", got[0].Key)
	require.Nil(t, got[3].Data)
	require.Equal(t, []byte("\xff\xfe"), got[3].Base64)
	_, err := time.Parse(time.RFC3339Nano, got[0].Arrival)
	require.NoError(t, err)

	out := ok(t, "tail", "s", "--data", data)
	require.Contains(t, out, fmt.Sprintf("%s %s %s k one\n", got[0].Arrival, strings.TrimPrefix(string(got[0].Shard), "shardId-"), got[0].Seq))
	require.NotContains(t, out, "\x1b", "a record cannot steer the terminal")
}

func TestTailMergesShardsByArrival(t *testing.T) {
	data := lineStream(t, 4, "a1\na2\na3\na4\na5\na6\na7\na8\n")
	code, _, errOut := commandIn(t, "b1\nb2\nb3\nb4\n", "put", "s", "--data", data)
	require.Equal(t, exitOK, code, errOut)
	got := tailOf(t, "--data", data)
	require.Len(t, got, 12)
	for i, r := range got {
		require.Equal(t, i >= 8, strings.HasPrefix(*r.Data, "b"), "%d %s", i, *r.Data)
	}
	require.Equal(t, got[:5], tailOf(t, "--data", data, "--count", "5"))
	require.Equal(t, got, tailOf(t, "--data", data, "--from", "1h"))
	require.Empty(t, tailOf(t, "--data", data, "--from", time.Now().Add(time.Hour).Format(time.RFC3339)))
	var of1 []tailed
	for _, r := range got {
		if r.Shard == core.NewShardID(1) {
			of1 = append(of1, r)
		}
	}
	require.Equal(t, of1, tailOf(t, "--data", data, "--shard", "1"))
}

func TestTailSaysWhatItCannotDo(t *testing.T) {
	data := lineStream(t, 1, "x\n")
	for args, want := range map[string]string{
		"--from latest": "add --follow",
		"--from soon":   `--from "soon" is none of`,
		"--shard 7":     "stream s has no such shard",
	} {
		code, _, errOut := command(t, append([]string{"tail", "s", "--data", data}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, errOut, want, args)
	}
}

func TestTailFollowsWhatComes(t *testing.T) {
	data := lineStream(t, 2, "old1\nold2\n")
	err := makeNode(t.Context(), data, func(n *pipelines.Node) error {
		s, err := n.Streams.Open(t.Context(), "s")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		seen := map[string]int{}
		tl := &tailer{stream: s, follow: true, left: 6, print: func(b core.Batch, i int) error {
			seen[b.Keys().Value(i)]++
			if len(seen) == 2 { // what was there is printed: more comes
				for _, k := range []string{"c", "d", "e", "f"} {
					if _, err := s.Put(ctx, []stream.Record{{Key: k, Data: []byte("new")}}); err != nil {
						return err
					}
				}
			}
			return nil
		}}
		require.NoError(t, tl.run(ctx, []core.ShardID{core.NewShardID(0), core.NewShardID(1)}, tailStart{}))
		require.NoError(t, ctx.Err(), "it ends after as many records as were wanted")
		require.Equal(t, map[string]int{"1": 1, "2": 1, "c": 1, "d": 1, "e": 1, "f": 1}, seen)
		return nil
	})
	require.NoError(t, err)
}

func TestPutNamesTheLinesThatItCannotPut(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	ok(t, "streams", "create", "s", "--max-record", "20", "--data", data)
	huge := strings.Repeat("x", 11<<20)
	code, out, errOut := commandIn(t, "short\n\nthis one is longer than twenty\r\n"+huge+"\nlast", "put", "s", "--data", data, "--key", "k")
	require.Equal(t, exitProblem, code)
	require.Equal(t, "2 records put into s\n", out)
	require.Contains(t, errOut, "line 2 was not put: it is empty")
	require.Contains(t, errOut, "line 3 was not put: a record of 31 bytes, the stream takes 20")
	require.Contains(t, errOut, "line 4 was not put: a record of 11534337 bytes; no stream takes more than 10485760")
	got := tailOf(t, "--data", data)
	require.Equal(t, []string{"short", "last"}, []string{*got[0].Data, *got[1].Data})
}

func TestALineIsReadWhateverTheBuffer(t *testing.T) {
	text := "a\n\nfifteen bytes..\r\nsixteen bytes...\nseventeen bytes..\n" + strings.Repeat("y", 60) + "\nlast"
	for size := 16; size < 100; size += 7 {
		in := bufio.NewReaderSize(strings.NewReader(text), size)
		var got []string
		for {
			line, length, err := readLine(in, 17)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			got = append(got, fmt.Sprintf("%d %s", length, line))
		}
		require.Equal(t, []string{"1 a", "0 ", "15 fifteen bytes..", "16 sixteen bytes...", "17 seventeen bytes..", "61 ", "4 last"}, got)
	}
}

func TestPutTakesKeysFromJSON(t *testing.T) {
	lines := `{"id":"a","n":1}` + "\n" + `{"id":7}` + "\n" + `{"n":1}` + "\n" + `{"id":{"x":1}}` + "\nno json\n" + `{"id":"ü"}` + "\n"
	data := filepath.Join(t.TempDir(), "data")
	ok(t, "streams", "create", "s", "--data", data)
	code, out, errOut := commandIn(t, lines, "--json", "put", "s", "--data", data, "--json-key", "id")
	require.Equal(t, exitProblem, code, errOut)
	var e struct{ Result putResult }
	require.NoError(t, json.Unmarshal([]byte(out), &e))
	require.EqualValues(t, 3, e.Result.Records)
	require.EqualValues(t, 3, e.Result.Refused)
	require.Equal(t, badLine{3, `it has no field "id" to take the partition key from`}, e.Result.Lines[0])
	require.Equal(t, []int64{4, 5}, []int64{e.Result.Lines[1].Line, e.Result.Lines[2].Line})
	var keys []string
	for _, r := range tailOf(t, "--data", data) {
		keys = append(keys, r.Key)
	}
	require.Equal(t, []string{"a", "7", "ü"}, keys)
	code, _, errOut = commandIn(t, lines, "put", "s", "--data", data, "--json-key", "id", "--key", "k")
	require.Equal(t, exitUsage, code, errOut)
}

func TestDeadLettersAreListedAndShown(t *testing.T) {
	dir := t.TempDir()
	data := lineStream(t, 1, "{\"n\":1}\n{\n{\"n\":0}\n\xff\x00\n")
	file := pipelineFile(t, dir, "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nstages: [{compute: {i: '1 / n'}}]\nsink: {file: {path: "+dir+"/lake}}\n")
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	list := func(args ...string) []numbered {
		return result[[]numbered](t, append([]string{"dlq", "list", "p.dead", "--data", data}, args...)...)
	}
	all := list()
	require.Len(t, all, 3)
	require.Len(t, list("--code", "division_by_zero"), 1)
	require.Equal(t, all[2:], list("--stage", "stages[0]"))
	require.Equal(t, all[:2], list("--stage", "decode"))
	require.Equal(t, all[:1], list("--limit", "1"))
	_, _, errOut := command(t, "dlq", "list", "p.dead", "--data", data, "--limit", "1")
	require.Contains(t, errOut, "only the first 1 are listed")

	out := ok(t, "dlq", "show", "p.dead", "1", "--data", data)
	for _, want := range []string{"stage       decode", "code        bad_json", "sequence    " + string(all[0].Seq), "key         2", "data        1 bytes\n{\n"} {
		require.Contains(t, out, want)
	}
	require.Contains(t, ok(t, "dlq", "show", "p.dead", "2", "--data", data), "data        2 bytes, no text\n00000000  ff 00")
	require.Equal(t, all[2:], result[[]numbered](t, "dlq", "show", "p.dead", "--data", data, "--shard", "0", "--seq", string(all[2].Seq)))
	code, _, errOut := command(t, "dlq", "show", "p.dead", "9", "--data", data)
	require.Equal(t, exitProblem, code)
	require.Contains(t, errOut, "has no such letter")
	for _, args := range []string{"", "0", "x", "1 --seq 5"} {
		code, _, _ := command(t, append([]string{"dlq", "show", "p.dead", "--data", data}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
	}
}

func TestPipelinesDescribeShowsTheLag(t *testing.T) {
	dir := t.TempDir()
	data := lineStream(t, 2, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n")
	file := pipelineFile(t, dir, "version: 1\nname: p\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: "+dir+"/lake}}\n")
	ok(t, "run", file, "--data", data, "--until-caught-up", "--quiet")
	describe := func() []pipelines.ShardProgress {
		return result[[]pipelines.ShardProgress](t, "pipelines", "describe", "p", "--data", data)
	}
	for _, p := range describe() {
		require.Zero(t, p.Lag)
		require.Equal(t, p.Checkpoint, p.Last)
	}
	code, _, errOut := commandIn(t, "{\"n\":5}\n", "put", "s", "--data", data, "--key", "1")
	require.Equal(t, exitOK, code, errOut)
	behind := 0
	for _, p := range describe() {
		if p.Lag > 0 {
			behind++
			require.NotEqual(t, p.Checkpoint, p.Last)
			require.Less(t, time.Duration(p.Lag), time.Minute)
		}
	}
	require.Equal(t, 1, behind)
	text := ok(t, "pipelines", "describe", "p", "--data", data)
	require.Regexp(t, `(?m)^SOURCE +SHARD +CHECKPOINT .* LAG$`, text)
	require.Regexp(t, `(?m) 0s$`, text)
	for _, p := range describe() {
		if p.Last == "" {
			continue // no record came to this shard
		}
		require.Len(t, string(p.Last), 56)
		require.Contains(t, text, "  ..."+string(p.Last[14:32])+"...  ")
		require.NotContains(t, text, string(p.Last))
	}

	for _, cmd := range []string{"describe", "reset", "abandon-plan"} {
		code, _, errOut := command(t, "pipelines", cmd, "q", "--data", data)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "no pipeline q ran on this data directory")
	}
}
