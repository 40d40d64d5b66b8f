package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// process is a server that runs.
type process struct {
	program string
	args    []string
	env     []string
	dir     string // where it runs; here without it
	ready   func(ctx context.Context) error
	// unprivileged: it refuses to run as root. It has a process group of its own then.
	unprivileged bool

	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
}

// node makes the process a script of the packages of npm that a folder has.
func (p *process) node(ctx context.Context, packages fs.FS, folder, script string, args ...string) error {
	files, err := fs.Sub(packages, folder)
	if err != nil {
		return err
	}
	dir, err := Node(ctx, files)
	script = filepath.Join(dir, "node_modules", filepath.FromSlash(script))
	p.program, p.args, p.dir = "node", append([]string{script}, args...), filepath.Dir(script) // one reads files beside it
	return err
}

// startTime is how long a server may take until it answers.
const startTime = time.Minute

// start starts the server and waits until it answers.
func (p *process) start(ctx context.Context) error {
	p.log, p.done = &tail{}, make(chan struct{})
	p.cmd = exec.Command(p.program, p.args...) //nolint:gosec,noctx // built here; it outlives ctx
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Dir = p.dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if p.unprivileged {
		unprivileged(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at once:\n%s", p.program, p.log)
		case <-ctx.Done():
			p.kill()
			return fmt.Errorf("%s does not answer: %w\n%s", p.program, errors.Join(err, ctx.Err()), p.log)
		case <-tick.C:
		}
	}
}

// answers asks an endpoint for anything.
func answers(ctx context.Context, endpoint string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// kill ends the server as a power cut would, and waits.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// killGroup ends an unprivileged server with all its processes, and waits.
func (p *process) killGroup() {
	killGroup(p.cmd)
	<-p.done
}

// freePort is a port of loopback that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	return addr, l.Close()
}

// tail keeps the last of what a server says.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - tailBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
