package dynamodb

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors"
)

// TestAnotherStreamsShardIsNotRead: the pipeline read stream A to the end of a shard, by itself. The stream is made again under its name, or the file names another.
func TestAnotherStreamsShardIsNotRead(t *testing.T) {
	s := newStore(Config{Table: "app", Pipeline: "p"})
	const old, anew = "pipelines/p/i/shards/arn:a@1/shardId-000000000000", "pipelines/p/i/shards/arn:a@2/shardId-000000000000"
	was, ok := s.partOf(old)
	require.True(t, ok)
	text, err := json.Marshal(connectors.Progress{Source: was.source, Shard: "shardId-000000000000", Checkpoint: "495", Ended: true})
	require.NoError(t, err)
	end := extended{shardEnd, 0}
	c := shardItem{there: true, at: end, progress: moved{value: text, version: 7, of: was.of, at: end}}
	now, ok := s.partOf(anew)
	require.True(t, ok)
	r, ok := s.row(c, now)
	require.False(t, ok, "%s: the new stream's shard has progress that nobody made", r.Value)
}
