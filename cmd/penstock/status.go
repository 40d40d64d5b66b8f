package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/connectors"
)

// What a pipeline does.
const (
	stateRunning  = "running"
	stateRetrying = "retrying"
	stateDraining = "draining" // to go on with another text of its file
	stateEnded    = "ended"
	stateFailed   = "failed"
)

// maxShownError bounds what is shown of an error, in bytes.
const maxShownError = 1000

// pipelineStatus is how a pipeline does.
type pipelineStatus struct {
	Pipeline string     `json:"pipeline"`
	State    string     `json:"state"`
	Error    string     `json:"error,omitempty"` // the last one of what is retried, or that it failed with
	Retrying []retrying `json:"retrying,omitempty"`
}

// retrying is a step that fails, and is tried again and again.
type retrying struct {
	Step     string    `json:"step"`
	Since    time.Time `json:"since"` // of the first failure
	Attempts int       `json:"attempts"`
	Error    string    `json:"error"` // of the last one
}

// status is how the pipelines of a process do.
type status struct {
	mu  sync.Mutex // guards all
	all map[string]*pipelineStatus
}

func newStatus() *status { return &status{all: map[string]*pipelineStatus{}} }

// set makes a pipeline's state that one, with nothing that is retried.
func (s *status) set(name, state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[name] = &pipelineStatus{Pipeline: name, State: state, Error: shownError(err)}
}

// is reports whether that is a pipeline's state.
func (s *status) is(name, state string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[name] != nil && s.all[name].State == state
}

// update changes what is retried.
func (s *status) update(name string, f func([]retrying) []retrying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.all[name]; p != nil {
		p.Retrying = f(p.Retrying)
	}
}

// events keep a pipeline's status.
func (s *status) events(name string) *connectors.Events {
	nothing := func([]retrying) []retrying { return nil }
	return &connectors.Events{
		Retry: func(what string, attempt int, _ time.Duration, err error) {
			s.update(name, func(all []retrying) []retrying {
				i := slices.IndexFunc(all, func(r retrying) bool { return r.Step == what })
				if i < 0 {
					i, all = len(all), append(all, retrying{Step: what, Since: time.Now().UTC()})
				}
				all[i].Attempts, all[i].Error = attempt, shownError(err)
				return all
			})
		},
		Recovered: func(what string) {
			s.update(name, func(all []retrying) []retrying {
				return slices.DeleteFunc(all, func(r retrying) bool { return r.Step == what })
			})
		},
		Checkpoint: func(connectors.Plan, time.Duration) { s.update(name, nothing) },
		Pause: func(state string) {
			if state == connectors.Resumed {
				state = stateRunning
			}
			s.set(name, state, nil)
		},
	}
}

// list is the status of each pipeline, by name.
func (s *status) list() []pipelineStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []pipelineStatus{}
	for _, name := range slices.Sorted(maps.Keys(s.all)) {
		p := *s.all[name]
		p.Retrying = slices.Clone(p.Retrying)
		if n := len(p.Retrying); n > 0 {
			slices.SortFunc(p.Retrying, func(a, b retrying) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Step, b.Step)) })
			p.Error = p.Retrying[n-1].Error
			if p.State == stateRunning {
				p.State = stateRetrying
			}
		}
		out = append(out, p)
	}
	return out
}

// serve answers with the status of each pipeline.
func (s *status) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(map[string][]pipelineStatus{"pipelines": s.list()}) // who asked may be gone
}

func shownError(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if len(text) > maxShownError {
		text = strings.ToValidUTF8(text[:maxShownError], "") + "..."
	}
	return text
}
