package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/awsapi/access"
	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/controlapi"
	"github.com/penstock/penstock/core/kinesisapi"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/sealing/kms"
)

const (
	authNone        = "none"
	credentialsFile = "credentials.yaml"
)

// Environment variables that say where master keys are, for every command.
const (
	keysVariable = "PENSTOCK_ENCRYPTION_KEYS"
	kmsVariable  = "PENSTOCK_ENCRYPTION_KMS"
)

// defaultRegion is the API's, and that of a key service where the environment names none.
const defaultRegion = "us-east-1"

// keyPlaces are where the master keys of encrypted streams are; both may be. Where one is not said, its variable is.
type keyPlaces struct{ file, kms string }

// open returns the master keys; nil where there are none.
func (p keyPlaces) open(ctx context.Context) (sealing.Masters, error) {
	file, endpoint := cmp.Or(p.file, os.Getenv(keysVariable)), cmp.Or(p.kms, os.Getenv(kmsVariable))
	var service sealing.Masters
	if endpoint != "" {
		m, err := kms.New(ctx, endpoint, defaultRegion)
		if err != nil {
			return nil, fmt.Errorf("--encryption-kms: %w", err) // the URL could have a password
		}
		service = m
	}
	if file == "" {
		return service, nil
	}
	keys, err := sealing.OpenFile(file)
	if err != nil {
		return nil, fmt.Errorf("master keys: %w", err)
	}
	if service != nil {
		return keys.Or(service), nil
	}
	return keys, nil
}

// guards decide what callers of the services may do.
type guards struct {
	kinesis, cloudwatch, control awsapi.Guard
	reload                       func() // reads the keys again
}

// guards are those that the flags ask for. The caller holds the data directory.
func (c serveConfig) guards(h *host, api *kinesisapi.API, out io.Writer) (guards, error) {
	if c.auth == authNone {
		return guards{awsapi.Anyone, awsapi.Anyone, awsapi.Anyone, func() {}}, nil
	}
	path := c.auth
	if path == "" {
		path = filepath.Join(c.data, credentialsFile)
		if err := firstKey(path, out); err != nil {
			return guards{}, err
		}
	}
	keys, err := iam.Open(path)
	if err != nil {
		return guards{}, usage(fmt.Errorf("--auth: %w", err))
	}
	of := access.Config{Region: c.api.Region, Service: "kinesis", Account: c.api.Account, Policy: api.Policy}
	kinesis := access.New(keys, of)
	of.Policy = nil // only streams and consumers have policies of their own
	of.Service = "monitoring"
	cloudwatch := access.New(keys, of)
	of.Service = controlapi.Name
	return guards{kinesis, cloudwatch, access.New(keys, of), func() { reloadKeys(h, keys) }}, nil
}

// firstKey makes the credentials file where there is none yet, and says its key once.
func firstKey(path string, out io.Writer) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong with it is said when it is read
	}
	key, err := iam.Generate(path)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	_, err = fmt.Fprintf(out, "A key was made for clients of the API; it is shown this once and stands in %s:\n\n"+
		"  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s\n\n", path, key.AccessKey, key.Secret.Reveal())
	return err
}

// reloadKeys reads the credentials again.
func reloadKeys(h *host, keys *iam.Store) {
	if err := keys.Reload(); err != nil {
		h.log.Error("credentials stay as they were", "error", err)
	} else {
		h.log.Info("credentials read again")
	}
}

// onHangup calls each of what at SIGHUP, until ctx ends.
func onHangup(ctx context.Context, what ...func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		for _, f := range what {
			f()
		}
	}
}
