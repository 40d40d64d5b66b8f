package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

// shardID takes a shard's name, or only its number.
func shardID(arg string) core.ShardID {
	if n, err := strconv.ParseUint(arg, 10, 31); err == nil {
		return core.NewShardID(int(n)) //nolint:gosec // 31 bits
	}
	return core.ShardID(arg)
}

func (a *app) split() *cobra.Command {
	var at string
	cmd := a.onNode("split NAME SHARD", "Divide a shard in two", cobra.ExactArgs(2), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		s, err := n.Streams.Open(cmd.Context(), core.StreamName(args[0]))
		if err != nil {
			return err
		}
		var key *core.HashKey
		if at != "" {
			k, err := core.ParseHashKey(at)
			if err != nil {
				return usage(fmt.Errorf("--at: %w", err))
			}
			key = &k
		}
		children, err := s.Split(cmd.Context(), shardID(args[1]), key)
		if err != nil {
			return err
		}
		shown := make([]shardInfo, len(children))
		for i, sh := range children {
			shown[i] = shownShard(sh)
		}
		return a.show(shown, "%s is closed; its children are %s and %s\n", shardID(args[1]), children[0].ID, children[1].ID)
	})
	cmd.Example = "  penstock streams split clicks 0\n  penstock streams split clicks shardId-000000000000 --at 1000"
	cmd.Flags().StringVar(&at, "at", "", "the hash key that the second child begins with; left out, the middle")
	return cmd
}

func (a *app) merge() *cobra.Command {
	cmd := a.onNode("merge NAME SHARD SHARD", "Make one shard of two whose hash keys lie side by side", cobra.ExactArgs(3),
		func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
			s, err := n.Streams.Open(cmd.Context(), core.StreamName(args[0]))
			if err != nil {
				return err
			}
			child, err := s.Merge(cmd.Context(), shardID(args[1]), shardID(args[2]))
			if err != nil {
				return err
			}
			return a.show(shownShard(child), "%s and %s are closed; their child is %s\n", shardID(args[1]), shardID(args[2]), child.ID)
		})
	cmd.Example = "  penstock streams merge clicks 2 3"
	return cmd
}

func (a *app) maxRecord() *cobra.Command {
	cmd := a.onNode("max-record NAME SIZE", "Change how large a record may be, such as 10MiB", cobra.ExactArgs(2),
		func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
			var size connectors.ByteSize
			if err := size.UnmarshalText([]byte(args[1])); err != nil {
				return usage(err)
			}
			if err := n.Streams.SetMaxRecord(cmd.Context(), core.StreamName(args[0]), int64(size)); err != nil {
				return err
			}
			return a.show(map[string]any{"stream": args[0], "max_record": int64(size)}, "stream %s takes records of %s\n", args[0], size)
		})
	cmd.Example = "  penstock streams max-record clicks 10MiB"
	return cmd
}

func (a *app) rewrap() *cobra.Command {
	var key string
	cmd := a.onNode("rewrap NAME", "Encrypt the data keys of a stream by another master key, instead of those that they had", cobra.ExactArgs(1),
		func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
			s, err := n.Streams.Open(cmd.Context(), core.StreamName(args[0]))
			if err != nil {
				return err
			}
			if err := s.Rewrap(cmd.Context(), key); err != nil {
				return err
			}
			return a.show(map[string]string{"stream": args[0], "key": key}, "stream %s needs no other master key than %s\n", args[0], key)
		})
	cmd.Example = "  penstock streams rewrap clicks --key alias/next"
	cmd.Flags().StringVar(&key, "key", "", "the master key, as StartStreamEncryption names it")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag of the line above
	}
	return cmd
}

// shardLine describes a shard.
func shardLine(sh stream.Shard, last core.SequenceNumber) string {
	state := "open"
	if sh.Closed {
		state = "closed=" + sh.ClosedAt.Format(time.RFC3339)
	}
	parents := make([]string, len(sh.Parents))
	for i, p := range sh.Parents {
		parents[i] = string(p)
	}
	return fmt.Sprintf("%s\t%s\tkeys=%s-%s\tparents=%s\tcreated=%s\tlast=%s", sh.ID, state, sh.Range.Start, sh.Range.End,
		strings.Join(parents, ","), time.Unix(sh.Created, 0).UTC().Format(time.RFC3339), last)
}
