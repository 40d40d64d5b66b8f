package file

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// pieceBytes is how much of a file is hashed at most: of its beginning, and before a place in it.
const pieceBytes = 4096

// piece is the hash of the first bytes of something.
type piece struct {
	Bytes int64  `json:"bytes"`
	Hash  string `json:"hash"` // SHA-256
}

// packed is what a compressed file is known by as it is stored: its end has the checksum of its text.
type packed struct {
	Size int64  `json:"size"`
	Hash string `json:"hash"` // of its last bytes
}

// evidence is what proves that a file is one that was read before: how its text begins, and the text before the place
// that it was read to.
type evidence struct {
	head   piece
	at     int64
	tail   string // hash of the bytes before at; empty where there is none
	packed *packed
	stored *piece
}

// errUnfinished says of a compressed file that it has no end yet.
var errUnfinished = errors.New("its end is missing")

func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// compressed is how a file of that name is compressed; empty: it is not.
func compressed(path string) string {
	for _, ext := range []string{".gz", ".zst"} {
		if strings.HasSuffix(path, ext) {
			return ext
		}
	}
	return ""
}

// decompressor reads the text of a compressed file of that name.
func decompressor(path string, raw io.Reader) (io.ReadCloser, error) {
	if compressed(path) == ".gz" {
		zr, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("decompress %s: %w", path, err)
		}
		return zr, nil
	}
	zr, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	return zr.IOReadCloser(), nil
}

// holds reports whether f, which has that name, is what the evidence is of.
func (ev evidence) holds(path string, f *os.File) (bool, error) {
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	if compressed(path) == "" {
		if ev.head.Hash == "" || st.Size() < max(ev.at, ev.head.Bytes) {
			return false, nil
		}
		if h, err := hashAt(f, 0, ev.head.Bytes); err != nil || h != ev.head.Hash {
			return false, noEOF(err)
		}
		if ev.tail == "" {
			return true, nil
		}
		h, err := hashBefore(f, ev.at)
		return err == nil && h == ev.tail, noEOF(err)
	}
	if p, err := packedOf(f, st.Size()); err != nil || ev.packed != nil && *ev.packed == p {
		return err == nil, err
	}
	if ev.stored != nil {
		h, err := hashAt(f, 0, min(ev.stored.Bytes, st.Size()))
		return err == nil && h == ev.stored.Hash, err
	}
	same := false
	err = withText(path, f, func(text io.Reader) error {
		head := make([]byte, ev.head.Bytes)
		if _, err := io.ReadFull(text, head); err != nil || hashOf(head) != ev.head.Hash {
			return err
		}
		k := keeper{in: text, at: ev.head.Bytes, last: head}
		if _, err := io.CopyN(io.Discard, &k, ev.at-ev.head.Bytes); ev.at > ev.head.Bytes && err != nil {
			return err
		}
		same = ev.tail == "" || ev.at == k.at && k.tail() == ev.tail || ev.at < ev.head.Bytes && hashOf(head[:ev.at]) == ev.tail
		return nil
	})
	return same, err
}

// withText calls f with the text of a compressed file. A text that ends early is no error.
func withText(path string, file *os.File, f func(text io.Reader) error) error {
	zr, err := decompressor(path, bufio.NewReaderSize(io.NewSectionReader(file, 0, 1<<62), bufferBytes))
	if err == nil {
		defer zr.Close() //nolint:errcheck // it was only read
		err = f(zr)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && !wholeText(path, file) || errors.Is(err, io.EOF) && !wholeText(path, file) {
		return errUnfinished
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // of ReadFull: the text is shorter
	}
	return noEOF(err)
}

// wholeText reports whether a compressed file can be read to its end.
func wholeText(path string, f *os.File) bool {
	zr, err := decompressor(path, bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), bufferBytes))
	if err != nil {
		return false
	}
	defer zr.Close() //nolint:errcheck // it was only read
	_, err = io.Copy(io.Discard, zr)
	return err == nil
}

// begins is how the text of a file begins.
func begins(path string, f *os.File) ([]byte, error) {
	b := make([]byte, pieceBytes)
	n := 0
	if compressed(path) == "" {
		n, err := f.ReadAt(b, 0)
		return b[:n], noEOF(err)
	}
	err := withText(path, f, func(text io.Reader) (err error) {
		n, err = io.ReadFull(text, b)
		return err
	})
	return b[:n], err
}

func hashAt(f io.ReaderAt, at, n int64) (string, error) {
	b := make([]byte, n)
	_, err := f.ReadAt(b, at)
	if errors.Is(err, io.EOF) && n > 0 {
		return "", err
	}
	return hashOf(b), noEOF(err)
}

// hashBefore is the hash of what stands before a place.
func hashBefore(f io.ReaderAt, at int64) (string, error) {
	from := max(0, at-pieceBytes)
	b := make([]byte, at-from)
	n, err := f.ReadAt(b, from)
	if n < len(b) {
		return "", err
	}
	return hashOf(b), nil
}

func packedOf(f *os.File, size int64) (packed, error) {
	h, err := hashBefore(f, size)
	if err != nil {
		return packed{}, fmt.Errorf("read the end of %s: %w", f.Name(), err)
	}
	return packed{size, h}, nil
}

// keeper keeps the last bytes that were read.
type keeper struct {
	in   io.Reader
	at   int64
	last []byte
}

func (k *keeper) Read(b []byte) (int, error) {
	n, err := k.in.Read(b)
	k.at += int64(n)
	k.last = lastOf(k.last, b[:n])
	return n, err
}

func (k *keeper) tail() string { return hashOf(k.last) }

// lastOf is the last bytes of what b makes last.
func lastOf(last, b []byte) []byte {
	if len(b) >= pieceBytes {
		return append(last[:0], b[len(b)-pieceBytes:]...)
	}
	if over := len(last) + len(b) - pieceBytes; over > 0 {
		last = append(last[:0], last[over:]...)
	}
	return append(last, b...)
}

// errTruncated says that what was read of a file is not there any more.
var errTruncated = errors.New("it was truncated while it was read")

// plain reads a file that is not compressed. What it returns stood behind what it returned before: bytes that another
// program wrote after it had truncated the file do not.
type plain struct {
	f     *os.File
	limit int64
	was   []byte     // what stands before at now
	mu    sync.Mutex // guards what follows
	at    int64
	last  []byte // before at
}

func newPlain(f *os.File, at, limit int64) (*plain, error) {
	p := &plain{f: f, limit: limit, at: at}
	from := max(0, at-pieceBytes)
	p.last = make([]byte, at-from, pieceBytes)
	if n, err := f.ReadAt(p.last, from); n < len(p.last) {
		return nil, fmt.Errorf("read %s before byte %d: %w", f.Name(), at, err)
	}
	return p, nil
}

// Read reads on.
func (p *plain) Read(b []byte) (int, error) {
	b = b[:min(int64(len(b)), p.limit-p.at)]
	if len(b) == 0 {
		return 0, io.EOF
	}
	n, err := p.f.ReadAt(b, p.at)
	if noEOF(err) != nil {
		return 0, err
	}
	p.was = append(p.was[:0], p.last...)
	if got, err := p.f.ReadAt(p.was, p.at-int64(len(p.was))); noEOF(err) != nil {
		return 0, err
	} else if got < len(p.was) || !bytes.Equal(p.was, p.last) {
		return 0, errTruncated
	}
	if n == 0 {
		return 0, io.EOF
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at += int64(n)
	p.last = lastOf(p.last, b[:n])
	return n, nil
}

// read is how far it was read, and the hash of what stands before.
func (p *plain) read() (int64, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at, hashOf(p.last)
}
