package clients

import (
	"os"
	"testing"

	"github.com/penstock/penstock/integration/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }
