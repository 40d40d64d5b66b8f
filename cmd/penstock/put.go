package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// Bounds of what put holds.
const (
	putRecords = 20_000
	putBytes   = 4 << 20
	maxNotes   = 100 // lines that were not put, which are named
)

func (a *app) put() *cobra.Command {
	var p putter
	cmd := a.onNode("put STREAM", "Put the lines of standard input, a record each", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if p.key != "" && p.jsonKey != "" {
			return usage(errors.New("--key and --json-key: give one of them"))
		}
		var err error
		if p.stream, err = n.Streams.Open(cmd.Context(), core.StreamName(args[0])); err != nil {
			return err
		}
		p.progress = a.newProgress()
		p.progress.text = func(sum runSummary, rate float64) string {
			return fmt.Sprintf("put        records=%s MB/s=%.1f", humanize.Comma(sum.Records), rate)
		}
		watching, stop := context.WithCancel(cmd.Context())
		go p.progress.watch(watching)
		err = p.run(cmd.Context(), bufio.NewReaderSize(a.in, 1<<20))
		stop()
		p.progress.clear()
		for _, l := range p.Lines {
			_, _ = fmt.Fprintf(a.err, "line %d was not put: %s\n", l.Line, l.Reason)
		}
		if more := p.Empty + p.Refused - int64(len(p.Lines)); more > 0 {
			_, _ = fmt.Fprintf(a.err, "and %d lines more\n", more)
		}
		if serr := a.show(&p.putResult, "%d records put into %s\n", p.Records, args[0]); err == nil {
			err = serr
		}
		if err == nil && p.Refused > 0 {
			err = problem(fmt.Errorf("%d lines were refused; the others are in the stream", p.Refused))
		}
		return err
	})
	cmd.Long = `Put the lines of standard input, a record each. What is put is durable when the command ends. Lines that are empty are
passed over, and lines that the stream refuses, such as those longer than it takes, are named with their number; the
others are put all the same. Lines are put as they come, so that tail -f may be piped in.`
	cmd.Example = "  penstock put clicks < events.ndjson\n  tail -f access.log | penstock put access --key web-1\n  penstock put orders --json-key customer_id < orders.ndjson"
	cmd.Flags().StringVar(&p.key, "key", "", "partition key of every record; left out, the line's number")
	cmd.Flags().StringVar(&p.jsonKey, "json-key", "", "take the partition key from this field of each line's JSON object")
	return cmd
}

// putResult is what became of the lines.
type putResult struct {
	Records int64     `json:"records"`
	Empty   int64     `json:"empty"`
	Refused int64     `json:"refused"`
	Lines   []badLine `json:"lines,omitempty"` // that were not put, the first of them
}

type badLine struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
}

// putter puts lines.
type putter struct {
	putResult
	key, jsonKey string
	stream       *stream.Stream
	progress     *progress

	line    int64 // number of the last one read
	records []stream.Record
	lines   []int64 // of records
	bytes   int
}

// run puts the lines of in. Memory is bounded by putBytes and the longest record that a stream may take.
func (p *putter) run(ctx context.Context, in *bufio.Reader) error {
	for {
		line, length, err := readLine(in, stream.MaxMaxRecord)
		if errors.Is(err, io.EOF) {
			return p.flush(ctx)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read standard input after line %d: %w", p.line, err), p.flush(ctx))
		}
		p.line++
		p.take(line, length)
		if len(p.records) >= putRecords || p.bytes >= putBytes || in.Buffered() == 0 { // the next line may be long in coming
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// take makes a record of a line, which has more bytes than are given where it is too long.
func (p *putter) take(line []byte, length int64) {
	if length == 0 {
		p.Empty++
		p.note(p.line, "it is empty")
		return
	}
	if length > int64(len(line)) {
		p.refuse(p.line, fmt.Errorf("a record of %d bytes; no stream takes more than %d", length, stream.MaxMaxRecord))
		return
	}
	key := p.key
	switch {
	case p.jsonKey != "":
		var err error
		if key, err = jsonField(line, p.jsonKey); err != nil {
			p.refuse(p.line, err)
			return
		}
	case key == "":
		key = strconv.FormatInt(p.line, 10)
	}
	p.records = append(p.records, stream.Record{Key: key, Data: line})
	p.lines = append(p.lines, p.line)
	p.bytes += len(line) + len(key)
}

func (p *putter) refuse(line int64, err error) {
	p.Refused++
	p.note(line, strings.TrimSuffix(err.Error(), ": "+core.ErrInvalid.Error()))
}

func (p *putter) note(line int64, reason string) {
	if len(p.Lines) < maxNotes {
		p.Lines = append(p.Lines, badLine{line, reason})
	}
}

// flush puts what was gathered. A record that the stream will never take is noted; another error ends the command.
func (p *putter) flush(ctx context.Context) error {
	if len(p.records) == 0 {
		return nil
	}
	// What is being put is put to its end: whoever stops the command is told what is in the stream.
	results, err := p.stream.Put(context.WithoutCancel(ctx), p.records)
	if err != nil {
		return fmt.Errorf("put lines %d to %d: %w", p.lines[0], p.line, err)
	}
	var stop error
	for i, r := range results {
		switch {
		case r.Err == nil:
			p.Records++
		case errors.Is(r.Err, core.ErrInvalid):
			p.refuse(p.lines[i], r.Err)
		case stop == nil:
			stop = fmt.Errorf("put line %d: %w; of the lines from %d to %d, %s", p.lines[i], r.Err, p.lines[0], p.line, whatIsIn(results))
		}
	}
	p.progress.add(int64(durable(results)), int64(p.bytes))
	p.records, p.lines, p.bytes = p.records[:0], p.lines[:0], 0
	return stop
}

// whatIsIn says how many records are in the stream, and of how many that is not known.
func whatIsIn(results []stream.Result) string {
	unknown := 0
	for _, r := range results {
		if errors.Is(r.Err, shardlog.ErrUnknown) {
			unknown++
		}
	}
	out := fmt.Sprintf("%d are in the stream", durable(results))
	if unknown > 0 {
		out += fmt.Sprintf(", and %d may be: look with penstock tail before you put them again", unknown)
	}
	return out
}

func durable(results []stream.Result) int {
	n := 0
	for _, r := range results {
		if r.Err == nil {
			n++
		}
	}
	return n
}

// readLine reads a line without its end, as bytes of its own. Of a line longer than limit only the length is returned.
func readLine(in *bufio.Reader, limit int) (line []byte, length int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && (!errors.Is(err, io.EOF) || length == 0 && len(part) == 0) {
			return nil, 0, err
		}
		done := !errors.Is(err, bufio.ErrBufferFull)
		if length += int64(len(part)); length > int64(limit)+2 { // its end may have two
			line = nil
		} else {
			line = append(line, part...)
		}
		if !done {
			continue
		}
		if line == nil {
			return nil, length, nil
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		return line, int64(len(line)), nil
	}
}

// jsonField is the partition key that a line's field holds: a text, a number or a bool.
func jsonField(line []byte, name string) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return "", fmt.Errorf("its key is asked for, and it is no JSON object: %w", err)
	}
	raw, ok := fields[name]
	switch {
	case !ok || string(raw) == "null":
		return "", fmt.Errorf("it has no field %q to take the partition key from", name)
	case raw[0] == '{' || raw[0] == '[':
		return "", fmt.Errorf("its field %q holds no text or number to take the partition key from", name)
	case raw[0] != '"':
		return string(raw), nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}
