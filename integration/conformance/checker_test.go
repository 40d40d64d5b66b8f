package conformance

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// logOp is a put to a shard or a read of all of it. A shard's records have one order for ever, so at is all there is to a
// put, its place, and to a read, how many records it saw.
type logOp struct {
	put bool
	at  int
}

// shardModel is a shard: how many records it has.
var shardModel = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, _ any) (bool, any) {
		n, op := state.(int), input.(logOp)
		if op.put {
			return n == op.at, n + 1
		}
		return n == op.at, n
	},
}

// Kinds of operations on a stream.
const (
	create = iota
	remove
	describe
	tag
	tagged
)

// streamOp asks something of the stream of a name.
type streamOp struct {
	kind   int
	shards int    // of create
	text   string // of tag
}

// said is the answer to a streamOp.
type said struct {
	unknown bool // none came: it was done, or will be, or never
	refused bool // it was there already, or was not there
	shards  int
	text    string
}

// oneStream is whether there is a stream of a name, and what it is like.
type oneStream struct {
	there  bool
	shards int
	text   string
}

var streamModel = porcupine.Model{
	Init: func() any { return oneStream{} },
	Step: func(state, input, output any) (bool, any) {
		s, op, out := state.(oneStream), input.(streamOp), output.(said)
		after, ok := s, op.kind == create != s.there
		switch {
		case !ok:
		case op.kind == create:
			after = oneStream{there: true, shards: op.shards}
		case op.kind == remove:
			after = oneStream{}
		case op.kind == tag:
			after.text = op.text
		}
		switch {
		case out.unknown: // put last, it is one that was never done
			return true, after
		case out.refused || !ok:
			return out.refused && !ok, s
		case op.kind == describe:
			return out.shards == s.shards, s
		case op.kind == tagged:
			return out.text == s.text, s
		}
		return true, after
	},
}

// checkTime is how long the search for an order may take.
const checkTime = time.Minute

func linearizable(m porcupine.Model, ops []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(m, ops, checkTime) == porcupine.Ok
}

func TestTheCheckersSeeWhatIsWrong(t *testing.T) {
	at := func(call, end int64, in, out any) porcupine.Operation {
		return porcupine.Operation{Input: in, Output: out, Call: call, Return: end}
	}
	put, read := func(n int) any { return logOp{true, n} }, func(n int) any { return logOp{false, n} }
	require.True(t, linearizable(shardModel, []porcupine.Operation{at(0, 9, put(0), nil), at(1, 2, read(0), nil), at(3, 4, read(1), nil)}))
	require.False(t, linearizable(shardModel, []porcupine.Operation{at(0, 1, put(0), nil), at(2, 3, read(0), nil)}), "a read that is stale")
	require.False(t, linearizable(shardModel, []porcupine.Operation{at(0, 9, put(0), nil), at(1, 2, read(1), nil), at(3, 4, read(0), nil)}), "a read before another")
	require.False(t, linearizable(shardModel, []porcupine.Operation{at(0, 1, put(1), nil), at(2, 3, put(0), nil)}), "puts against time")
	made, gone := streamOp{kind: create, shards: 2}, streamOp{kind: remove}
	look := streamOp{kind: describe}
	require.True(t, linearizable(streamModel, []porcupine.Operation{at(0, 1, made, said{}), at(2, 99, gone, said{unknown: true}), at(3, 4, look, said{shards: 2}), at(5, 6, look, said{refused: true})}))
	require.False(t, linearizable(streamModel, []porcupine.Operation{at(0, 1, made, said{}), at(2, 99, gone, said{unknown: true}), at(3, 4, look, said{refused: true}), at(5, 6, look, said{shards: 2})}), "it comes back")
	require.False(t, linearizable(streamModel, []porcupine.Operation{at(0, 1, made, said{}), at(2, 3, made, said{})}), "made twice")
	require.False(t, linearizable(streamModel, []porcupine.Operation{at(0, 1, made, said{}), at(2, 3, streamOp{kind: tag, text: "x"}, said{}), at(4, 5, streamOp{kind: tagged}, said{})}), "a tag is lost")
}
