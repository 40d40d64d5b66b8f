package lease

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/control"
)

// TestALeaseIsRenewedOnlyWhereAnotherMayLook: each renewal is a commit, and with many shards they would take much of what
// the log can sync.
func TestALeaseIsRenewedOnlyWhereAnotherMayLook(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := control.NewScratch()
			m := NewManager(store, Config{Owner: "me", Exclusive: exclusive})
			l, err := m.Take(t.Context(), "k")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			go m.Run(ctx)
			time.Sleep(time.Minute)
			cancel()
			_, st, err := load(t.Context(), store, "k")
			require.NoError(t, err)
			require.Equal(t, exclusive, st.Counter == 0)
			_, err = l.Check(t.Context())
			require.NoError(t, err)
		})
	}
}
