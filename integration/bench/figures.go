package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// figures are what one run of a job gave.
type figures struct {
	Bytes   int64   `json:"bytes"`   // of input
	Records int64   `json:"records"` // of input
	Wall    float64 `json:"wall"`    // seconds
	CPU     float64 `json:"cpu"`     // seconds, of all cores
	Peak    int64   `json:"peak"`    // bytes of memory at the most, that of the program itself included
	Out     int64   `json:"out"`     // bytes of output
}

// measure fills in the times of f and the memory.
func measure(f figures, work func() error) (figures, error) {
	cpu, began := processorTime(), time.Now()
	err := work()
	f.Wall, f.CPU, f.Peak = time.Since(began).Seconds(), processorTime()-cpu, peakMemory()
	return f, err
}

// child runs a job in a process of its own that may use that many cores.
func (b *bench) child(ctx context.Context, job string, cores int) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return figures{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-job", job, "-dir", b.dir) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(cores))
	return b.figuresOf(job, cores, cmd)
}

func (b *bench) figuresOf(job string, cores int, cmd *exec.Cmd) (figures, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return figures{}, fmt.Errorf("%s: %w: %s", job, err, errs.Bytes())
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		return figures{}, fmt.Errorf("%s: %w: %s", job, err, out.Bytes())
	}
	_, _ = fmt.Fprintf(b.progress, "%-24s cores=%d %7.1f MB/s %7.1f MB/cpu-s peak=%d MB out=%.1f MB\n",
		job, cores, mb(f)/f.Wall, mb(f)/f.CPU, f.Peak>>20, float64(f.Out)/1e6)
	return f, nil
}

func mb(f figures) float64 { return float64(f.Bytes) / 1e6 }

func perSecond(f figures) float64 { return mb(f) / f.Wall }

func perProcessor(f figures) float64 { return mb(f) / f.CPU }

// spread is a median and its range.
type spread struct{ median, least, most float64 }

func spreadOf[T any](of func(T) float64, runs []T) spread {
	var v []float64
	for _, r := range runs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	n := len(v)
	return spread{(v[n/2] + v[(n-1)/2]) / 2, v[0], v[n-1]}
}

func (s spread) String() string { return s.with(0) }

// with writes s with that many digits behind the point.
func (s spread) with(digits int) string {
	f := func(v float64) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	return f(s.median) + " (" + f(s.least) + "–" + f(s.most) + ")"
}

// pair is a round of two jobs, one right after the other.
type pair struct{ ours, theirs figures }

// ratios are how many times faster ours is, round by round.
func ratios(rate func(figures) float64, pairs []pair) spread {
	return spreadOf(func(p pair) float64 { return rate(p.ours) / rate(p.theirs) }, pairs)
}
