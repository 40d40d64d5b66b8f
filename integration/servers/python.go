package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Python is a Python interpreter with the packages that a requirements file pins, made once.
func Python(ctx context.Context, requirements string) (string, error) {
	text, err := os.ReadFile(requirements) //nolint:gosec // the repository's own file
	if err != nil {
		return "", err
	}
	root, err := cache()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	dir := filepath.Join(root, "python-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(root, 0o755); err != nil { //nolint:gosec // programs, which others may start
		return "", err
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer lock.Unlock() //nolint:errcheck // the process ends with it
	python, whole := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "whole")
	if _, err := os.Stat(whole); err == nil {
		return python, nil
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:gosec // fixed words
			return "", errors.Join(fmt.Errorf("make a Python environment: %v: %w\n%s", args, err, out), os.RemoveAll(dir))
		}
	}
	return python, os.WriteFile(whole, nil, 0o600)
}
