package kinesis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
)

const aNumber = core.SequenceNumber("49590338271490256608559692538361571095921575989136588898")

func TestPositionsComeBackFromTheirNumbers(t *testing.T) {
	b, ok := before(aNumber)
	require.True(t, ok)
	at := position{kind: atTime, at: time.UnixMilli(1764091339123)}
	for _, p := range []position{{}, after(aNumber), b, at} {
		require.Equal(t, p, parsePosition(p.number()))
		_, err := core.ParseSequenceNumber(string(p.number()))
		require.True(t, p.kind == atStart || err == nil)
	}
	require.Equal(t, -1, b.number().Compare(aNumber))
	require.Equal(t, -1, at.number().Compare(b.number()))
	_, ok = before("21269319989900637946712965403778482371")
	require.False(t, ok, "a number of another kind")
	require.Equal(t, after("7"), parsePosition("7"))
}

func TestAShardsAgeIsInItsNumbers(t *testing.T) {
	at, ok := createdAt(aNumber)
	require.True(t, ok)
	require.Equal(t, 2018, at.UTC().Year())
	for _, other := range []core.SequenceNumber{"1", "", "21269319989900637946712965403778482371"} {
		_, ok := createdAt(other)
		require.False(t, ok)
	}
}

func TestACheckpointAsKCLHasIt(t *testing.T) {
	const number = string(aNumber)
	b, ok := before(aNumber)
	require.True(t, ok)
	for name, c := range map[string]struct {
		checkpoint core.SequenceNumber
		number     string
		sub        int64
	}{
		"nothing was read": {"", "TRIM_HORIZON", 0},
		"after a record":   {aNumber, number, 1<<31 - 1},
		"before a record":  {b.number(), number, -1},
		"at a time":        {position{kind: atTime, at: time.UnixMilli(1700000000000)}.number(), "TRIM_HORIZON", 0},
	} {
		got, sub := Extended(c.checkpoint)
		require.Equal(t, c.number, got, name)
		require.Equal(t, c.sub, sub, name)
	}
}
