package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"
)

// Python returns a Python that has packages of PyPI, such as boto3==1.43.11, and only them.
func Python(ctx context.Context, packages ...string) (string, error) {
	bin := filepath.Join("bin", "python")
	if runtime.GOOS == "windows" {
		bin = filepath.Join("Scripts", "python.exe")
	}
	dir, err := once("python", strings.Join(packages, "\n"), func(dir string) error {
		if err := command(ctx, dir, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return command(ctx, dir, filepath.Join(dir, bin), append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, packages...)...)
	})
	return filepath.Join(dir, bin), err
}

// Node returns a folder with the packages of npm that package-lock.json in from has, below node_modules.
func Node(ctx context.Context, from fs.FS) (string, error) {
	lock, err := fs.ReadFile(from, "package-lock.json")
	if err != nil {
		return "", err
	}
	return once("node", string(lock), func(dir string) error {
		manifest, err := fs.ReadFile(from, "package.json")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), manifest, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "package-lock.json"), lock, 0o600); err != nil {
			return err
		}
		return command(ctx, dir, "npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
	})
}

// jarsPlugin makes a folder of what a project of Maven depends on.
const jarsPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// Jars returns a class path of all that a project of Maven depends on.
func Jars(ctx context.Context, pom string) (string, error) {
	text, err := os.ReadFile(pom) //nolint:gosec // the caller's own
	if err != nil {
		return "", err
	}
	dir, err := once("jars", string(text), func(dir string) error {
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		return command(ctx, dir, "mvn", "--batch-mode", "--quiet", "--file", file, jarsPlugin, "-DincludeScope=runtime", "-DoutputDirectory="+dir)
	})
	return filepath.Join(dir, "*"), err
}

// once returns the folder of the cache that was made for what, or makes it. Processes take turns; a folder that was not
// finished is made anew.
func once(kind, what string, fill func(dir string) error) (string, error) {
	root, err := cache()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(what))
	dir := filepath.Join(root, kind+"-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(root, 0o755); err != nil { //nolint:gosec // programs, which others may start
		return "", err
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer lock.Unlock() //nolint:errcheck // the process ends with it
	whole := filepath.Join(dir, "whole")
	if _, err := os.Stat(whole); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // as above
		return "", err
	}
	if err := fill(dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(whole, nil, 0o600)
}

// command runs a program in dir; its error has what it printed.
func command(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // package clients of fixed arguments
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return nil
}
