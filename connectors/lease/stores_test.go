package lease_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/connectors/lease"
	"github.com/penstock/penstock/connectors/lease/storetest"
	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/controlapi"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/vfs"
)

// inMemory is a control store over an engine in memory.
func inMemory(t *testing.T) *control.Store {
	t.Helper()
	e, err := local.Open(vfs.NewMem(), "/log", local.Config{})
	require.NoError(t, err)
	s, err := control.Open(t.Context(), e, "control", "test", control.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, e.Close())
	})
	return s
}

func TestRowsInTheControlStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) lease.Store { return inMemory(t) })
}

func TestRowsOfAServer(t *testing.T) {
	storetest.Run(t, func(t *testing.T) lease.Store {
		h := httptest.NewServer(awsapi.New(controlapi.Service(inMemory(t), controlapi.Config{}), awsapi.Config{Guard: awsapi.Anyone}))
		t.Cleanup(h.Close)
		return controlapi.NewClient(controlapi.ClientConfig{Endpoint: h.URL}, "p")
	})
}
