package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/deadletter"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// onNode is a command that needs the data directory.
func (a *app) onNode(use, short string, args cobra.PositionalArgs, f func(cmd *cobra.Command, n *pipelines.Node, args []string) error) *cobra.Command {
	var data string
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		return classify(withNode(cmd.Context(), data, func(n *pipelines.Node) error { return f(cmd, n, args) }))
	}}
	cmd.Flags().StringVar(&data, "data", defaultData, "data directory")
	return cmd
}

func (a *app) streams() *cobra.Command {
	root := &cobra.Command{Use: "streams", Short: "Make, look at and delete streams"}
	var set stream.Settings
	create := a.onNode("create NAME", "Make a stream", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		info, err := n.Streams.Create(cmd.Context(), core.StreamName(args[0]), set)
		if err != nil {
			return err
		}
		return a.show(info, "stream %s has %d shards\n", info.Name, len(info.Shards))
	})
	create.Flags().IntVar(&set.Shards, "shards", 1, "shards that share the hash keys")
	create.Flags().DurationVar(&set.Retention, "retention", stream.MinRetention, "how long records are kept, 24h to 8760h")
	create.Flags().Int64Var(&set.MaxRecord, "max-record", stream.DefaultMaxRecord, "bytes of key and data that a record may have, up to 10485760")
	list := a.onNode("list", "List streams", cobra.NoArgs, func(cmd *cobra.Command, n *pipelines.Node, _ []string) error {
		infos, err := n.Streams.List(cmd.Context())
		if err != nil {
			return err
		}
		if a.json {
			return json.NewEncoder(a.out).Encode(infos)
		}
		for _, i := range infos {
			_, _ = fmt.Fprintf(a.out, "%s\tshards=%d\tretention=%s\n", i.Name, len(i.Shards), i.Retention)
		}
		return nil
	})
	remove := a.onNode("delete NAME", "Delete a stream and its records", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		return n.Streams.Delete(cmd.Context(), core.StreamName(args[0]))
	})
	var keep time.Duration
	retention := a.onNode("retention NAME", "Change how long records are kept", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		return n.Streams.SetRetention(cmd.Context(), core.StreamName(args[0]), keep)
	})
	retention.Flags().DurationVar(&keep, "keep", stream.MinRetention, "24h to 8760h")
	root.AddCommand(create, list, a.describe(), remove, retention)
	root.AddCommand(a.split(), a.merge(), a.maxRecord())
	return root
}

func (a *app) describe() *cobra.Command {
	return a.onNode("describe NAME", "Show a stream's shards", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		s, err := n.Streams.Open(cmd.Context(), core.StreamName(args[0]))
		if err != nil {
			return err
		}
		info, err := s.Info(cmd.Context())
		if err != nil {
			return err
		}
		if a.json {
			return json.NewEncoder(a.out).Encode(info)
		}
		for _, sh := range info.Shards {
			last, err := s.Last(cmd.Context(), sh.ID)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(a.out, shardLine(sh, last))
		}
		return nil
	})
}

// show prints v as JSON, or a line.
func (a *app) show(v any, format string, args ...any) error {
	if a.json {
		return json.NewEncoder(a.out).Encode(v)
	}
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}

func (a *app) put() *cobra.Command {
	var key string
	cmd := a.onNode("put STREAM", "Put the lines of standard input, a record each", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		s, err := n.Streams.Open(cmd.Context(), core.StreamName(args[0]))
		if err != nil {
			return err
		}
		in := bufio.NewScanner(a.in)
		in.Buffer(make([]byte, 1<<16), stream.MaxMaxRecord+1)
		var records []stream.Record
		var total int64
		flush := func() error {
			results, err := s.Put(cmd.Context(), records)
			if err != nil {
				return err
			}
			for i, r := range results {
				if r.Err != nil {
					return fmt.Errorf("line %d: %w", total+int64(i)+1, r.Err)
				}
			}
			total += int64(len(records))
			records = records[:0]
			return nil
		}
		for in.Scan() {
			k := key
			if k == "" {
				k = fmt.Sprint(total + int64(len(records)))
			}
			records = append(records, stream.Record{Key: k, Data: append([]byte(nil), in.Bytes()...)})
			if len(records) == 1000 {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := in.Err(); err != nil {
			return fmt.Errorf("read standard input after line %d: %w", total+int64(len(records)), err)
		}
		if err := flush(); err != nil {
			return err
		}
		return a.show(map[string]int64{"records": total}, "%d records put into %s\n", total, args[0])
	})
	cmd.Flags().StringVar(&key, "key", "", "partition key of every record; left out, the line's number")
	return cmd
}

func (a *app) pipelines() *cobra.Command {
	root := &cobra.Command{Use: "pipelines", Short: "Look at and reset pipelines"}
	list := a.onNode("list", "List the pipelines that ran", cobra.NoArgs, func(cmd *cobra.Command, n *pipelines.Node, _ []string) error {
		names, err := connectors.ListPipelines(cmd.Context(), n.Control)
		if err != nil || a.json {
			return a.jsonOr(names, err)
		}
		for _, name := range names {
			_, _ = fmt.Fprintln(a.out, name)
		}
		return nil
	})
	describe := a.onNode("describe NAME", "Show how far a pipeline got in each shard", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		all, err := connectors.ListProgress(cmd.Context(), n.Control, args[0])
		if err != nil || a.json {
			return a.jsonOr(all, err)
		}
		for _, p := range all {
			_, _ = fmt.Fprintf(a.out, "%s %s: checkpoint=%s open_plan=%d rows=%d written=%d filtered=%d dead=%d\n", p.Source, p.Shard, p.Checkpoint, p.OpenPlan,
				p.Totals.Rows, p.Totals.Written, p.Totals.Filtered+p.Totals.Null, p.Totals.Dead)
		}
		return nil
	})
	reset := a.onNode("reset NAME", "Make a pipeline begin anew when it next runs", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		return connectors.Reset(cmd.Context(), n.Control, args[0])
	})
	root.AddCommand(list, describe, reset)
	return root
}

func (a *app) jsonOr(v any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(a.out).Encode(v)
}

func (a *app) dlq() *cobra.Command {
	root := &cobra.Command{Use: "dlq", Short: "Look at dead letters"}
	root.AddCommand(a.onNode("list STREAM", "List the dead letters in a stream such as clicks-archive.dead", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		s, err := deadletter.New(n.Streams, core.StreamName(args[0]))
		if err != nil {
			return err
		}
		return s.List(cmd.Context(), func(l connectors.DeadLetter) bool {
			if a.json {
				return json.NewEncoder(a.out).Encode(l) == nil
			}
			_, err := fmt.Fprintf(a.out, "%s %s %d %s %s: %s\n", l.Shard, l.Seq, l.Ord, l.Stage, l.Code, l.Reason)
			return err == nil
		})
	}))
	return root
}
