package clients

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// TestJava is of both clients that the SDK has, in both protocols.
func TestJava(t *testing.T) {
	t.Parallel()
	servers.Need(t, "SDK for Java")
	jars, err := servers.Jars(t.Context(), filepath.Join("java", "pom.xml"))
	require.NoError(t, err)
	const cbor, json = "application/x-amz-cbor-1.1", "application/x-amz-json-1.1"
	for name, c := range map[string]struct {
		client, kind string
		flags        []string
	}{
		"HTTP/1.1 with CBOR": {"sync", cbor, nil},
		"HTTP/1.1 with JSON": {"sync", json, []string{"-Daws.cborEnabled=false"}},
		"HTTP/2 with CBOR":   {"async", cbor, nil},
		"HTTP/2 with JSON":   {"async", json, []string{"-Daws.cborEnabled=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append(slices.Clone(c.flags), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars, filepath.Join("java", "RoundTrip.java"), c.client, c.kind)
			roundTrip(t, classes, "java", args...)
		})
	}
}
