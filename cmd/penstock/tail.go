package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/pipelines"
)

func (a *app) tail() *cobra.Command {
	var from string
	var shards []string
	t := &tailer{}
	cmd := a.onNode("tail STREAM", "Print the records of a stream", cobra.ExactArgs(1), func(cmd *cobra.Command, n *pipelines.Node, args []string) error {
		if t.left == 0 {
			t.left = -1
		}
		start, err := parseFrom(from, t.follow, time.Now())
		if err != nil {
			return usage(err)
		}
		if t.stream, err = n.Streams.Open(cmd.Context(), core.StreamName(args[0])); err != nil {
			return err
		}
		info, err := t.stream.Info(cmd.Context())
		if err != nil {
			return err
		}
		chosen, err := choose(info, shards)
		if err != nil {
			return usage(err)
		}
		a.streamed = a.json
		t.print = a.printRecord
		if err = t.run(cmd.Context(), chosen, start); cmd.Context().Err() != nil {
			err = nil // asked to end
		}
		return err
	})
	cmd.Long = `Print the records of a stream, those of all shards in order of their arrival, up to the last one that is there now;
with --follow go on with those that come, until stopped. With --json a record is a line of its own, an object with
shard, seq, arrival, key and data, or base64 where the data is no UTF-8.`
	cmd.Example = "  penstock tail clicks --count 10\n  penstock tail clicks --follow --json | jq .key\n  penstock tail clicks --from 15m --shard 0"
	cmd.Flags().StringVar(&from, "from", "", "where to begin: trim_horizon, latest, a time such as 2026-01-01T00:00:00Z, or how long ago such as 15m; left out, trim_horizon, and with --follow latest")
	cmd.Flags().StringArrayVar(&shards, "shard", nil, "only this shard, by its name or number; may be repeated")
	cmd.Flags().Int64Var(&t.left, "count", 0, "end after this many records; 0: no bound")
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with records that come")
	return cmd
}

// tailStart is where to begin in a shard: at the trim horizon where it is zero.
type tailStart struct {
	latest bool
	at     time.Time
}

func parseFrom(from string, follow bool, now time.Time) (tailStart, error) {
	switch from {
	case "":
		return tailStart{latest: follow}, nil
	case "trim_horizon":
		return tailStart{}, nil
	case "latest":
		if !follow {
			return tailStart{}, errors.New("--from latest: there is nothing after the latest record yet; add --follow")
		}
		return tailStart{latest: true}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, from); err == nil {
		return tailStart{at: t}, nil
	}
	if d, err := time.ParseDuration(from); err == nil && d >= 0 {
		return tailStart{at: now.Add(-d)}, nil
	}
	return tailStart{}, fmt.Errorf("--from %q is none of trim_horizon, latest, a time such as 2026-01-01T00:00:00Z, or how long ago such as 15m", from)
}

// choose is the shards that were asked for, all of them where none was.
func choose(info stream.Info, written []string) ([]core.ShardID, error) {
	var out []core.ShardID
	for _, sh := range info.Shards {
		for _, w := range written {
			if sameShard(w, sh.ID) {
				out = append(out, sh.ID)
				break
			}
		}
		if len(written) == 0 {
			out = append(out, sh.ID)
		}
	}
	for _, w := range written {
		found := false
		for _, id := range out {
			found = found || sameShard(w, id)
		}
		if !found {
			return nil, fmt.Errorf("--shard %s: stream %s has no such shard; penstock streams describe %s lists those there are", w, info.Name, info.Name)
		}
	}
	return out, nil
}

// tailed is a record as --json prints it.
type tailed struct {
	Shard   core.ShardID        `json:"shard"`
	Seq     core.SequenceNumber `json:"seq"`
	Arrival string              `json:"arrival"`
	Key     string              `json:"key"`
	Data    *string             `json:"data,omitempty"`
	Base64  []byte              `json:"base64,omitempty"` // where the data is no UTF-8
}

// printRecord prints record i of b.
func (a *app) printRecord(b core.Batch, i int) error {
	data := b.Rows.Column(core.HiddenColumns).(*array.Binary).Value(i)
	arrival := time.UnixMilli(int64(b.Arrivals().Value(i))).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	if !a.json {
		text := plainText(string(data))
		_, err := fmt.Fprintf(a.out, "%s %s %s %s %s\n", arrival, strings.TrimPrefix(string(b.Shard), "shardId-"), b.SequenceOf(i), plainText(b.Keys().Value(i)), text)
		return err
	}
	r := tailed{Shard: b.Shard, Seq: b.SequenceOf(i), Arrival: arrival, Key: b.Keys().Value(i)}
	if utf8.Valid(data) {
		text := string(data)
		r.Data = &text
	} else {
		r.Base64 = data
	}
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
