//go:build linux

package conformance

import (
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/integration/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// rss is how much memory a process has, in bytes.
func rss(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	_, err = fmt.Sscan(string(text), &size, &resident)
	return resident * int64(os.Getpagesize()), err
}
