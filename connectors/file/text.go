package file

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/penstock/penstock/connectors"
)

// maxRecord bounds a record, which is held in memory whole.
const maxRecord = 64 << 20

// bufferBytes is how much is read at once.
const bufferBytes = 1 << 18

// text is a decompressed text with a place in it.
type text struct {
	name   string
	in     *bufio.Reader
	off    int64       // of what is read next
	follow bool        // what stands at the end without a line end may not be whole yet
	more   func() bool // where a record has no end, reports whether more of the text came; may be nil
	cut    bool        // the last record ended only because the text did
	broken []byte
}

// splitter finds the records of a text.
type splitter interface {
	// next returns the next record and where it begins. It stands until the next call. io.EOF ends the text; more of it
	// may come later, and then the next call goes on.
	next(t *text) (record []byte, at int64, err error)
	// after goes on behind the record that begins where the text stands.
	after(t *text) error
}

// splitterOf is the one of a format.
func splitterOf(format string, f connectors.Framing) splitter {
	switch {
	case format == formatJSON:
		return &values{asked: true}
	case format == formatCSV && !f.CSV: // whatever decodes it; RFC 4180
		return &csvRows{delimiter: ',', quote: '"'}
	case f.CSV && format != formatLines:
		return &csvRows{delimiter: f.Delimiter, quote: f.Quote}
	}
	return lines{}
}

// headed reports whether a text of a format begins with a header.
func headed(format string, f connectors.Framing) bool {
	return f.Header && (format == "" || format == formatCSV)
}

// line reads a line with its end, which the last one of a text may lack. A followed text's last line without an end is
// kept until the end comes.
func (t *text) line() ([]byte, error) {
	line, err := t.in.ReadSlice('\n')
	if err == nil && len(t.broken) == 0 {
		t.off += int64(len(line))
		return line, nil
	}
	for {
		t.broken = append(t.broken, line...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		if len(t.broken) > maxRecord {
			return nil, t.tooLong(t.off)
		}
		line, err = t.in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && len(t.broken) > 0 && t.ends() {
		t.cut, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	line, t.broken = t.broken, nil
	t.off += int64(len(line))
	return line, nil
}

// ends reports whether a record ends where the text does now.
func (t *text) ends() bool { return !t.follow && (t.more == nil || !t.more()) }

// skipMark goes on after a byte order mark, which some programs put before a text.
func (t *text) skipMark() error {
	const mark = "\xef\xbb\xbf"
	b, err := t.in.Peek(len(mark))
	if string(b) == mark {
		t.skip(len(mark))
	}
	return noEOF(err)
}

func (t *text) tooLong(at int64) error {
	return connectors.Permanent(fmt.Errorf("%s: the record at byte %d is longer than %d bytes: split it, or close its quotes or brackets", t.name, at, maxRecord))
}

// lines are records that are lines. Empty ones are none.
type lines struct{}

func (lines) next(t *text) ([]byte, int64, error) {
	for {
		at := t.off
		line, err := t.line()
		if err != nil {
			return nil, at, err
		}
		if line = trimEnd(line); len(line) > 0 {
			return line, at, nil
		}
	}
}

func (lines) after(t *text) error {
	_, err := t.line()
	return noEOF(err)
}

// trimEnd is a line without its end.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
