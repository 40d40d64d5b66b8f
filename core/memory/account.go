package memory

// Account is what one flush holds. A nil Account has no bounds.
type Account struct {
	b     *Budget
	size  int64 // guarded by the budget's mutex, as is what follows
	asked bool
	full  chan struct{}
}

// Account returns one for a new flush.
func (h *Holder) Account() *Account {
	if h == nil || h.b == nil {
		return nil
	}
	a := &Account{b: h.b, full: make(chan struct{})}
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	h.b.accounts[a] = true
	return a
}

// Set says how much the flush holds now. When all flushes together hold more than their part, the largest of those that
// were not asked yet is asked to close, unless it is so small that closing it would not help.
func (a *Account) Set(n int64) {
	if a == nil {
		return
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	if !a.b.accounts[a] {
		return
	}
	a.b.staged += n - a.size
	a.size = n
	a.b.press()
}

// press asks the largest flush to close, if there is too much in all. The caller holds b.mu.
func (b *Budget) press() {
	if b.staged <= b.Staging() {
		return
	}
	var largest *Account
	for a := range b.accounts {
		if !a.asked && (largest == nil || a.size > largest.size) {
			largest = a
		}
	}
	if largest != nil && largest.size >= b.Staging()/int64(4*len(b.accounts)) {
		largest.ask()
	}
}

func (a *Account) ask() {
	if !a.asked {
		a.asked = true
		close(a.full)
	}
}

// Full is closed when the flush is asked to close; it is nil where that never happens.
func (a *Account) Full() <-chan struct{} {
	if a == nil {
		return nil
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	return a.full
}

// IsFull reports whether the flush is asked to close.
func (a *Account) IsFull() bool {
	if a == nil {
		return false
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	return a.asked
}

// Reconsider takes back that the flush was asked to close, for when other memory has come free; it is asked again at once
// where there still is too little.
func (a *Account) Reconsider() {
	if a == nil {
		return
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	if a.asked && a.b.accounts[a] {
		a.asked, a.full = false, make(chan struct{})
		a.b.press()
	}
}

// Closing says that the flush is closed already and only being written: it is not to be asked.
func (a *Account) Closing() {
	if a == nil {
		return
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	a.ask()
}

// Close gives back what the flush held. It may be called more than once.
func (a *Account) Close() {
	if a == nil {
		return
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	if a.b.accounts[a] {
		a.b.staged -= a.size
		delete(a.b.accounts, a)
	}
}
