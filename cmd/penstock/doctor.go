package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core/memory"
	"github.com/penstock/penstock/pipelines"
)

// What a check found.
const (
	foundOK      = "ok"
	foundWarning = "warning"
	foundProblem = "problem"
)

// finding is the outcome of a check.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warning, problem
	What  string `json:"what"`
	Cure  string `json:"cure,omitempty"`
}

// doctor gathers findings.
type doctor struct {
	*app
	books  *pipelines.Books // nil where there is neither a data directory nor a state
	dir    string           // the data directory; empty where there is none
	memory int64            // the budget
	found  []finding
}

func (d *doctor) add(check, state, cure, what string, args ...any) {
	f := finding{check, state, fmt.Sprintf(what, args...), cure}
	if state == foundOK {
		f.Cure = ""
	}
	d.found = append(d.found, f)
	mark := map[string]string{foundOK: "ok      ", foundWarning: "WARNING ", foundProblem: "PROBLEM "}[state]
	d.printf("%s %s: %s\n", mark, check, f.What)
	if f.Cure != "" {
		d.printf("          %s\n", f.Cure)
	}
}

// fine is add of what is as it should be, bad of what keeps something from working, odd of what may.
func (d *doctor) fine(check, what string, args ...any) { d.add(check, foundOK, "", what, args...) }

func (d *doctor) bad(check, cure, what string, args ...any) {
	d.add(check, foundProblem, cure, what, args...)
}

func (d *doctor) odd(check, cure, what string, args ...any) {
	d.add(check, foundWarning, cure, what, args...)
}

func (a *app) doctor() *cobra.Command {
	c := booksConfig{}
	size := connectors.ByteSize(memory.Default)
	cmd := &cobra.Command{
		Use:   "doctor [PIPELINE.yaml...]",
		Short: "Look for what commonly goes wrong, and say what cures it",
		Long: `Look for what commonly goes wrong: with the machine (open files, memory), the data directory (owner, permissions, space, a file
system that syncs, the reserve), the clock against those of servers, the sources and sinks of pipelines, which are asked as
run asks them before it starts, the shared state, and pipelines that are paused, read by nobody, stuck in a plan, about to lose
records to retention, or filling their dead letters.

Without files it looks at the pipelines that ran. Nothing is changed but a file in the data directory that is written, synced
and removed, and the folder of a file sink, which is made. Where another process has the data directory, it is that process which looks. Exit code 1: there is a problem;
warnings alone are none.`,
		Example:           "  penstock doctor\n  penstock doctor clicks-archive.yaml --state http://streams.example:4567",
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			d := &doctor{app: a, memory: int64(size), found: []finding{}}
			return d.examine(cmd, &c, args)
		},
	}
	c.flags(cmd)
	cmd.Flags().TextVar(&size, "memory", size, "the --memory that run is given")
	return cmd
}

// examine makes every check, and returns an error of exit code 1 where one found a problem.
func (d *doctor) examine(cmd *cobra.Command, c *booksConfig, files []string) error {
	ctx := cmd.Context()
	specs, err := loadSome(registry(), files)
	if err != nil {
		return usage(err)
	}
	shared := c.state.url != "" || !cmd.Flags().Changed("data") && os.Getenv(stateVariable) != ""
	err = c.open(cmd, func(b *pipelines.Books) error {
		if d.books = b; b.Node != nil {
			d.dir = c.data
			d.memory = b.Node.Memory(d.memory)
		}
		d.all(ctx, specs)
		return nil
	})
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return err // it was looked at there
	case errors.Is(err, pipelines.ErrNoData) && !shared:
		d.fine("data directory", "there is none at %s", c.data)
		d.all(ctx, specs)
	case err != nil && shared:
		d.bad("state", "name it as run does, with --state or $"+stateVariable, "%v", err)
	case err != nil:
		d.bad("data directory", "see the message; what it names can be mended while no penstock has the directory", "%v", err)
		d.dir = c.data
		d.all(ctx, specs)
	}
	problems := 0
	for _, f := range d.found {
		if f.State == foundProblem {
			problems++
		}
	}
	d.result = d.found
	if problems > 0 {
		return problem(fmt.Errorf("%d problems", problems))
	}
	return nil
}

// all makes the checks.
func (d *doctor) all(ctx context.Context, specs []*pipelines.Spec) {
	d.machine()
	if d.dir != "" {
		d.directory(ctx)
	}
	names := d.names(ctx)
	given := len(specs) > 0
	if !given {
		specs = d.stored(ctx, names)
	}
	d.clocks(ctx, specs)
	for _, s := range specs {
		d.reach(ctx, s)
	}
	for _, name := range names {
		if !given || wants(specs, name) {
			d.pipeline(ctx, name)
		}
	}
}

func wants(specs []*pipelines.Spec, name string) bool {
	for _, s := range specs {
		if s.Name == name {
			return true
		}
	}
	return false
}

// names are the pipelines that ran, which is also how it is found out whether a state answers.
func (d *doctor) names(ctx context.Context) []string {
	if d.books == nil {
		return nil
	}
	names, err := d.books.Names(ctx)
	switch {
	case err != nil && d.books.State != nil:
		d.bad("state", "is its address right, does it run, and may these credentials use it (penstock:* on pipeline/*)?", "%v", err)
	case err != nil:
		d.bad("data directory", "see the message", "list pipelines: %v", err)
	case d.books.State != nil:
		d.fine("state", "it answers, and has %d pipelines", len(names))
	}
	return names
}

// stored are the files that the pipelines ran with. A consumer of a Go program has none.
func (d *doctor) stored(ctx context.Context, names []string) (out []*pipelines.Spec) {
	for _, name := range names {
		text, err := d.books.SpecText(ctx, name)
		if err == nil && len(text) > 0 && text[0] == '{' {
			continue
		}
		s, err := d.books.Spec(ctx, name)
		if err != nil {
			d.odd("pipeline "+name, "give doctor its file, or the environment variables that it refers to", "what it ran with cannot be read: %v", err)
			continue
		}
		out = append(out, s)
	}
	return out
}

// askTime is how long a source, a sink or a server may take to answer.
const askTime = 15 * time.Second

// reach asks a pipeline's source and sink whether they can be used, as run does.
func (d *doctor) reach(ctx context.Context, s *pipelines.Spec) {
	ctx, stop := context.WithTimeout(ctx, askTime)
	defer stop()
	r := registry()
	check := "sink of " + s.Name
	p, err := r.Program(ctx, s)
	if err != nil {
		d.bad("pipeline "+s.Name, "penstock lint says where", "%v", err)
		return
	}
	defer p.Sink.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it wrote nothing
	if prober, ok := p.Sink.(connectors.Prober); !ok {
		d.odd(check, "dry-run shows what would come of records", "%s cannot be asked whether it takes rows", s.Sink.Kind)
	} else if err := prober.Probe(ctx); err != nil {
		d.bad(check, "mend what the message names: the address, the credentials, what they may do, or the bucket, folder or table", "%s: %v", s.Sink.Kind, s.Conceal(err))
	} else {
		d.fine(check, "%s takes rows", s.Sink.Kind)
	}
	check = "source of " + s.Name
	if n, err := d.shards(ctx, r, s); err != nil {
		d.bad(check, "mend what the message names: the name of the stream, the address, the credentials, or the paths", "%v", s.Conceal(err))
	} else {
		d.fine(check, "%d shards or files can be read", n)
	}
}

// shards counts what a pipeline would read.
func (d *doctor) shards(ctx context.Context, r *pipelines.Registry, s *pipelines.Spec) (int, error) {
	source, err := d.books.DrySource(ctx, r, s)
	if err != nil {
		return 0, err
	}
	defer source.Close() //nolint:errcheck // it only reads
	list, err := source.Shards(ctx)
	return len(list), err
}
