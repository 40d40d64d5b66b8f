package prefix

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

const maxValue = 128

// clean writes a value so that it stays one piece of a path, as Hive does: characters with a meaning become %XX, the
// empty value becomes Null. Different values stay different; a long one is cut and ends in a hash of the whole.
func clean(b *strings.Builder, s string) {
	if s == "" {
		b.WriteString(Null)
		return
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || n == 1 && escaped(s[i], i) {
			fmt.Fprintf(&out, "%%%02X", s[i])
		} else {
			out.WriteString(s[i : i+n])
		}
		i += n
		if out.Len() > maxValue {
			break
		}
	}
	text := shortened(out.String(), s, maxValue)
	if reserved(text) || text == Null {
		text = "%5F" + text[1:]
	}
	b.WriteString(text)
}

// shortened is a text of at most so many bytes: a longer one is cut and ends in a hash of the whole that it stands for.
func shortened(text, whole string, most int) string {
	if len(text) <= most {
		return text
	}
	cut := most - len(hash(whole))
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + hash(whole)
}

func hash(s string) string { return fmt.Sprintf("~%016x", xxhash.Sum64String(s)) }

// ours is the folder of the manifests and of files that grow. Some file systems do not tell capitals apart.
const ours = "_penstock"

func reserved(path string) bool {
	return len(path) >= len(ours) && strings.EqualFold(path[:len(ours)], ours)
}

// Bounds of what an expression gives, such that with a file's name behind it every store takes it: 255 bytes between
// slashes, and 1,024 in all.
const (
	maxFolder = 200
	maxTail   = 100 // what a file's name begins with
	maxWhole  = 720 // more than what may be written in an expression and a folder that it begins
)

// bounded is a prefix within the bounds; different ones stay different.
func bounded(s string) string {
	if len(s) <= maxTail {
		return s
	}
	segments := strings.Split(s, "/")
	last := len(segments) - 1
	for i, seg := range segments[:last] {
		segments[i] = shortened(seg, seg, maxFolder)
	}
	segments[last] = shortened(segments[last], segments[last], maxTail)
	out := strings.Join(segments, "/")
	if len(out) <= maxWhole {
		return out
	}
	return out[:strings.LastIndexByte(out[:maxWhole], '/')+1] + hash(s)[1:] + "/"
}

// escaped reports whether the ASCII byte c at index i of a value has a meaning in paths or URLs.
func escaped(c byte, i int) bool {
	return c < ' ' || c == 0x7f || strings.IndexByte(`"#%'*/:=?\{}[]^<>|!`+"`", c) >= 0 || c == '.' && i == 0
}
