// Package oracle has what results are held against: other programs that read and write the same formats, of pinned
// versions, outside the product's own dependencies. Only tests and benchmarks use it.
package oracle

import (
	"context"
	_ "embed" // the script
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
)

// Packages are the Python packages that Python has.
var Packages = []string{"pyarrow==26.0.1", "duckdb==2.0.1"}

// Python is a Python with Packages: that of the environment variable PENSTOCK_PYTHON, or one in the cache of servers.
func Python(ctx context.Context) (string, error) {
	if path := os.Getenv("PENSTOCK_PYTHON"); path != "" {
		return path, nil
	}
	return servers.Python(ctx, Packages...)
}

// Need is Python for a test, which is skipped where none is set, but not with REQUIRE_INTEGRATION=1.
func Need(tb testing.TB) string {
	tb.Helper()
	if os.Getenv("PENSTOCK_PYTHON") == "" && os.Getenv("REQUIRE_INTEGRATION") != "1" {
		tb.Skip("PENSTOCK_PYTHON names no Python with pyarrow and duckdb; REQUIRE_INTEGRATION=1 makes one")
	}
	bin, err := Python(tb.Context())
	if err != nil {
		tb.Fatalf("a Python with %s is needed: %v", strings.Join(Packages, " and "), err)
	}
	return bin
}

//go:embed parquet.py
var parquetScript string

// CheckParquet reads a Parquet file with pyarrow and with DuckDB and holds the rows against lines of JSON as
// sinks/internal/ndjson writes them. It returns what the check printed.
func CheckParquet(ctx context.Context, python, file, lines string) (string, error) {
	out, err := exec.CommandContext(ctx, python, "-c", parquetScript, file, lines).CombinedOutput() //nolint:gosec // a test's own files
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", file, err, out)
	}
	return string(out), nil
}
