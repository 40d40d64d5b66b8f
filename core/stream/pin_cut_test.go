package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
	"github.com/penstock/penstock/core/vfs/vfstest"
)

// planKey is the row of what needs the pins.
const planKey = "plan"

func pinStore(ctx context.Context, fs vfs.FS) (*local.Engine, *control.Store, *Store, error) {
	e, err := local.Open(fs, "/log", local.Config{FileSize: 4096, Idle: time.Hour, Reserve: -1})
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := control.Open(ctx, e, "control", "test", control.Config{SnapshotBytes: 1000})
	if err != nil {
		return nil, nil, nil, errors.Join(err, e.Close())
	}
	return e, c, NewStore(e, c, "test"), nil
}

// pinWorkload plans over what a stream holds, clears the stream, and ends the plan, some times. It returns how many plans
// were made and how many ended, as far as a caller was told.
func pinWorkload(ctx context.Context, fs vfs.FS) (made, ended int, err error) {
	e, c, s, err := pinStore(ctx, fs)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.Close(), e.Close()) }()
	info, err := s.Create(ctx, "s", Settings{})
	if err != nil {
		return 0, 0, err
	}
	st, err := s.Open(ctx, "s")
	for round := 0; err == nil && round < 3; round++ {
		var through core.SequenceNumber
		for n := range 3 {
			out, perr := st.Put(ctx, []Record{{Key: "k", Data: fmt.Appendf(nil, "%d-%d", round, n)}})
			if perr == nil {
				perr = out[0].Err
			}
			if perr != nil {
				return made, ended, perr
			}
			through = out[0].Seq
		}
		pin := PinRow("p", []Pin{{Stream: info.ID, Shard: core.NewShardID(0), Through: through}})
		if _, err = c.Commit(ctx, control.Txn{Writes: []control.Write{{Key: planKey, Value: []byte{byte(round)}}, pin}}); err != nil {
			break
		}
		made++
		if err = st.Clear(ctx); err != nil {
			break
		}
		if _, err = c.Commit(ctx, control.Txn{Writes: []control.Write{{Key: planKey}, Unpin("p")}}); err != nil {
			break
		}
		ended++
		err = st.Clear(ctx)
	}
	return made, ended, err
}

// TestPowerCutsLeavePlansTheirRecords cuts the power at every file-system call of streams that are cleared under plans: a
// plan and its pins are there together, and so are its records.
func TestPowerCutsLeavePlansTheirRecords(t *testing.T) {
	t.Parallel()
	states := 0
	for n := int64(1); ; n++ {
		fs := vfs.NewMem()
		cut := vfstest.At(n)
		fs.Fail(cut.Fail)
		made, ended, err := pinWorkload(t.Context(), fs)
		for sel := range uint64(3) {
			left := fs.CrashClone(rand.New(rand.NewPCG(uint64(n), sel)))
			if sel == 0 {
				left = fs.CrashClone(nil)
			}
			checkPins(t, left, made, ended)
			states++
		}
		if !cut.Came() {
			require.NoError(t, err)
			require.Equal(t, 3, ended)
			break
		}
	}
	t.Logf("campaign=cut-pins states=%d violations=0", states)
}

func checkPins(t *testing.T, fs vfs.FS, made, ended int) {
	t.Helper()
	e, c, s, err := pinStore(t.Context(), fs)
	require.NoError(t, err)
	defer e.Close() //nolint:errcheck // what matters was read
	defer c.Close() //nolint:errcheck // likewise
	plan, open, err := c.Get(t.Context(), planKey)
	require.NoError(t, err)
	rows, err := c.List(t.Context(), pinPrefix)
	require.NoError(t, err)
	require.Equal(t, open, len(rows) == 1, "a plan and its pins come and go together")
	if !open {
		return
	}
	require.GreaterOrEqual(t, int(plan.Value[0]), max(made-1, ended), "what was acknowledged is there")
	st, err := s.Open(t.Context(), "s")
	require.NoError(t, err)
	require.NoError(t, st.Clear(t.Context()))
	p := &pinning{t: t, n: &node{e, c, s}, s: st}
	left := p.stored()
	for n := range 3 {
		require.Contains(t, left, fmt.Sprintf("%d-%d", plan.Value[0], n))
	}
}
