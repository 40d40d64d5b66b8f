package connectors

import "sync"

// futileRows is how many rows a pipeline is given before it is said that nothing comes of it.
const futileRows = 1000

// futile notices that every row is refused at the same place for the same reason, which is a mistake of the pipeline rather
// than of its rows. It says so once: with the first flush, or before that when enough rows were refused.
type futile struct {
	mu    sync.Mutex // guards what follows
	over  bool       // some row went on, or it was said
	rows  int64      // refused
	first Refusal
}

// see takes what became of some rows.
func (f *futile) see(e *Events, c Counts, refused []Refusal) {
	f.mu.Lock()
	f.over = f.over || c.Written > 0
	for _, r := range refused {
		if f.rows == 0 {
			f.first = r
		}
		f.rows++
		f.over = f.over || r.Stage != f.first.Stage || r.Code != f.first.Code
	}
	enough := f.rows >= futileRows
	f.mu.Unlock()
	if enough {
		f.flushed(e)
	}
}

// flushed says what is to be said when a flush closes.
func (f *futile) flushed(e *Events) {
	f.mu.Lock()
	rows, first, say := f.rows, f.first, !f.over && f.rows > 0
	f.over = f.over || say
	f.mu.Unlock()
	if say {
		e.futile(rows, first)
	}
}
