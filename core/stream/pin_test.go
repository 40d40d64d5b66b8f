package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// pinning is a stream of one shard that some records were put to, each in an entry of its own.
type pinning struct {
	t *testing.T
	n *node
	s *Stream
	// given are the sequence numbers of the records, whose data are "0", "1", ...
	given []core.SequenceNumber
}

func newPinning(t *testing.T, records int) *pinning {
	t.Helper()
	p := &pinning{t: t, n: start(t, vfs.NewMem())}
	_, err := p.n.Create(t.Context(), "s", Settings{})
	require.NoError(t, err)
	p.s, err = p.n.Open(t.Context(), "s")
	require.NoError(t, err)
	p.put(records)
	return p
}

func (p *pinning) put(records int) {
	p.t.Helper()
	for range records {
		p.given = append(p.given, put(p.t, p.s, "k", fmt.Sprint(len(p.given)))[0].Seq)
	}
}

func (p *pinning) commit(w control.Write) {
	p.t.Helper()
	_, err := p.n.table.Commit(p.t.Context(), control.Txn{Writes: []control.Write{w}})
	require.NoError(p.t, err)
}

// pin pins the records after one, or from the beginning, through another.
func (p *pinning) pin(by string, from, through int) {
	p.t.Helper()
	pin := Pin{Stream: p.s.ID(), Shard: core.NewShardID(0), Through: p.given[through]}
	if from >= 0 {
		pin.From = p.given[from]
	}
	p.commit(PinRow(by, []Pin{{Stream: "another", Shard: pin.Shard}, pin}))
}

// stored are the records that are stored, whether they have expired or not.
func (p *pinning) stored() (out []string) {
	p.t.Helper()
	tail, err := p.n.engine.Tail(p.t.Context(), p.info().Shards[0].Log)
	require.NoError(p.t, err)
	sh := p.info().Shards[0]
	r, err := p.s.Reread(p.t.Context(), sh.ID, sh.numbering().number(index(sh.Base, tail.First, 0)-1, 0))
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, r.Close()) }()
	for {
		b, err := r.Next(r.ended)
		if err != nil {
			return out
		}
		for i := range int(b.NumRows()) {
			out = append(out, string(b.Rows.Column(core.HiddenColumns).(*array.Binary).Value(i)))
		}
		b.Release()
	}
}

func (p *pinning) info() Info {
	p.t.Helper()
	info, err := p.s.Info(p.t.Context())
	require.NoError(p.t, err)
	return info
}

func pinned(t *testing.T, records int, test func(t *testing.T, p *pinning)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPinning(t, records)
		defer p.n.close(t)
		test(t, p)
	})
}

func TestAPinKeepsRecordsPastTheirRetention(t *testing.T) {
	pinned(t, 5, func(t *testing.T, p *pinning) {
		p.pin("p", 1, 2)
		trimFor(t, p.n, MinRetention+time.Hour)
		p.put(1)
		require.Equal(t, []string{"1", "2", "3", "4", "5"}, p.stored(), "what comes after what is pinned stays with it")

		r, err := p.s.Read(t.Context(), core.NewShardID(0), p.given[1])
		require.NoError(t, err)
		_, err = r.Next(t.Context())
		require.ErrorIs(t, err, shardlog.ErrTrimmed, "others see the trim horizon where it is")
		require.NoError(t, r.Close())
		data, _ := read(t, p.s, core.NewShardID(0), "", 1)
		require.Equal(t, []string{"5"}, data)
		r, err = p.s.Reread(t.Context(), core.NewShardID(0), p.given[1])
		require.NoError(t, err)
		b, err := r.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, p.given[2], b.SequenceOf(0))
		b.Release()
		require.NoError(t, r.Close())

		p.commit(Unpin("p"))
		trimFor(t, p.n, 3*expiredStays)
		require.Equal(t, []string{"5"}, p.stored())
	})
}

func TestAPinEndsADayPastTheRetention(t *testing.T) {
	pinned(t, 3, func(t *testing.T, p *pinning) {
		p.pin("p", -1, 2)
		trimFor(t, p.n, MinRetention+23*time.Hour)
		require.Equal(t, []string{"0", "1", "2"}, p.stored())
		trimFor(t, p.n, time.Hour+3*expiredStays)
		require.Empty(t, p.stored())
	})
}

func TestPinsKeepNoMoreBytesThanTheyMay(t *testing.T) {
	pinned(t, 0, func(t *testing.T, p *pinning) {
		p.n.LimitPins(PinLimits{Bytes: 128 << 10}) // half of it, beside the pin of another stream
		for range 100 {
			p.given = append(p.given, put(t, p.s, "k", fmt.Sprintf("%04d%4096d", len(p.given), 0))[0].Seq)
		}
		p.pin("p", -1, 99)
		trimFor(t, p.n, MinRetention+time.Hour)
		left := p.stored()
		require.NotEmpty(t, left)
		require.Equal(t, "0099", left[len(left)-1][:4], "the oldest go first")
		require.Less(t, len(left), 20)
	})
}

func TestAPinnedShardThatIsClosedStays(t *testing.T) {
	pinned(t, 3, func(t *testing.T, p *pinning) {
		p.pin("p", 1, 2)
		_, err := p.s.Split(t.Context(), core.NewShardID(0), nil)
		require.NoError(t, err)
		trimFor(t, p.n, MinRetention+time.Hour)
		require.Len(t, p.info().Shards, 3)
		require.Equal(t, []string{"1", "2"}, p.stored())
		p.commit(Unpin("p"))
		trimFor(t, p.n, 3*expiredStays)
		require.Len(t, p.info().Shards, 2)
	})
}

func TestClearLeavesWhatIsPinned(t *testing.T) {
	pinned(t, 4, func(t *testing.T, p *pinning) {
		p.pin("p", 1, 2)
		p.pin("q", 2, 3)
		require.NoError(t, p.s.Clear(t.Context()))
		require.Equal(t, []string{"1", "2", "3"}, p.stored())
		p.commit(Unpin("p"))
		require.NoError(t, p.s.Clear(t.Context()))
		require.Equal(t, []string{"2", "3"}, p.stored())
		p.commit(Unpin("q"))
		require.NoError(t, p.s.Clear(t.Context()))
		require.Empty(t, p.stored())
	})
}

func TestAPinnedStreamIsNotDeleted(t *testing.T) {
	pinned(t, 1, func(t *testing.T, p *pinning) {
		p.pin("p", -1, 0)
		require.ErrorIs(t, p.n.Delete(t.Context(), "s"), ErrPinned)
		require.Equal(t, []string{"0"}, p.stored())
		p.commit(Unpin("p"))
		require.NoError(t, p.n.Delete(t.Context(), "s"))
	})
}

func TestGaps(t *testing.T) {
	gap := func(t *testing.T, p *pinning, after core.SequenceNumber) Gap {
		t.Helper()
		g, err := p.s.Gap(t.Context(), core.NewShardID(0), after)
		require.NoError(t, err)
		return g
	}
	pinned(t, 0, func(t *testing.T, p *pinning) {
		require.Equal(t, Gap{}, gap(t, p, ""), "of a shard that never had a record")
		p.put(3)
		require.Equal(t, Gap{}, gap(t, p, ""))
		time.Sleep(6 * time.Hour)
		p.put(2)
		require.Equal(t, Gap{}, gap(t, p, ""))
		time.Sleep(MinRetention - 6*time.Hour + time.Minute)
		require.Equal(t, Gap{p.given[2], 3}, gap(t, p, ""), "expired, and counted as long as it is stored")
		require.Equal(t, Gap{p.given[2], 1}, gap(t, p, p.given[1]))
		require.Equal(t, Gap{}, gap(t, p, p.given[2]))
		require.Equal(t, Gap{}, gap(t, p, p.given[4]))

		trimFor(t, p.n, 30*time.Minute)
		require.Equal(t, []string{"3", "4"}, p.stored())
		g := gap(t, p, p.given[0])
		require.Zero(t, g.Records, "nobody knows")
		require.Equal(t, 1, g.Through.Compare(p.given[2]))
		require.Equal(t, -1, g.Through.Compare(p.given[3]))
		require.Equal(t, Gap{}, gap(t, p, p.given[2]))
		data, _ := read(t, p.s, core.NewShardID(0), g.Through, 2)
		require.Equal(t, []string{"3", "4"}, data)

		trimFor(t, p.n, MinRetention)
		require.Empty(t, p.stored())
		g = gap(t, p, p.given[0])
		require.Equal(t, 1, g.Through.Compare(p.given[4]))
		require.Equal(t, Gap{}, gap(t, p, p.given[4]), "who read everything has missed nothing")
		p.put(1)
		data, _ = read(t, p.s, core.NewShardID(0), g.Through, 1)
		require.Equal(t, []string{"5"}, data)
	})
}

func TestAGapThatIsGoneInPartAndExpiredInPartEndsAtTheHorizon(t *testing.T) {
	pinned(t, 1, func(t *testing.T, p *pinning) {
		trimFor(t, p.n, time.Hour)
		p.put(1)
		trimFor(t, p.n, MinRetention-30*time.Minute) // the first is deleted
		time.Sleep(time.Hour)                        // the second has expired
		require.Equal(t, []string{"1"}, p.stored())
		p.put(1)
		g, err := p.s.Gap(t.Context(), core.NewShardID(0), "")
		require.NoError(t, err)
		require.Zero(t, g.Records)
		data, _ := read(t, p.s, core.NewShardID(0), g.Through, 1)
		require.Equal(t, []string{"2"}, data)
	})
}
