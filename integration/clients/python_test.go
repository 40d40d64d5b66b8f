package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/integration/servetest"
)

// Of one botocore.
var pythonPackages = []string{"boto3==1.43.11", "botocore==1.43.11", "awscli==1.45.11"}

func python(t *testing.T) string {
	t.Helper()
	servers.Need(t, "boto3 and AWS CLI")
	path, err := servers.Python(t.Context(), pythonPackages...)
	require.NoError(t, err)
	return path
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	roundTrip(t, classes, python(t), filepath.Join("python", "roundtrip.py"))
}

// TestBoto3OverTLS is of a client that is given the server's CA by AWS_CA_BUNDLE, and of one that is not.
func TestBoto3OverTLS(t *testing.T) {
	t.Parallel()
	py, server := python(t), servetest.New(t, "--tls-self-signed")
	list := exec.CommandContext(t.Context(), py, "-m", "awscli", "--endpoint-url", server.Endpoint, "--region", "us-east-1", "kinesis", "list-streams") //nolint:gosec // the tests' own
	list.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
	said, err := list.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "SSL validation failed")
	roundTripAt(t, server, classes, py, filepath.Join("python", "roundtrip.py"))
}
