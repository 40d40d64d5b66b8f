package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Group runs pipelines beside each other on one node. One that fails does not stop the others, and each can be given
// another spec while it runs.
type Group struct {
	Node     *Node
	Registry *Registry
	Options  func(s *Spec) RunOptions
	Events   GroupEvents
	Stay     bool // until ctx ends, also when no pipeline runs: others may come
}

// GroupEvents are told what becomes of the pipelines of a group. They are called from one goroutine, and must be set.
type GroupEvents struct {
	Started  func(s *Spec)
	Draining func(s *Spec) // for another spec, which then starts
	Ended    func(s *Spec, err error)
}

// hardStop is how long after the drain time a pipeline that does not end is left behind.
const hardStop = 700 * time.Millisecond

// member is a pipeline of a group that runs.
type member struct {
	spec *Spec
	next *Spec // to run when this one has ended
	stop context.CancelFunc
}

// outcome is how a member ended.
type outcome struct {
	*member
	err error
}

// Run runs the pipelines until each has ended, and returns what went wrong, joined. What comes from changed runs in the
// place of the pipeline of that name, which is drained first, or beside the others where there is none. When ctx ends, all
// are drained; those that do not end soon after their drain time are named in the error and left behind, for the process
// to end.
func (g *Group) Run(ctx context.Context, specs []*Spec, changed <-chan *Spec, drain time.Duration) error {
	running, failed := map[string]*member{}, map[string]error{}
	ended, left := make(chan outcome), make(chan struct{})
	defer close(left)
	start := func(s *Spec) {
		m := &member{spec: s}
		var mctx context.Context
		mctx, m.stop = context.WithCancel(ctx)
		running[s.Name] = m
		delete(failed, s.Name)
		g.Events.Started(s)
		go func() {
			defer m.stop()
			err := g.Node.Run(mctx, g.Registry, s, g.Options(s))
			select {
			case ended <- outcome{m, err}:
			case <-left:
			}
		}()
	}
	for _, s := range specs {
		start(s)
	}
	stopping, late := ctx.Done(), (<-chan time.Time)(nil)
	for len(running) > 0 || g.Stay && ctx.Err() == nil {
		select {
		case s := <-changed:
			if m := running[s.Name]; m != nil {
				m.next = s
				g.Events.Draining(m.spec)
				m.stop()
			} else {
				start(s)
			}
		case o := <-ended:
			delete(running, o.spec.Name)
			g.Events.Ended(o.spec, o.err)
			if o.next != nil && ctx.Err() == nil {
				start(o.next)
			} else if o.err != nil {
				failed[o.spec.Name] = o.err
			}
		case <-stopping:
			stopping = nil
			t := time.NewTimer(drain + hardStop)
			defer t.Stop()
			late = t.C
		case <-late:
			return errors.Join(errsOf(failed), fmt.Errorf("%s: not ended %s after the stop; nothing is lost, the next run goes on from the checkpoints",
				strings.Join(slices.Sorted(maps.Keys(running)), ", "), drain))
		}
	}
	return errsOf(failed)
}

// errsOf joins the errors of pipelines, in order of their names.
func errsOf(failed map[string]error) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		err := failed[name]
		if !strings.Contains(err.Error(), "pipeline "+name) {
			err = fmt.Errorf("pipeline %s: %w", name, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
