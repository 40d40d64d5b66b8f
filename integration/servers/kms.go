package servers

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// KMS is a server that speaks the API of AWS KMS.
type KMS struct {
	Name     string
	Endpoint string // http://127.0.0.1:port
	Client   *kms.Client

	proc *process
}

// KMSNames are the servers that NewKMS knows. moto has its keys in memory and uses those that are disabled; local-kms
// keeps them in a folder, and refuses.
func KMSNames() []string { return []string{"moto", "local-kms"} }

// NewKMS makes a server of that name ready to be started, which may keep its keys below dir.
func NewKMS(ctx context.Context, name, dir string) (*KMS, error) {
	addr, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	k := &KMS{Name: name, Endpoint: "http://" + addr, proc: &process{}}
	switch name {
	case "moto":
		k.proc.program, err = Python(ctx, moto...)
		k.proc.args = []string{"-m", "moto.server", "-H", host, "-p", port}
	case "local-kms":
		k.proc.program, err = install(ctx, localKMSPackage)
		k.proc.env = []string{"PORT=" + port, "KMS_DATA_PATH=" + filepath.Join(dir, "keys"), "KMS_REGION=us-east-1"}
	default:
		return nil, fmt.Errorf("no server of KMS is called %s: have %v", name, KMSNames())
	}
	if err != nil {
		return nil, err
	}
	k.proc.ready = func(ctx context.Context) error { return answers(ctx, k.Endpoint) }
	k.Client = kms.New(kms.Options{
		BaseEndpoint: &k.Endpoint, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	return k, nil
}

// Start starts the server, again after Kill.
func (k *KMS) Start(ctx context.Context) error { return k.proc.start(ctx) }

// Kill ends the server as a power cut would.
func (k *KMS) Kill() { k.proc.kill() }

// Key makes a master key, which an alias stands for, and returns its id.
func (k *KMS) Key(ctx context.Context, alias string) (string, error) {
	made, err := k.Client.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return "", err
	}
	id := aws.ToString(made.KeyMetadata.KeyId)
	_, err = k.Client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &id})
	return id, err
}

// KMSFor makes a server for a test, which is skipped unless REQUIRE_INTEGRATION=1. The test starts it.
func KMSFor(t *testing.T, name string) *KMS {
	t.Helper()
	Need(t, name)
	k, err := NewKMS(t.Context(), name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if k.proc.cmd != nil {
			k.Kill()
		}
	})
	return k
}
