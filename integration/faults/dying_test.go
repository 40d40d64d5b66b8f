//go:build unix

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/penstock/penstock/core/vfs"
)

// dying is the real file system until the n-th call of a kind.
type dying struct {
	vfs.OS
	op    string // "" for any
	after bool   // the call is done first
	n     int64
	die   func()
	calls atomic.Int64
}

// dyingFrom reads op:n, or op:n:after; from "" nothing dies.
func dyingFrom(spec string, die func()) vfs.FS {
	op, rest, found := strings.Cut(spec, ":")
	if !found {
		return vfs.OS{}
	}
	n, after, _ := strings.Cut(rest, ":")
	d := &dying{op: strings.TrimPrefix(op, "any"), after: after != "", die: die}
	d.n, _ = strconv.ParseInt(n, 10, 64)
	return d
}

// at makes a call and dies before or after it, if it is the one.
func (d *dying) at(op string, call func() error) error {
	mine := (d.op == "" || d.op == op) && d.calls.Add(1) == d.n
	if mine && !d.after {
		d.die()
	}
	err := call()
	if mine && d.after {
		d.die()
	}
	return err
}

// dieAt is a random call to die at; most says how often its kind is made at most in a short run.
func dieAt(rng *rand.Rand) string {
	op := []string{"any", "write", "sync", "syncdir", "create", "remove", "rename"}[rng.IntN(7)]
	most := map[string]int{"any": 150, "write": 60, "sync": 50, "syncdir": 6, "create": 5, "remove": 3, "rename": 4}[op]
	at := fmt.Sprintf("%s:%d", op, 1+rng.IntN(most))
	if rng.IntN(2) == 0 {
		at += ":after"
	}
	return at
}

// suicide is kill -9 by one's own hand.
func suicide() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal comes
}

func (d *dying) Create(name string) (f vfs.File, err error) {
	err = d.at("create", func() error { f, err = d.OS.Create(name); return err })
	if err != nil {
		return nil, err
	}
	return dyingFile{f, d}, nil
}

func (d *dying) Edit(name string) (f vfs.File, err error) {
	f, err = d.OS.Edit(name)
	if err != nil {
		return nil, err
	}
	return dyingFile{f, d}, nil
}

func (d *dying) Rename(from, to string) error {
	return d.at("rename", func() error { return d.OS.Rename(from, to) })
}

func (d *dying) Remove(name string) error {
	return d.at("remove", func() error { return d.OS.Remove(name) })
}

func (d *dying) SyncDir(dir string) error {
	return d.at("syncdir", func() error { return d.OS.SyncDir(dir) })
}

type dyingFile struct {
	vfs.File
	d *dying
}

func (f dyingFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.d.at("write", func() error { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f dyingFile) Sync() error { return f.d.at("sync", f.File.Sync) }

func (f dyingFile) Truncate(size int64) error {
	return f.d.at("truncate", func() error { return f.File.Truncate(size) })
}

func (f dyingFile) Allocate(offset, length int64) error {
	return f.d.at("allocate", func() error { return f.File.Allocate(offset, length) })
}
