package servers

import (
	"os"
	"testing"
)

// Need skips a test that starts what, unless REQUIRE_INTEGRATION=1.
func Need(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("REQUIRE_INTEGRATION") != "1" {
		t.Skip("starts a real " + what + " with REQUIRE_INTEGRATION=1")
	}
}

// S3For starts an S3 server for a test, which is skipped unless REQUIRE_INTEGRATION=1.
func S3For(t *testing.T, name string) *S3 {
	t.Helper()
	Need(t, name)
	s, err := StartS3(t.Context(), name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}
