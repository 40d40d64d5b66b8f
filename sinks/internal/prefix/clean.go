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
	text := out.String()
	if len(text) > maxValue {
		cut := maxValue - 17
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = fmt.Sprintf("%s~%016x", text[:cut], xxhash.Sum64String(s))
	}
	if strings.HasPrefix(text, "_penstock") || text == Null {
		text = "%5F" + text[1:]
	}
	b.WriteString(text)
}

// escaped reports whether the ASCII byte c at index i of a value has a meaning in paths or URLs.
func escaped(c byte, i int) bool {
	return c < ' ' || c == 0x7f || strings.IndexByte(`"#%'*/:=?\{}[]^<>|!`+"`", c) >= 0 || c == '.' && i == 0
}
