package local

import (
	"encoding/binary"

	"github.com/penstock/penstock/core/vfs"
)

// scanner reads a commit-log file from its beginning to its end without holding it whole.
type scanner struct {
	f    vfs.File
	size int64
	b    []byte // what was read last; what was handed out of it stays as it is
	at   int64
}

const scanWindow = 4 << 20

func scan(f vfs.File) (*scanner, error) {
	size, err := f.Size()
	return &scanner{f: f, size: size}, err
}

// bytes returns the n bytes at off; errTorn when the file is shorter.
func (s *scanner) bytes(off, n int64) ([]byte, error) {
	if n > s.size-off {
		return nil, errTorn
	}
	if off < s.at || off+n > s.at+int64(len(s.b)) {
		b := make([]byte, min(max(n, scanWindow), s.size-off))
		if err := readFull(s.f, b, off); err != nil {
			return nil, err
		}
		s.b, s.at = b, off
	}
	return s.b[off-s.at:][:n:n], nil
}

// group returns the group at off and its payload; errTorn when it is not there whole.
func (s *scanner) group(off int64) (group, []byte, error) {
	b, err := s.bytes(off, groupHeader)
	if err != nil {
		return group{}, nil, err
	}
	length := binary.LittleEndian.Uint32(b[28:])
	if binary.LittleEndian.Uint32(b) != groupMagic || length > maxGroup {
		return group{}, nil, errTorn
	}
	if b, err = s.bytes(off, groupHeader+int64(length)); err != nil {
		return group{}, nil, err
	}
	return decodeGroup(b)
}

// laterGroup reports whether a valid group of the file with a number above last begins anywhere from off on.
func (s *scanner) laterGroup(off int64, file, last uint64) (bool, error) {
	for ; off+groupHeader <= s.size; off += groupAlign {
		b, err := s.bytes(off, groupHeader)
		if err != nil {
			return false, err
		}
		if binary.LittleEndian.Uint32(b) != groupMagic || binary.LittleEndian.Uint64(b[8:]) != file {
			continue
		}
		if g, _, err := s.group(off); err == nil && g.number > last {
			return true, nil
		}
	}
	return false, nil
}
