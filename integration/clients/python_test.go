package clients

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
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
