//go:build unix

package main

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEveryLineOfRotatedLogsOnce writes logs that are rotated by renaming or by copying and truncating, compressed, moved
// and removed, while pipelines that read them once or follow them run and are killed. PENSTOCK_FILES says how many worlds
// of that there are. Every line is in the lake once, but for those that were destroyed before they were read, which is
// said, and for parts of lines that were read before they were whole.
func TestEveryLineOfRotatedLogsOnce(t *testing.T) {
	worlds := 6
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_FILES")); err == nil {
		worlds = n
	}
	first := 1
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_FILES_SEED")); err == nil {
		first = n
	}
	var all world
	for seed := first; seed < first+worlds; seed++ {
		w := newWorld(t, uint64(seed)) //nolint:gosec // small
		for range 8 {
			w.round()
		}
		w.finish()
		all.written, all.rows, all.kills, all.torn, all.missing = all.written+w.written, all.rows+w.rows, all.kills+w.kills, all.torn+w.torn, all.missing+w.missing
		t.Logf("campaign=files seed=%d worlds=%d kills=%d lines=%d rows=%d torn=%d destroyed_or_unseen=%d", seed, seed-first+1, all.kills, all.written, all.rows, all.torn, all.missing)
	}
}

// world is a folder of logs, those who write and rotate them, and what a pipeline made of them.
type world struct {
	*logs
	rng     *rand.Rand
	alone   bool                // the paths name the log alone
	files   map[string][]string // lines by name; the log is app.log
	part    string              // of a line that is not whole, at the end of the log
	parts   map[string]bool     // lines that were not whole for some time
	lines   map[string]bool     // all that were written, whole
	safe    map[string]bool     // lines that were delivered for sure
	doomed  map[string]bool     // lines that went before they were; true where the pipeline knew their file
	known   map[string]bool     // files that a whole run saw, by their first lines
	said    strings.Builder     // by every run
	history []string

	written, rows, kills, torn, missing int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 7)), files: map[string][]string{}, parts: map[string]bool{}, lines: map[string]bool{}, safe: map[string]bool{}, known: map[string]bool{}, doomed: map[string]bool{},
	}
	w.alone = seed%4 == 0
	w.logs = newLogs(t, map[bool]string{true: "app.log", false: "app*"}[w.alone], "", asText)
	w.did("seed %d alone=%v", seed, w.alone)
	w.append(3)
	return w
}

func (w *world) did(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

// spec writes the pipeline's file anew.
func (w *world) spec(follow bool) {
	b, err := os.ReadFile(w.pipe)
	require.NoError(w.t, err)
	text := strings.Replace(string(b), ", follow: true", "", 1)
	if follow {
		text = strings.Replace(text, "']}", "'], follow: true}", 1)
	}
	require.NoError(w.t, os.WriteFile(w.pipe, []byte(text), 0o600))
}

// round runs a pipeline while the logs change, and kills it or not.
func (w *world) round() {
	follow := w.rng.IntN(2) == 0
	w.spec(follow)
	for range w.rng.IntN(4) {
		w.change()
	}
	at, after := "never:1", time.Duration(100+w.rng.IntN(2500))*time.Millisecond
	if w.rng.IntN(3) == 0 {
		at = fmt.Sprint(steps[w.rng.IntN(len(steps))], ":", 1+w.rng.IntN(3))
	}
	quiet := !follow && w.rng.IntN(2) == 0
	if quiet {
		at, after = "never:1", time.Minute
	}
	w.did("run follow=%v die=%s after=%s", follow, at, after)
	before := slices.Concat(slices.Collect(maps.Values(w.files))...)
	cmd := exec.Command(os.Args[0], "run", w.pipe, "--data", w.data) //nolint:gosec // this very binary; killed below
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_DIE_AT="+at)
	var out said
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(w.t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	end := time.After(after)
	for {
		pause := time.After(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		select {
		case err := <-done:
			w.ended(err, out.String())
			if quiet {
				for _, line := range before {
					w.safe[line] = true
				}
				for _, lines := range w.files {
					w.known[first(lines)] = true
				}
			}
			return
		case <-end:
			sig := []os.Signal{syscall.SIGKILL, syscall.SIGTERM}[w.rng.IntN(2)]
			w.did("signal %v", sig)
			_ = cmd.Process.Signal(sig)
			w.ended(<-done, out.String())
			return
		case <-pause:
			if !quiet {
				w.change()
			}
		}
	}
}

// ended notes how a run ended: by itself, or killed.
func (w *world) ended(err error, out string) {
	w.said.WriteString(out)
	w.did("ended: %v\n%s", err, out)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status := exit.Sys().(syscall.WaitStatus)
		require.True(w.t, status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGTERM), "the run failed by itself: %v\n%s", err, w.story())
		w.kills++
		return
	}
	require.NoError(w.t, err, "%s", out)
}

func (w *world) story() string { return strings.Join(w.history, "\n") }

// change does one thing to the logs.
func (w *world) change() {
	switch w.rng.IntN(12) {
	default:
		w.append(1 + w.rng.IntN(20))
	case 5:
		w.half()
	case 6, 7:
		w.rotate()
	case 8:
		w.copyAway()
	case 9:
		w.compress()
	case 10:
		w.rename()
	case 11:
		w.remove()
	}
}

func (w *world) line() string {
	w.written++
	line := fmt.Sprintf("line %d %s.", w.written, strings.Repeat("x", w.rng.IntN(100)))
	w.lines[line] = true
	return line
}

func (w *world) append(n int) {
	w.whole("app.log")
	for range n {
		line := w.line()
		w.files["app.log"] = append(w.files["app.log"], line)
		w.add("app.log", line+"\n")
	}
	w.did("append %d, through line %d", n, w.written)
}

// half writes a part of a line.
func (w *world) half() {
	w.whole("app.log")
	w.part = w.line()
	w.parts[w.part] = true
	w.files["app.log"] = append(w.files["app.log"], w.part)
	w.add("app.log", w.part[:len(w.part)/2])
	w.did("half of line %d", w.written)
}

// whole completes the line that is not whole, in the file of that name.
func (w *world) whole(name string) {
	if w.part == "" {
		return
	}
	w.add(name, w.part[len(w.part)/2:]+"\n")
	w.part = ""
	w.did("completed line %d in %s", w.written, name)
}

// rotated are the names of rotated logs, the newest first.
func (w *world) rotated() (out []string) {
	for name := range w.files {
		if name != "app.log" {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return number(a) - number(b) })
	return out
}

func number(name string) int {
	n, _ := strconv.Atoi(strings.Split(name, ".")[2])
	return n
}

func (w *world) shift() {
	all := w.rotated()
	slices.Reverse(all)
	for _, name := range all {
		p := strings.Split(name, ".")
		p[2] = strconv.Itoa(number(name) + 1)
		w.rename1(name, strings.Join(p, "."))
	}
}

func (w *world) rename1(from, to string) {
	w.move(from, to)
	w.files[to] = w.files[from]
	delete(w.files, from)
	w.did("%s -> %s", from, to)
}

// rotate renames the logs; whoever has the log open goes on for a moment.
func (w *world) rotate() {
	if len(w.files["app.log"]) == 0 {
		return
	}
	w.shift()
	w.rename1("app.log", "app.log.1")
	if w.rng.IntN(2) == 0 {
		w.whole("app.log.1")
		line := w.line()
		w.files["app.log.1"] = append(w.files["app.log.1"], line)
		w.add("app.log.1", line+"\n")
		w.did("line %d after the rename", w.written)
	}
	w.whole("app.log.1")
	w.append(1 + w.rng.IntN(3))
}

func (w *world) copyAway() {
	if len(w.files["app.log"]) == 0 {
		return
	}
	w.whole("app.log")
	w.shift()
	w.copyTruncate("app.log", "app.log.1")
	w.files["app.log.1"] = w.files["app.log"]
	delete(w.files, "app.log")
	w.did("copied to app.log.1 and truncated")
	if w.rng.IntN(2) == 0 {
		w.append(1 + w.rng.IntN(20))
	}
}

// pick is a rotated log.
func (w *world) pick() (string, bool) {
	all := w.rotated()
	if len(all) == 0 {
		return "", false
	}
	return all[w.rng.IntN(len(all))], true
}

func (w *world) compress() {
	if name, ok := w.pick(); ok && !strings.HasSuffix(name, ".gz") {
		w.gzip(name)
		w.files[name+".gz"] = w.files[name]
		delete(w.files, name)
		w.did("gzip %s", name)
	}
}

func (w *world) rename() {
	if name, ok := w.pick(); ok && !strings.Contains(name, "old") {
		to := strings.TrimSuffix(name, ".gz") + ".old"
		if strings.HasSuffix(name, ".gz") {
			to += ".gz"
		}
		w.rename1(name, to)
	}
}

// first is the first of lines.
func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

// remove removes the oldest log, or truncates the log.
func (w *world) remove() {
	all := w.rotated()
	name := "app.log"
	if len(all) > 0 && w.rng.IntN(4) > 0 {
		name = all[len(all)-1]
	} else if w.rng.IntN(4) > 0 {
		return
	}
	for _, line := range w.files[name] {
		if !w.safe[line] {
			w.doomed[line] = w.known[first(w.files[name])]
		}
	}
	delete(w.files, name)
	if name == "app.log" {
		w.part = ""
		require.NoError(w.t, os.Truncate(w.path(name), 0))
		w.did("truncated app.log")
		return
	}
	require.NoError(w.t, os.Remove(w.path(name)))
	w.did("removed %s", name)
}

// finish lets everything be read, and holds the lake against what was written.
func (w *world) finish() {
	defer func() {
		if w.t.Failed() {
			_ = exec.Command("cp", "-r", w.dir, "/tmp/fc/keep").Run()
		}
	}()
	w.whole("app.log")
	w.spec(false)
	for range 3 {
		out := w.run()
		w.said.WriteString(out)
		w.did("last runs\n%s", out)
	}
	have := map[string]int{}
	rows := w.logs.rows()
	for _, row := range rows {
		have[row]++
	}
	w.rows = len(rows)
	said := w.said.String()
	for _, line := range slices.Concat(slices.Collect(maps.Values(w.files))...) {
		_, doomed := w.doomed[line]
		if w.alone && have[line] == 0 && !doomed {
			w.doomed[line], doomed = false, true // two rotations between two looks: the file was never at its path for this pipeline
		}
		require.True(w.t, have[line] == 1 || doomed, "%q is there %d times\n%s", line, have[line], w.story())
	}
	warned := strings.Contains(said, "level=WARN") || strings.Contains(said, "level=ERROR")
	for line, known := range w.doomed {
		require.LessOrEqual(w.t, have[line], 1, "%q\n%s", line, w.story())
		if have[line] == 0 {
			w.missing++
			require.True(w.t, warned || !known, "%q was lost without a word\n%s", line, w.story())
		}
	}
	for row, n := range have {
		if !w.lines[row] {
			require.True(w.t, w.isPart(row), "%q was never a line\n%s", row, w.story())
			w.torn++
		}
		require.Equal(w.t, 1, n, "%q\n%s", row, w.story())
	}
}

// isPart reports whether a row is the part of a line that was there for some time.
func (w *world) isPart(row string) bool {
	for line := range w.parts {
		if row == line[:len(line)/2] {
			return true
		}
	}
	return false
}

// TestAPlanLosesOnlyWhatIsGone: of the files of an open plan one is removed before it is carried out.
func TestAPlanLosesOnlyWhatIsGone(t *testing.T) {
	l := newLogs(t, "*", "", asText)
	l.add("a", "one\ntwo\n")
	l.add("b", "three\n")
	require.True(t, killed(t, l.pipe, l.data, "plan-committed:1", time.Minute))
	require.NoError(t, os.Remove(l.path("a")))
	require.Contains(t, l.run(), "records were lost")
	require.Equal(t, []string{"three"}, l.rows())
	require.Contains(t, l.run(), "nothing new")
	code, out, _ := command(t, "verify", l.pipe, "--data", l.data)
	require.Equal(t, exitProblem, code)
	require.Contains(t, out, "(2 of them) went before plan 1 of them was carried out")
}
