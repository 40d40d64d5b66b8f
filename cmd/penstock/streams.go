package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// onNode is a command that needs the data directory.
func (a *app) onNode(use, short string, args cobra.PositionalArgs, f nodeCommand) *cobra.Command {
	return a.command(use, short, args, withNode, f)
}

// nodeCommand is what a command does with the node of the data directory.
type nodeCommand func(cmd *cobra.Command, n *pipelines.Node, args []string) error

// command is a command on a node that open opens.
func (a *app) command(use, short string, args cobra.PositionalArgs, open func(context.Context, string, func(*pipelines.Node) error) error, f nodeCommand) *cobra.Command {
	var data string
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		err := open(cmd.Context(), data, func(n *pipelines.Node) error { return f(cmd, n, args) })
		if errors.Is(err, stream.ErrNotFound) {
			err = fmt.Errorf("%w; penstock streams list shows those there are", err)
		}
		return classify(err)
	}}
	cmd.ValidArgsFunction = noFiles
	dataFlag(cmd, &data)
	return cmd
}

func (a *app) streams() *cobra.Command {
	root := &cobra.Command{Use: "streams", Short: "Make, look at and delete streams", Example: "  penstock streams create clicks --shards 4"}
	var set stream.Settings
	retained, largest := connectors.Duration(stream.MinRetention), connectors.ByteSize(stream.DefaultMaxRecord)
	create := a.command("create NAME", "Make a stream", cobra.ExactArgs(1), makeNode, func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if set.Shards < 1 {
			return usage(fmt.Errorf("--shards %d: a stream has one or more", set.Shards))
		}
		set.Retention, set.MaxRecord = time.Duration(retained), int64(largest)
		info, err := n.Streams.Create(cmd.Context(), core.StreamName(args[0]), set)
		if err != nil {
			return err
		}
		return a.show(shownStream(info, nil), "stream %s has %d shards\n", info.Name, len(info.Shards))
	})
	create.Example = "  penstock streams create clicks --shards 4 --retention 7d"
	create.Flags().IntVar(&set.Shards, "shards", 1, "shards that share the hash keys")
	create.Flags().TextVar(&retained, "retention", retained, "how long records are kept, 24h to 8760h, or in days such as 7d")
	create.Flags().TextVar(&largest, "max-record", largest, "bytes of key and data that a record may have, up to 10MiB")
	list := a.onNode("list", "List streams", cobra.NoArgs, func(cmd *cobra.Command, n *pipelines.Node, _ []string) error {
		infos, err := n.Streams.List(cmd.Context())
		if err != nil {
			return err
		}
		shown := make([]streamInfo, len(infos))
		for i, info := range infos {
			shown[i] = shownStream(info, nil)
		}
		return a.answer(shown, func() {
			for _, i := range infos {
				a.printf("%s\tshards=%d\tretention=%s\n", i.Name, len(i.Shards), i.Retention)
			}
		})
	})
	list.Example = "  penstock streams list"
	remove := a.onNode("delete NAME", "Delete a stream and its records", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if err := n.Streams.Delete(cmd.Context(), core.StreamName(args[0])); err != nil {
			return err
		}
		return a.show(map[string]string{"deleted": args[0]}, "stream %s is deleted\n", args[0])
	})
	remove.Example = "  penstock streams delete clicks"
	keep := connectors.Duration(stream.MinRetention)
	retention := a.onNode("retention NAME", "Change how long records are kept", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if err := n.Streams.SetRetention(cmd.Context(), core.StreamName(args[0]), time.Duration(keep)); err != nil {
			return err
		}
		return a.show(map[string]string{"stream": args[0], "retention": keep.String()}, "stream %s keeps its records for %s\n", args[0], keep)
	})
	retention.Example = "  penstock streams retention clicks --keep 7d"
	retention.Flags().TextVar(&keep, "keep", keep, "24h to 8760h, or in days such as 7d")
	root.AddCommand(create, list, a.describe(), remove, retention)
	root.AddCommand(a.split(), a.merge(), a.maxRecord(), a.rewrap())
	return root
}

// streamInfo is a stream as commands show it: lengths of time as Go writes them, hash keys as the decimals that AWS has.
type streamInfo struct {
	stream.Info
	Retention connectors.Duration `json:"retention"`
	Shards    []shardInfo         `json:"shards"`
	Intent    *struct{}           `json:"intent,omitempty"` // not shown: whoever looks finishes it
}

// shardInfo is a shard as commands show it.
type shardInfo struct {
	stream.Shard
	Range hashKeys             `json:"range"`
	Last  *core.SequenceNumber `json:"last,omitempty"` // of its last record, where that was asked for
}

// hashKeys are a hash range as decimals, both ends included.
type hashKeys struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

func shownShard(sh stream.Shard) shardInfo {
	return shardInfo{Shard: sh, Range: hashKeys{sh.Range.Start.String(), sh.Range.End.String()}}
}

// shownStream is how a stream is shown; last are the last sequence numbers of its shards, or none.
func shownStream(info stream.Info, last []core.SequenceNumber) streamInfo {
	out := streamInfo{Info: info, Retention: connectors.Duration(info.Retention), Shards: make([]shardInfo, len(info.Shards))}
	for i, sh := range info.Shards {
		out.Shards[i] = shownShard(sh)
		if last != nil {
			out.Shards[i].Last = &last[i]
		}
	}
	return out
}

func (a *app) describe() *cobra.Command {
	cmd := a.onNode("describe NAME", "Show a stream's shards", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		s, err := n.Streams.Open(cmd.Context(), core.StreamName(args[0]))
		if err != nil {
			return err
		}
		info, err := s.Info(cmd.Context())
		if err != nil {
			return err
		}
		last := make([]core.SequenceNumber, len(info.Shards))
		for i, sh := range info.Shards {
			if last[i], err = s.Last(cmd.Context(), sh.ID); err != nil {
				return err
			}
		}
		return a.answer(shownStream(info, last), func() {
			a.printf("stream %s: id=%s retention=%s max_record=%d created=%s\n", info.Name, info.ID, info.Retention, info.MaxRecord, info.Created.Format(time.RFC3339))
			for i, sh := range info.Shards {
				a.printf("%s\n", shardLine(sh, last[i]))
			}
		})
	})
	cmd.Example = "  penstock streams describe clicks"
	return cmd
}
