package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/shardlog"
	"github.com/penstock/penstock/core/vfs"
)

// damaged is a data directory after something happened to one of its files.
type damaged struct {
	what string
	set  map[string][]byte // names and what they hold now; nil: no such file
}

// damage is one way in which a disk, or a person, hurts a file.
type damage struct {
	kind string
	of   func(im image, name string) []damaged
}

// image is a data directory, and what it held before.
type image struct {
	files map[string][]byte
	older []map[string][]byte
	every int // of the places where damage may be, every so many are tried
}

func snapshot(t *testing.T, fs *vfs.Mem) map[string][]byte {
	t.Helper()
	fs = fs.Clone() // nothing changes meanwhile
	out := map[string][]byte{}
	for _, name := range namesUnder(t, fs, "/log") {
		out[strings.TrimPrefix(name, "/log/")] = fs.Get(name)
	}
	return out
}

func one(what, name string, b []byte) damaged {
	if b == nil {
		b = []byte{}
	}
	return damaged{what, map[string][]byte{name: b}}
}

var damages = []damage{
	{"torn write", func(im image, name string) (out []damaged) {
		b := im.files[name]
		for at := 512; at < len(b); at += 512 { // what was written last did not arrive from here on
			c := slices.Clone(b)
			clear(c[at:])
			out = append(out, one(fmt.Sprint("zero from ", at), name, c))
		}
		return out
	}},
	{"bit flip", func(im image, name string) (out []damaged) {
		for at := 0; at < len(im.files[name]); at += im.every {
			c := slices.Clone(im.files[name])
			c[at] ^= 1 << (at % 8)
			out = append(out, one(fmt.Sprint("at ", at), name, c))
		}
		return out
	}},
	{"truncation", func(im image, name string) (out []damaged) {
		for n := 1; n < len(im.files[name]); n += im.every {
			out = append(out, one(fmt.Sprint("to ", n), name, im.files[name][:n]))
		}
		for _, at := range groupsOf(im.files[name]) {
			out = append(out, one(fmt.Sprint("to the group at ", at), name, im.files[name][:at]))
		}
		return out
	}},
	{"zeroed page", func(im image, name string) (out []damaged) {
		for _, page := range []int{512, 4096} {
			for at := 0; at < len(im.files[name]); at += page {
				c := slices.Clone(im.files[name])
				clear(c[at:min(at+page, len(c))])
				out = append(out, one(fmt.Sprint(page, " bytes at ", at), name, c))
			}
		}
		return out
	}},
	{"swapped groups", func(im image, name string) (out []damaged) {
		b, at := im.files[name], groupsOf(im.files[name])
		for i := 0; i+2 < len(at); i++ {
			c := slices.Concat(b[:at[i]], b[at[i+1]:at[i+2]], b[at[i]:at[i+1]], b[at[i+2]:])
			out = append(out, one(fmt.Sprint("group at ", at[i]), name, c))
		}
		return out
	}},
	{"duplicated group", func(im image, name string) (out []damaged) {
		b, at := im.files[name], groupsOf(im.files[name])
		for i := 0; i+1 < len(at); i++ {
			g := b[at[i]:at[i+1]]
			out = append(out, one(fmt.Sprint("group at ", at[i], " again"), name, slices.Concat(b[:at[i+1]], g, b[at[i+1]:])))
			out = append(out, one(fmt.Sprint("group at ", at[i], " at the end"), name, slices.Concat(b, g)))
		}
		return out
	}},
	{"missing file", func(_ image, name string) []damaged {
		return []damaged{{"", map[string][]byte{name: nil}}}
	}},
	{"empty file", func(_ image, name string) []damaged { return []damaged{one("", name, nil)} }},
	{"renamed file", func(im image, name string) (out []damaged) {
		for _, to := range append(logNames(im), filepath.Base(fileName("", 1<<40)), filepath.Base(fileName("", 0)), "head", "lost") {
			if to != name {
				out = append(out, damaged{"to " + to, map[string][]byte{name: im.files[to], to: im.files[name]}})
			}
		}
		return out
	}},
	{"junk file", func(im image, name string) (out []damaged) {
		junk := noise(1, 5000)
		for _, as := range []string{"junk", name + ".bak", "commit-.log", filepath.Base(fileName("", 1<<40)), filepath.Base(fileName("", 0))} {
			for what, b := range map[string][]byte{"noise": junk, "a copy": im.files[name], "nothing": {}} {
				out = append(out, one(what+" as "+as, as, b))
			}
		}
		return out
	}},
	{"appended garbage", func(im image, name string) (out []damaged) {
		for _, n := range []int{1, 7, 512, 5000} {
			out = append(out, one(fmt.Sprint(n, " bytes"), name, slices.Concat(im.files[name], noise(2, n))))
			out = append(out, one(fmt.Sprint(n, " zeros"), name, slices.Concat(im.files[name], make([]byte, n))))
		}
		return out
	}},
	{"old copy", func(im image, name string) (out []damaged) {
		for i, old := range im.older {
			if b := old[name]; b != nil && !slices.Equal(b, im.files[name]) {
				out = append(out, one(fmt.Sprint("of step ", i), name, b))
			}
		}
		return out
	}},
}

// logNames are the names of the commit-log files of an image, in order.
func logNames(im image) (out []string) {
	for name := range im.files {
		if strings.HasPrefix(name, filePrefix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// groupsOf is where the groups of a commit-log file begin, and where the last one ends.
func groupsOf(b []byte) (out []int) {
	if len(b) < headerSize || string(b[:8]) != fileMagic {
		return nil
	}
	for at := headerSize; at <= len(b); {
		out = append(out, at)
		g, _, err := decodeGroup(b[at:])
		if err != nil {
			break
		}
		at += int(g.size())
	}
	return out
}

// TestDamageIsSeen hurts every file of several data directories in twelve ways, one at a time: opening or reading says
// which file is damaged, or everything acknowledged is there. PENSTOCK_DAMAGE_EVERY=1 hurts every byte; where not
// everything must be tested, it is a third of the directories.
func TestDamageIsSeen(t *testing.T) {
	t.Parallel()
	detected, harmless, cases, files := map[string]int{}, map[string]int{}, 0, 0
	for i, w := range append(workloads(), randomWorkload(3), randomWorkload(4)) {
		if i%3 != 0 && os.Getenv("REQUIRE_INTEGRATION") != "1" || slow && i%6 != 0 {
			continue
		}
		for _, ending := range []string{"reopen", "kill", ""} {
			d := newDriver(w.cfg, func(string, string) error { return nil })
			im := image{every: number(t, "PENSTOCK_DAMAGE_EVERY", 211)}
			im.older = d.record(t, append(slices.Clone(w.steps), step{do: ending}))
			im.files = im.older[len(im.older)-1]
			for name := range im.files {
				files++
				for _, dm := range damages {
					for _, hurt := range dm.of(im, name) {
						cases++
						where := fmt.Sprintf("%s %s, %s of %s: %s", w.name, ending, dm.kind, name, hurt.what)
						if d.sees(t, im, hurt, where) {
							detected[dm.kind]++
						} else {
							harmless[dm.kind]++
						}
					}
				}
			}
		}
	}
	for _, dm := range damages {
		t.Logf("%-16s detected %6d, harmless %6d", dm.kind, detected[dm.kind], harmless[dm.kind])
		require.Positive(t, detected[dm.kind]+harmless[dm.kind], dm.kind)
	}
	t.Logf("campaign=damage kinds=%d files=%d cases=%d silent=0 panics=0", len(damages), files, cases)
}

// record runs the steps and returns the data directory after each. The last one is as a killed process leaves it where
// the last step says nothing, and closed otherwise.
func (d *driver) record(t *testing.T, steps []step) (out []map[string][]byte) {
	t.Helper()
	require.NoError(t, d.open(t.Context()))
	for _, s := range steps {
		if s.do != "" {
			require.NoError(t, d.do(t.Context(), s), "%v", s)
		}
		out = append(out, snapshot(t, d.fs))
	}
	d.end()
	if steps[len(steps)-1].do == "reopen" {
		out = append(out, snapshot(t, d.fs))
	}
	return out
}

// sees opens a damaged image and reports whether the damage was told; if not, it must be harmless.
func (d *driver) sees(t *testing.T, im image, hurt damaged, where string) bool {
	t.Helper()
	fs := vfs.NewMem()
	for name, b := range im.files {
		fs.Set("/log/"+name, b)
	}
	for name, b := range hurt.set {
		fs.Set("/log/"+name, b)
	}
	err := d.check(t, fs)
	if errors.Is(err, shardlog.ErrCorrupt) {
		require.ErrorContains(t, err, "/log/", where)
		return true
	}
	require.NoError(t, err, where)
	return false
}
