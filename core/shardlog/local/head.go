package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// head is the file "head", which says how far the log is known to reach, so that a missing or shortened file is told
// from one that was never longer. The log does not need it: without it, what is missing at either end is not noticed.
//
// It is safe for concurrent use. It has two slots, written in place; the newer valid one counts. A mark is written when its group is synced and is not
// synced itself, so it is never ahead of the log and may be behind it; it never overwrites the slot that was synced.
type head struct {
	name string

	mu     sync.Mutex // guards what follows: the committer marks groups, tend lets files go
	f      vfs.File
	slot   int   // the one that is not synced
	failed error // of a sync: what stands in the file is not known any more
	headMark
}

// headMark is what a slot says.
type headMark struct {
	seq    uint64 // the higher one counts; 0: there is none
	oldest uint64 // file that the log begins with
	newest uint64 // file and
	group  uint64 // number of a group that is durable
}

const (
	headName  = "head"
	headMagic = "PENSHEAD"
	headSlot  = 64
	headApart = 512 // slots lie in sectors of their own
	headSize  = 2 * headApart
)

func (m headMark) encode() []byte {
	b := make([]byte, headSlot)
	copy(b, headMagic)
	le := binary.LittleEndian
	le.PutUint64(b[8:], m.seq)
	le.PutUint64(b[16:], m.oldest)
	le.PutUint64(b[24:], m.newest)
	le.PutUint64(b[32:], m.group)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeHeadMark is the mark in a slot; the zero one where there is none.
func decodeHeadMark(b []byte) headMark {
	le := binary.LittleEndian
	if len(b) < headSlot || string(b[:8]) != headMagic || le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return headMark{}
	}
	return headMark{le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:])}
}

// openHead reads the file, if it is there. Where one slot is damaged, the other counts.
func openHead(fsys vfs.FS, dir string) (*head, error) {
	h := &head{name: filepath.Join(dir, headName)}
	f, err := fsys.Edit(h.name)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	} else if err != nil {
		return nil, err
	}
	b := make([]byte, headSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read %s: %w", h.name, err), f.Close())
	}
	h.f = f
	for i := range 2 {
		if m := decodeHeadMark(b[min(n, i*headApart):n]); m.seq > h.seq {
			h.headMark, h.slot = m, 1-i
		}
	}
	if h.seq == 0 {
		err := fmt.Errorf("%s is damaged: %w. It only shows whether the log is whole; to go on without, move it away", h.name, shardlog.ErrCorrupt)
		return nil, errors.Join(err, f.Close())
	}
	return h, nil
}

// missing is the error where the log, as it was read, ends before a group that was durable.
func (h *head) missing(dir string, last uint64) error {
	if last >= h.group {
		return nil
	}
	return fmt.Errorf("%s is missing, or cut: the log ends with group %d, but group %d of that file was durable: %w. "+
		"Restore the file from a copy; to go on without it, move %s away", fileName(dir, h.newest), last, h.group, shardlog.ErrCorrupt, h.name)
}

// begin writes and syncs what counts from now on, making the file where it is not there.
func (h *head) begin(fsys vfs.FS, dir string, m headMark) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.seq = h.seq
	h.headMark = m
	if h.f == nil {
		return h.create(fsys, dir)
	}
	if err := h.f.Sync(); err != nil { // what was read must not be more than what the next crash leaves
		return fmt.Errorf("sync %s: %w", h.name, err)
	}
	return h.keep()
}

// create makes the file under another name first, so that there is never one without a valid slot.
func (h *head) create(fsys vfs.FS, dir string) error {
	temp := h.name + ".new"
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", temp, err)
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return fmt.Errorf("create %s: %w", temp, err)
	}
	h.f = f
	if _, err := f.WriteAt(make([]byte, headSize), 0); err != nil {
		return fmt.Errorf("write %s: %w", temp, err)
	}
	if err := h.keep(); err != nil {
		return err
	}
	if err := fsys.Rename(temp, h.name); err != nil {
		return fmt.Errorf("create %s: %w", h.name, err)
	}
	return fsys.SyncDir(dir)
}

// mark notes that a group is durable, without a sync. Where a full disk refuses it, the mark stays behind.
func (h *head) mark(file, group uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.newest, h.group = file, group
	if err := h.write(); err != nil && !errors.Is(err, shardlog.ErrFull) {
		return err
	}
	return nil
}

func (h *head) write() error {
	if h.failed != nil {
		return h.failed
	}
	h.seq++
	_, err := h.f.WriteAt(h.encode(), int64(h.slot)*headApart)
	switch {
	case noSpace(err):
		return fmt.Errorf("write %s: %w: %w", h.name, shardlog.ErrFull, err)
	case err != nil:
		return fmt.Errorf("write %s: %w", h.name, err)
	}
	return nil
}

// advance makes durable that the log begins with a file. Only then may those before it be deleted. A mark waits for it,
// so that the slot that is being synced is not written.
func (h *head) advance(oldest uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.oldest
	if before == oldest {
		return nil
	}
	h.oldest = oldest
	if err := h.keep(); err != nil {
		h.oldest = before
		return err
	}
	return nil
}

// keep makes durable what stands in h.
func (h *head) keep() error {
	if err := h.write(); err != nil {
		return err
	}
	if err := h.f.Sync(); err != nil {
		h.failed = fmt.Errorf("sync %s: %w: %w", h.name, errUnsynced, err)
		return h.failed
	}
	h.slot = 1 - h.slot
	return nil
}

func (h *head) close() error {
	if h.f == nil {
		return nil
	}
	return h.f.Close()
}
