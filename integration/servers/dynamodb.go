package servers

import (
	"context"
	"embed"
	"net"
	"path/filepath"
	"testing"
)

// moto speaks the APIs of DynamoDB, Kinesis and KMS, under an open licence.
var moto = []string{"moto[dynamodb,server]==5.2.5", "boto3==1.43.11", "botocore==1.43.11"}

// oneByOne starts moto so that it answers one request after another: its transactions copy whole tables back when a condition
// fails, and with them undo what others wrote meanwhile.
const oneByOne = `import sys, threading
import moto.server as server

run, lock = server.run_simple, threading.Lock()


def one_by_one(host, port, app, **rest):
    def locked(environ, start_response):
        with lock:
            return app(environ, start_response)

    run(host, port, locked, **rest)


server.run_simple = one_by_one
server.main(sys.argv[1:])
`

//go:embed dynalite
var dynalitePackages embed.FS

// DynamoDB is a server that speaks the DynamoDB API.
type DynamoDB struct {
	Endpoint string // http://127.0.0.1:port
	proc     *process
}

// StartDynamoDB starts moto, which has its tables in memory.
func StartDynamoDB(ctx context.Context) (*DynamoDB, error) {
	python, err := Python(ctx, moto...)
	if err != nil {
		return nil, err
	}
	addr, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := &DynamoDB{Endpoint: "http://" + addr}
	d.proc = &process{
		program: python,
		args:    []string{"-c", oneByOne, "-H", host, "-p", port},
		ready:   func(ctx context.Context) error { return answers(ctx, d.Endpoint) },
	}
	return d, d.proc.start(ctx)
}

// StartDynalite starts dynalite, which keeps its tables below dir. It removes nothing by time to live.
func StartDynalite(ctx context.Context, dir string) (*DynamoDB, error) {
	addr, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := &DynamoDB{Endpoint: "http://" + addr, proc: &process{}}
	args := []string{"--host", host, "--port", port, "--path", filepath.Join(dir, "tables"), "--createTableMs", "50"}
	if err := d.proc.node(ctx, dynalitePackages, "dynalite", "dynalite/cli.js", args...); err != nil {
		return nil, err
	}
	d.proc.ready = func(ctx context.Context) error { return answers(ctx, d.Endpoint) }
	return d, d.proc.start(ctx)
}

// Restart starts the server again after Kill, with the tables that it kept.
func (d *DynamoDB) Restart(ctx context.Context) error { return d.proc.start(ctx) }

// Kill ends the server as a power cut would; tables in memory are gone.
func (d *DynamoDB) Kill() { d.proc.kill() }

// DynamoDBFor starts a DynamoDB server for a test, which is skipped unless REQUIRE_INTEGRATION=1.
func DynamoDBFor(t *testing.T) *DynamoDB {
	t.Helper()
	Need(t, "server of the DynamoDB API")
	d, err := StartDynamoDB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	return d
}

// DynaliteFor starts dynalite for a test, which is skipped unless REQUIRE_INTEGRATION=1.
func DynaliteFor(t *testing.T) *DynamoDB {
	t.Helper()
	Need(t, "server of the DynamoDB API")
	d, err := StartDynalite(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	return d
}
