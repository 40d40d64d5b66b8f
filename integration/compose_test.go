package integration

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/stretchr/testify/require"
)

// TestTheComposeFileHasItsForm loads docker-compose.yml as Compose does. It runs no container.
func TestTheComposeFileHasItsForm(t *testing.T) {
	opts, err := cli.NewProjectOptions([]string{filepath.Join("..", "docker-compose.yml")}, cli.WithName("penstock"))
	require.NoError(t, err)
	p, err := opts.LoadProject(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"archive", "bucket", "kinesis", "minio"}, slices.Sorted(maps.Keys(p.Services)))
	for _, service := range []string{"minio", "kinesis"} {
		for _, port := range p.Services[service].Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "servers are for this machine only, until somebody says otherwise")
		}
	}
	require.NotNil(t, p.Services["minio"].HealthCheck)
	for _, v := range p.Services["archive"].Volumes {
		if v.Type == "bind" {
			_, err := os.Stat(v.Source)
			require.NoError(t, err)
		}
	}
}
