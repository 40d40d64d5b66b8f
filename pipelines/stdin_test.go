package pipelines_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
	"github.com/penstock/penstock/sinks/file"
	"github.com/penstock/penstock/transforms/csv"
	"github.com/penstock/penstock/transforms/json"
)

// piped is a pipeline over standard input, into NDJSON files.
type piped struct {
	t      *testing.T
	dir    string
	decode string
	buffer string
	name   string
}

func newPiped(t *testing.T) *piped {
	return &piped{t, t.TempDir(), "{json: {}}", "{max_records: 100000}", "piped"}
}

// node opens the data directory.
func (p *piped) node() *pipelines.Node {
	p.t.Helper()
	n, err := pipelines.OpenNode(p.t.Context(), filepath.Join(p.dir, "data"))
	require.NoError(p.t, err)
	return n
}

// run runs the pipeline over an input.
func (p *piped) run(ctx context.Context, n *pipelines.Node, in io.Reader) error {
	p.t.Helper()
	r := pipelines.NewRegistry()
	pipelines.AddDecoder(r, "json", json.New)
	pipelines.AddDecoder(r, "csv", csv.New)
	pipelines.AddSink(r, "file", file.Open)
	s, err := r.Load("p.yaml", fmt.Appendf(nil, `version: 1
name: %s
source: {file: {paths: ['-']}, decode: %s}
buffer: %s
sink: {file: {path: %q, format: {ndjson: {compression: none}}}}
`, p.name, p.decode, p.buffer, filepath.Join(p.dir, "lake")), os.LookupEnv)
	require.NoError(p.t, err)
	return n.Run(ctx, r, s, pipelines.RunOptions{Env: os.LookupEnv, Stdin: in})
}

// rows are those in the lake, in order.
func (p *piped) rows() []string {
	p.t.Helper()
	var out []string
	files, err := filepath.Glob(filepath.Join(p.dir, "lake", "*.ndjson"))
	require.NoError(p.t, err)
	for _, f := range files {
		b, err := os.ReadFile(f) //nolint:gosec // a test's own output
		require.NoError(p.t, err)
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}

func numbered(from, to int) (text string, rows []string) {
	for i := from; i < to; i++ {
		rows = append(rows, `{"n":`+strconv.Itoa(i)+`}`)
	}
	return strings.Join(rows, "\n") + "\n", rows
}

func TestStandardInputIsDeliveredToItsEnd(t *testing.T) {
	p := newPiped(t)
	n := p.node()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	text, want := numbered(0, 50_000)
	go func() {
		_, _ = io.WriteString(w, text)
		_ = w.Close()
	}()
	require.NoError(t, p.run(t.Context(), n, r))
	require.Equal(t, want, p.rows())

	st, err := n.Streams.Open(t.Context(), "_in.piped")
	require.NoError(t, err)
	info, err := st.Info(t.Context())
	require.NoError(t, err)
	last, err := st.Last(t.Context(), info.Shards[0].ID)
	require.NoError(t, err)
	require.Empty(t, last, "what is delivered takes space")
	require.Equal(t, stream.MaxRetention, info.Retention)

	// The same bytes again are twice the data; nothing is nothing.
	require.NoError(t, p.run(t.Context(), n, strings.NewReader(text)))
	require.NoError(t, p.run(t.Context(), n, strings.NewReader("")))
	require.NoError(t, n.Close())
	n = p.node()
	require.NoError(t, p.run(t.Context(), n, strings.NewReader(`{"n":-1}`)))
	require.NoError(t, n.Close())
	require.Equal(t, slices.Concat(want, want, []string{`{"n":-1}`}), p.rows())
}

// TestStandardInputFlows: what came is delivered while more is awaited.
func TestStandardInputFlows(t *testing.T) {
	p := newPiped(t)
	p.buffer = "{max_records: 100000, max_age: 1s}"
	n := p.node()
	defer func() { require.NoError(t, n.Close()) }()
	r, w := io.Pipe()
	done := make(chan error)
	go func() { done <- p.run(t.Context(), n, r) }()
	for i := range 2 {
		_, err := fmt.Fprintf(w, "{\"n\":%d}\n", i)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(p.rows()) == i+1 }, 10*time.Second, 10*time.Millisecond)
	}
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
}

// TestWhatAStoppedRunHadPutIsDeliveredByTheNext also when it stopped before anything was delivered.
func TestWhatAStoppedRunHadPutIsDeliveredByTheNext(t *testing.T) {
	p := newPiped(t)
	n := p.node()
	r, w := io.Pipe()
	text, want := numbered(0, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.run(ctx, n, r) }()
	go func() { _, _ = io.WriteString(w, text) }()
	require.Eventually(t, func() bool {
		st, err := n.Streams.Open(t.Context(), "_in.piped")
		if err != nil {
			return false
		}
		reader, err := st.Read(t.Context(), "shardId-000000000000", "")
		require.NoError(t, err)
		defer reader.Close() //nolint:errcheck // it was only read
		rows := int64(0)
		for rows < 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			b, err := reader.Next(ctx)
			cancel()
			if err != nil {
				return false
			}
			rows += b.Records
			b.Release()
		}
		return true
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, n.Close())

	n = p.node()
	more, rest := numbered(1000, 1010)
	require.NoError(t, p.run(t.Context(), n, strings.NewReader(more)))
	require.NoError(t, n.Close())
	require.Equal(t, append(want, rest...), p.rows())
	_ = w.Close()
}

// TestAReloadLosesNothingOfStandardInput: the pipeline is drained and runs again in the same process.
func TestAReloadLosesNothingOfStandardInput(t *testing.T) {
	p := newPiped(t)
	n := p.node()
	defer func() { require.NoError(t, n.Close()) }()
	r, w := io.Pipe()
	_, want := numbered(0, 3000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- p.run(ctx, n, r) }()
	for i, row := range want {
		if i == 1500 {
			cancel()
			require.NoError(t, <-done)
			go func() { done <- p.run(t.Context(), n, r) }()
		}
		_, err := io.WriteString(w, row+"\n")
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
	require.Equal(t, want, p.rows())
}

func TestOnePipelineReadsStandardInput(t *testing.T) {
	p := newPiped(t)
	n := p.node()
	defer func() { require.NoError(t, n.Close()) }()
	r, w := io.Pipe()
	done := make(chan error)
	go func() { done <- p.run(t.Context(), n, r) }()
	_, err := io.WriteString(w, "{}\n")
	require.NoError(t, err)
	other := *p
	other.name = "other"
	require.ErrorContains(t, other.run(t.Context(), n, r), "pipeline piped reads standard input already")
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
}

func TestARecordTooLargeStopsTheInputAndIsSaid(t *testing.T) {
	p := newPiped(t)
	n := p.node()
	defer func() { require.NoError(t, n.Close()) }()
	err := p.run(t.Context(), n, strings.NewReader("{\"n\":1}\n"+strings.Repeat("x", stream.MaxMaxRecord)+"\n{\"n\":2}\n"))
	require.ErrorContains(t, err, "standard input: the record at byte 8 has 10485760 bytes")
	require.Equal(t, []string{`{"n":1}`}, p.rows())
	require.ErrorContains(t, p.run(t.Context(), n, nil), "there is no standard input here")
}

func TestStandardInputMayBeCSV(t *testing.T) {
	p := newPiped(t)
	p.decode = "{csv: {header: true}}"
	n := p.node()
	defer func() { require.NoError(t, n.Close()) }()
	require.NoError(t, p.run(t.Context(), n, strings.NewReader("n,s\n1,\"a\nb\"\n2,c\n")))
	require.Equal(t, []string{`{"n":1,"s":"a\nb"}`, `{"n":2,"s":"c"}`}, p.rows())
}
