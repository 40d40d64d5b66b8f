package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/core/control"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/core/scratch"
	"github.com/penstock/penstock/core/sealing"
	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/shardlog/local"
	"github.com/penstock/penstock/core/stream"
	"github.com/penstock/penstock/core/vfs"
)

// Node is one machine's log, its control store and its streams, in one data directory.
type Node struct {
	Streams *stream.Store
	Control *control.Store

	memory  *memory.Budget
	given   bool // memory was given
	scratch *scratch.Space
	engine  *local.Engine
	stop    context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex      // guards what follows
	running map[string]bool // pipelines of this process, by name; false: it is paused, and waits
	stdin   *stdin          // nil while no pipeline reads it
}

// dataFormat is the version of the data directory's layout; formatFile holds it.
const (
	dataFormat = "1"
	formatFile = "FORMAT"
	trimEvery  = time.Minute

	scratchTimes = 8 // as much room on disk as memory, for rows that memory has no room for
)

// controlLog is the log of the control store.
const controlLog shardlog.LogID = "control"

// NodeConfig has a node's settings; zero means the documented default.
type NodeConfig struct {
	Memory *memory.Budget // of the process. Default 512 MiB, which the runtime is not held to
	// Masters are the master keys of encrypted streams. nil: such streams can be neither put to nor read.
	Masters sealing.Masters
	Keys    stream.KeyLimits                      // when encrypted streams get new data keys
	Pins    stream.PinLimits                      // what records that open plans need may take beyond their retention
	Synced  func(bytes int64, took time.Duration) // told of each sync of the log. May be nil
	// Existing has a directory that is not there refused with ErrNoData, rather than made.
	Existing bool
}

// OpenNode opens the data directory, making it if it is not there. Only one process can have it.
func OpenNode(ctx context.Context, dir string) (*Node, error) {
	return NodeConfig{}.Open(ctx, dir)
}

// Open opens the data directory with the settings of c; see OpenNode.
func (c NodeConfig) Open(ctx context.Context, dir string) (*Node, error) {
	given := c.Memory != nil
	if !given {
		b, err := memory.New(memory.Default)
		if err != nil {
			return nil, err
		}
		c.Memory = b
	}
	if err := checkFormat(dir, c.Existing); err != nil {
		return nil, err
	}
	engine, err := local.Open(vfs.OS{}, filepath.Join(dir, "log"), local.Config{
		HotTail: c.Memory.HotTail(), Queue: c.Memory.Queue(), Synced: c.Synced, Vital: []shardlog.LogID{controlLog},
	})
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("data directory %s is in use by another penstock process: stop it, or choose another with --data: %w", dir, err)
	case err != nil:
		return nil, explain(dir, err)
	}
	room, err := scratch.New(vfs.OS{}, filepath.Join(dir, "scratch"), scratchTimes*c.Memory.Total())
	if err != nil {
		return nil, errors.Join(explain(dir, err), engine.Close())
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	by := shardlog.WriterID(host)
	table, err := control.Open(ctx, engine, controlLog, by, control.Config{})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	trimming, stop := context.WithCancel(context.Background())
	streams := stream.NewStore(engine, table, by)
	if c.Masters != nil {
		streams.SetMasters(c.Masters, c.Keys)
	}
	streams.LimitPins(c.Pins)
	n := &Node{
		Streams: streams, Control: table, memory: c.Memory, given: given, scratch: room, engine: engine, stop: stop, done: make(chan struct{}), running: map[string]bool{},
	}
	go n.trim(trimming)
	return n, nil
}

// ErrNoData says that a folder is no data directory, and is not to become one.
var ErrNoData = errors.New("no data directory")

// checkFormat reads, or for a new directory writes, the version of the layout.
func checkFormat(dir string, existing bool) error {
	name := filepath.Join(dir, formatFile)
	b, err := os.ReadFile(name) //nolint:gosec // the user's own directory
	switch {
	case errors.Is(err, fs.ErrNotExist) && existing:
		return fmt.Errorf("%s is %w: make one with penstock streams create, or name another with --data", dir, ErrNoData)
	case errors.Is(err, fs.ErrNotExist):
		return makeFormat(dir, name)
	case err != nil:
		return explain(dir, err)
	}
	if v := strings.TrimSpace(string(b)); v != dataFormat && v != "" { // empty: the power went when it was made
		return fmt.Errorf("data directory %s has format %s, this version reads %s: use the version of penstock that wrote it", dir, v, dataFormat)
	}
	return nil
}

// makeFormat makes a directory one of ours. One that is another's has files that we would not have.
func makeFormat(dir, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return explain(dir, err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return explain(dir, err)
	}
	for _, e := range there {
		if n := e.Name(); e.IsDir() && n != "lost+found" || !e.IsDir() && !slices.Contains([]string{".yaml", ".pem", ".sock"}, filepath.Ext(n)) && n[0] != '.' {
			return fmt.Errorf("%s is %w, and has other things in it, such as %s: name an empty folder, or one that is not there, with --data", dir, ErrNoData, n)
		}
	}
	if err := os.WriteFile(name, []byte(dataFormat+"\n"), 0o600); err != nil {
		return explain(dir, err)
	}
	return nil
}

// explain adds the cure to what the operating system says of a data directory.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data directory %s cannot be written by user %d: change its owner, or choose another with --data: %w", dir, os.Getuid(), err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("data directory %s is on a read-only file system: choose another with --data: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("data directory %s has no space left: make space, or choose another with --data: %w", dir, err)
	}
	return fmt.Errorf("open data directory %s: %w", dir, err)
}

// trim removes what is older than its stream's retention until ctx ends.
func (n *Node) trim(ctx context.Context) {
	defer close(n.done)
	t := time.NewTicker(trimEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			_ = n.Streams.Trim(ctx, now) // what is not trimmed now is trimmed the next time
		}
	}
}

// Memory is the process's budget where it was given one, else that default.
func (n *Node) Memory(otherwise int64) int64 {
	if n.given {
		return n.memory.Total()
	}
	return otherwise
}

// Failed is closed when the log cannot tell any more what is durable: end the process, and open the directory again.
func (n *Node) Failed() <-chan struct{} { return n.engine.Failed() }

// Close ends the node; what was acknowledged stays.
func (n *Node) Close() error {
	n.stop()
	<-n.done
	n.mu.Lock()
	in := n.stdin
	n.mu.Unlock()
	if in != nil {
		in.feed.close()
	}
	return errors.Join(n.Control.Close(), n.engine.Close())
}
