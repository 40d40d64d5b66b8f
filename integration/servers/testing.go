package servers

import (
	"context"
	"os"
	"testing"
)

// S3For starts an S3 server for a test, which is skipped where it cannot be had, unless REQUIRE_INTEGRATION=1.
func S3For(t *testing.T, name string) *S3 {
	t.Helper()
	dir := t.TempDir()
	s := needed(t, name, func(ctx context.Context) (*S3, error) { return StartS3(ctx, name, dir) })
	t.Cleanup(s.Kill)
	return s
}

// PythonFor is Python for a test, which is skipped where it cannot be had, unless REQUIRE_INTEGRATION=1.
func PythonFor(t *testing.T, requirements string) string {
	t.Helper()
	return needed(t, "python", func(ctx context.Context) (string, error) { return Python(ctx, requirements) })
}

func needed[T any](t *testing.T, name string, get func(context.Context) (T, error)) T {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real " + name)
	}
	v, err := get(t.Context())
	if err != nil {
		if os.Getenv("REQUIRE_INTEGRATION") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return v
}
