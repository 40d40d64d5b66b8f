package servers

import (
	"os"
	"testing"
)

// S3For starts an S3 server for a test, which is skipped where it cannot be had, unless REQUIRE_INTEGRATION=1.
func S3For(t *testing.T, name string) *S3 {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real " + name)
	}
	s, err := StartS3(t.Context(), name, t.TempDir())
	if err != nil {
		if os.Getenv("REQUIRE_INTEGRATION") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(s.Kill)
	return s
}
