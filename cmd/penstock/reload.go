package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock/penstock/pipelines"
)

// reloader reads the pipeline files again, when asked to by a signal or, watching, when their text changed and then stood
// still for a moment. It looks at the text itself: editors, mounts and clocks treat times and inodes each in their way.
type reloader struct {
	u       *runner
	files   []*watched
	changed chan<- *pipelines.Spec
}

// watched is a pipeline file.
type watched struct {
	path string
	spec *pipelines.Spec // that runs, or ran last; nil of a file that never was right
	text []byte          // last looked at: applied, refused or the same as before
	seen []byte          // when last polled
	gone bool
}

const (
	pollEvery   = 500 * time.Millisecond
	checkTime   = 30 * time.Second
	maxPipeline = 4 << 20 // bytes of a pipeline file that are looked at
	reloaded    = "applied"
	reloadWrong = "refused"
)

func newReloader(u *runner, specs []*pipelines.Spec, changed chan<- *pipelines.Spec) *reloader {
	r := &reloader{u: u, changed: changed}
	for _, s := range specs {
		w := &watched{path: s.File, spec: s}
		w.text, _ = readPipeline(s.File) // gone already: then it is read again when it is back
		w.seen = w.text
		r.files = append(r.files, w)
	}
	return r
}

// look takes up the files that came to the folder.
func (r *reloader) look() {
	if r.u.folder == "" {
		return
	}
	found, _ := filepath.Glob(filepath.Join(r.u.folder, "*.yaml")) // the pattern is right
	for _, path := range found {
		if !slices.ContainsFunc(r.files, func(w *watched) bool { return w.path == path }) {
			r.files = append(r.files, &watched{path: path})
		}
	}
}

// name is how the pipeline of a file is called in what is said of it.
func (w *watched) name() string {
	if w.spec == nil {
		return ""
	}
	return w.spec.Name
}

// readPipeline reads a file, though not endlessly.
func readPipeline(path string) (text []byte, err error) {
	f, err := os.Open(path) //nolint:gosec // the user named it
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxPipeline))
}

// run reloads until ctx ends.
func (r *reloader) run(ctx context.Context, hup <-chan os.Signal, watch bool) {
	var poll <-chan time.Time
	if watch {
		t := time.NewTicker(pollEvery)
		defer t.Stop()
		poll = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			r.u.log.Info("reading the pipeline files again")
			r.look()
			for _, w := range r.files {
				r.reread(ctx, w)
			}
		case <-poll:
			r.look()
			for _, w := range r.files {
				r.poll(ctx, w)
			}
		}
	}
}

// reread looks at a file because someone asked for it. A pipeline that failed is started again, changed or not.
func (r *reloader) reread(ctx context.Context, w *watched) {
	text, err := readPipeline(w.path)
	if err != nil {
		r.refuse(w, err)
		return
	}
	if !bytes.Equal(text, w.text) || r.u.failed(w.name()) {
		r.apply(ctx, w, text)
	}
}

// poll looks at a file, and applies its text once it has been the same twice.
func (r *reloader) poll(ctx context.Context, w *watched) {
	text, err := readPipeline(w.path)
	if err != nil {
		if !w.gone {
			r.u.log.Warn("the file cannot be read; its pipeline goes on as it is", "pipeline", w.name(), "file", w.path, "error", err)
		}
		w.gone = true
		return
	}
	w.gone = false
	if still := bytes.Equal(text, w.seen); still && !bytes.Equal(text, w.text) {
		r.apply(ctx, w, text)
	}
	w.seen = text
}

// apply makes a file's text that of its pipeline, if it is right.
func (r *reloader) apply(ctx context.Context, w *watched, text []byte) {
	w.text = text
	s, err := r.u.registry.Load(w.path, text, os.LookupEnv)
	if err == nil && w.spec == nil {
		err = r.taken(s)
	} else if err == nil && s.Name != w.spec.Name {
		err = fmt.Errorf("%s: the name changed from %s to %s, which is another pipeline: stop this one and run that", w.path, w.spec.Name, s.Name)
	}
	if err == nil && w.spec != nil && s.Hash == w.spec.Hash && !r.u.failed(s.Name) {
		return
	}
	if err == nil {
		checking, cancel := context.WithTimeout(ctx, checkTime)
		err = r.u.node.Check(checking, r.u.registry, s, pipelines.RunOptions{UntilCaughtUp: true, Await: r.u.opts.Await})
		cancel()
	}
	if err != nil {
		r.refuse(w, err)
		return
	}
	select {
	case r.changed <- s:
		w.spec = s
		r.u.metrics.Reload(w.path, reloaded)
		r.u.log.Info("pipeline file applied", "pipeline", s.Name, "file", w.path)
	case <-ctx.Done():
	}
}

// taken refuses a file whose pipeline is another file's.
func (r *reloader) taken(s *pipelines.Spec) error {
	for _, w := range r.files {
		if w.name() == s.Name {
			return fmt.Errorf("%s: pipeline %s is in %s already: give it another name", s.File, s.Name, w.path)
		}
	}
	return nil
}

func (r *reloader) refuse(w *watched, err error) {
	r.u.metrics.Reload(w.path, reloadWrong)
	r.u.log.Error("pipeline file refused; its pipeline goes on as it is", "pipeline", w.name(), "file", w.path, "error", err)
}
