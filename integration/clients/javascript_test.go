package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestJavaScript is over HTTP/2 with prior knowledge, which is that SDK's default.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	servers.Need(t, "SDK for JavaScript")
	folder, err := servers.Node(t.Context(), os.DirFS("javascript"))
	require.NoError(t, err)
	roundTrip(t, classes, "node", filepath.Join("javascript", "roundtrip.mjs"), folder)
}
