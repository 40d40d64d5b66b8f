package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/deadletter"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) dlq() *cobra.Command {
	root := &cobra.Command{Use: "dlq", Short: "Look at dead letters", Example: "  penstock dlq list clicks-archive.dead\n  penstock dlq show clicks-archive.dead 1"}
	root.AddCommand(a.dlqList(), a.dlqShow())
	return root
}

// numbered is a dead letter and its number among those of its stream.
type numbered struct {
	Number int `json:"number"`
	connectors.DeadLetter
}

// where says which record a letter is of: of a file, the byte of its text where the record begins.
func (n numbered) where() string {
	if n.Path != "" {
		return fmt.Sprintf("%s:%s", plainText(n.Path), n.Seq)
	}
	return fmt.Sprintf("%s:%s", n.Shard, n.Seq)
}

// lettersIn calls f with each letter in a stream until it returns false; its error is stream.ErrNotFound where there is none.
func lettersIn(ctx context.Context, b *pipelines.Books, name string, f func(connectors.DeadLetter) bool) error {
	source, err := b.Letters(ctx, core.StreamName(name))
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // it only reads
	return deadletter.List(ctx, source, f)
}

// maxHeld bounds the raw bytes of the letters that one answer holds.
const maxHeld = 64 << 20

func (a *app) dlqList() *cobra.Command {
	var stage, code string
	var limit int
	cmd := a.onBooks("list STREAM", "List the dead letters in a stream such as clicks-archive.dead", cobra.ExactArgs(1), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		out := []numbered{}
		rows := a.table("NUMBER", "RECORD", "ROW", "STAGE", "CODE", "REASON")
		number, listed, held, more := 0, 0, 0, false
		err := lettersIn(cmd.Context(), b, args[0], func(l connectors.DeadLetter) bool {
			number++
			if stage != "" && l.Stage != stage && !strings.HasPrefix(l.Stage, stage+".") || code != "" && l.Code != code {
				return true
			}
			if more = limit > 0 && listed == limit || held > maxHeld; more {
				return false
			}
			listed++
			rows.row(number, numbered{number, l}.where(), l.Ord, l.Stage, l.Code, plainText(l.Reason))
			if a.json {
				held += len(l.Raw)
				out = append(out, numbered{number, l})
			}
			return true
		})
		if listed > 0 {
			rows.flush()
		}
		a.result = out
		if errors.Is(err, stream.ErrNotFound) {
			err = nil
			_, _ = fmt.Fprintf(a.err, "there is no stream %s: it is made when the first letter comes, if that is its name\n", args[0])
		}
		if more {
			_, _ = fmt.Fprintf(a.err, "only the first %d are listed: choose with --stage and --code, or raise --limit\n", listed)
		}
		return err
	})
	cmd.Long = "List dead letters. Each row's letter at a stage is listed once, however often it was put. RECORD is the record that\nthe row was in: its shard and sequence number, or its file and the byte of the file's text where it begins."
	cmd.Example = "  penstock dlq list clicks-archive.dead --stage decode --code bad_json"
	cmd.Flags().StringVar(&stage, "stage", "", "only those of a stage, such as decode, stages[2] or sink")
	cmd.Flags().StringVar(&code, "code", "", "only those with a code, such as bad_json")
	cmd.Flags().IntVar(&limit, "limit", 1000, "how many at most; 0: all")
	return cmd
}

func (a *app) dlqShow() *cobra.Command {
	var shard, seq string
	cmd := a.onBooks("show STREAM [NUMBER]", "Show one dead letter whole", cobra.RangeArgs(1, 2), func(cmd *cobra.Command, b *pipelines.Books, args []string) error {
		want := 0
		if len(args) == 2 {
			var err error
			if want, err = strconv.Atoi(args[1]); err != nil || want < 1 {
				return usage(fmt.Errorf("%q is not the number of a letter, as dlq list shows it", args[1]))
			}
		}
		if (want == 0) == (seq == "") {
			return usage(errors.New("say which letter: its NUMBER as dlq list shows it, or --seq and perhaps --shard"))
		}
		out := []numbered{}
		number := 0
		err := lettersIn(cmd.Context(), b, args[0], func(l connectors.DeadLetter) bool {
			number++
			if number == want || want == 0 && string(l.Seq) == seq && (shard == "" || sameShard(shard, l.Shard)) {
				out = append(out, numbered{number, l})
			}
			return number != want
		})
		if err != nil && !errors.Is(err, stream.ErrNotFound) {
			return err
		}
		if len(out) == 0 {
			return problem(fmt.Errorf("%s has no such letter; penstock dlq list %s lists those there are", args[0], args[0]))
		}
		return a.answer(out, func() {
			for _, l := range out {
				a.printLetter(l)
			}
		})
	})
	cmd.Example = "  penstock dlq show clicks-archive.dead 1\n  penstock dlq show clicks-archive.dead --shard 0 --seq 49590338271490256608559692538361571095921575989136588898"
	cmd.Flags().StringVar(&shard, "shard", "", "the record's shard")
	cmd.Flags().StringVar(&seq, "seq", "", "the record's sequence number; the letters of all its rows are shown")
	return cmd
}

func (a *app) printLetter(l numbered) {
	a.printf("letter      %d\npipeline    %s (incarnation %s, plan %d, spec %s)\nstage       %s\ncode        %s\nreason      %s\n",
		l.Number, l.Pipeline, l.Incarnation, l.Plan, l.Spec, l.Stage, l.Code, l.Reason)
	if l.Path != "" {
		a.printf("file        %s, byte %s of its text\n", plainText(l.Path), l.Seq)
	}
	a.printf("source      %s\nshard       %s\nsequence    %s\nrow         %d of the record\narrival     %s\nkey         %s\n",
		l.Source, l.Shard, l.Seq, l.Ord, time.UnixMilli(l.Arrival).UTC().Format(time.RFC3339Nano), plainText(l.Key))
	if text, ok := printable(l.Raw); ok {
		a.printf("data        %d bytes\n%s\n\n", len(l.Raw), text)
	} else {
		a.printf("data        %d bytes, no text\n%s\n", len(l.Raw), hex.Dump(l.Raw))
	}
}

// printable is b as text, if a terminal shows it as it is.
func printable(b []byte) (string, bool) {
	if !utf8.Valid(b) {
		return "", false
	}
	for _, r := range string(b) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return "", false
		}
	}
	return string(b), true
}

// plainText is s on one line, quoted where a terminal would act on it.
func plainText(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	return s
}

// sameShard reports whether what the user wrote, the whole name or its number, means the shard.
func sameShard(written string, id core.ShardID) bool {
	if n, err := strconv.Atoi(written); err == nil && n >= 0 {
		return core.NewShardID(n) == id
	}
	return written == string(id)
}
