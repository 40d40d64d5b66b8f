package servers

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/awsapi/sigv4"
)

// Kinesis is a server that speaks the API of Kinesis Data Streams.
type Kinesis struct {
	Name     string
	Endpoint string    // http://127.0.0.1:port
	Key      sigv4.Key // the others take any

	proc *process
}

//go:embed kinesis
var kinesisPackages embed.FS

// KinesisNames are the servers that NewKinesis knows. All but Penstock keep their records in memory.
func KinesisNames() []string { return []string{"penstock", "kinesalite", "kinesis-local", "moto"} }

// NewKinesis makes a server of that name ready to be started. Penstock is built as it is, and keeps its data below dir.
func NewKinesis(ctx context.Context, name, dir string) (*Kinesis, error) {
	addr, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	k := &Kinesis{Name: name, Endpoint: "http://" + addr, Key: sigv4.Key{AccessKey: "key", Secret: core.NewSecret("secret")}, proc: &process{}}
	_, port, _ := strings.Cut(addr, ":")
	switch name {
	case "penstock":
		err = k.penstock(ctx, dir, addr)
	case "kinesalite":
		err = k.proc.node(ctx, kinesisPackages, "kinesis", "kinesalite/cli.js", "--port", port, "--shardLimit", "1000")
	case "kinesis-local":
		var tls string
		if tls, err = freePort(ctx); err != nil {
			return nil, err
		}
		_, tls, _ = strings.Cut(tls, ":")
		k.proc.env = []string{"KINESIS_MOCK_PLAIN_PORT=" + port, "KINESIS_MOCK_TLS_PORT=" + tls, "LOG_LEVEL=ERROR", "SHARD_LIMIT=1000"}
		err = k.proc.node(ctx, kinesisPackages, "kinesis", "kinesis-local/main.js")
	case "moto":
		k.proc.program, err = Python(ctx, moto...)
		k.proc.args = []string{"-m", "moto.server", "--host", "127.0.0.1", "--port", port}
	default:
		return nil, fmt.Errorf("no server of Kinesis is called %s: have %v", name, KinesisNames())
	}
	if err != nil {
		return nil, err
	}
	k.proc.ready = func(ctx context.Context) error { return answers(ctx, k.Endpoint) }
	return k, nil
}

// Start starts the server, again after Kill: Penstock with what it kept.
func (k *Kinesis) Start(ctx context.Context) error { return k.proc.start(ctx) }

// penstock makes the server ours, with a key of its own.
func (k *Kinesis) penstock(ctx context.Context, dir, addr string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	keys := filepath.Join(dir, "credentials.yaml")
	if k.Key, err = iam.Generate(keys); err != nil {
		return err
	}
	k.proc.program = filepath.Join(dir, "penstock")
	k.proc.args = []string{"serve", "--auth", keys, "--listen", addr, "--data", filepath.Join(dir, "data")}
	return command(ctx, "", "go", "build", "-o", k.proc.program, "github.com/penstock/penstock/cmd/penstock")
}

// Kill ends the server as a power cut would.
func (k *Kinesis) Kill() { k.proc.kill() }
