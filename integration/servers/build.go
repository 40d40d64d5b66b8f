package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// The servers that are Go programs: packages at versions.
const (
	minioPackage    = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
	versityPackage  = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	localKMSPackage = "github.com/nsmithuk/local-kms@v0.0.0-20260228092603-2a5e92d09ab6"
)

// Fetch makes every server ready to start.
func Fetch(ctx context.Context) error {
	for _, pkg := range []string{minioPackage, versityPackage, localKMSPackage} {
		if _, err := install(ctx, pkg); err != nil {
			return err
		}
	}
	_, err := Python(ctx, moto...)
	return err
}

// cache is the folder of what was built.
func cache() (string, error) {
	if dir := os.Getenv("PENSTOCK_SERVERS_DIR"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep servers in: set PENSTOCK_SERVERS_DIR: %w", err)
	}
	return filepath.Join(dir, "penstock-servers"), nil
}

// install builds the program of a package at its version, once, and returns its path. Processes take turns.
func install(ctx context.Context, pkg string) (string, error) {
	root, err := cache()
	if err != nil {
		return "", err
	}
	module, version, _ := cutLast(pkg, '@')
	dir := filepath.Join(root, version)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs, which others may start
		return "", err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer lock.Unlock() //nolint:errcheck // the process ends with it
	program := filepath.Join(dir, path.Base(module))
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", pkg) //nolint:gosec // one of the constants above
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w\n%s", pkg, err, out), os.RemoveAll(program))
	}
	return program, nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
