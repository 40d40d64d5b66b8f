package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core"
)

// Exit codes.
const (
	exitOK      = 0
	exitProblem = 1 // the command ran and found something wrong: a gap, a failed test
	exitUsage   = 2 // the command line or a pipeline file is wrong
	exitFailed  = 3 // something could not be done: no such bucket, no space, a damaged log
)

// codedError is an error that says which exit code it means.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func usage(err error) error   { return coded(exitUsage, err) }
func problem(err error) error { return coded(exitProblem, err) }

func coded(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code, err}
}

// exitCode is what an error means to who called the command.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	}
	return exitFailed
}

// app is what every command shares.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	quiet    bool
	result   any  // what the command answers under --json
	streamed bool // what the command wrote is all: one JSON a line, or its help
}

// run runs one command line and returns its exit code. A first SIGINT or SIGTERM asks the command to end, a second one
// ends the process.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := untilSignalled(ctx)
	defer stop()
	return execute(withCall(ctx, &call{args: args, in: in, out: out, err: errOut}), args, in, out, errOut)
}

// oneSignal is how long further signals are taken for the first one: timeout and supervisors signal a process and its group.
const oneSignal = 300 * time.Millisecond

// untilSignalled returns a context that ends with the first SIGINT or SIGTERM. Once those that come with it have passed,
// the next one finds the default behaviour again.
func untilSignalled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		cancel()
		<-time.After(oneSignal)
		signal.Stop(signals)
	}()
	return ctx, cancel
}

// execute runs one command line, of this process or of another one that does not have the data directory.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	if err != nil {
		_, _ = fmt.Fprintf(errOut, "penstock: %s\n", strings.TrimSuffix(err.Error(), ": "+core.ErrInvalid.Error()))
	}
	// A command line that is wrong may end before --json is read.
	if (a.json || err != nil && slices.Contains(args, "--json")) && !a.streamed && !cobras(cmd) {
		if werr := a.writeEnvelope(cmd, err); err == nil {
			err = werr
		}
	}
	return exitCode(err)
}

const about = `Penstock is a durable stream and the pipelines over it: records in, declarative YAML pipelines that decode, filter and
transform them, and each row at its destination exactly once.

Results go to standard output, progress and errors to standard error. With --json a command writes one object
{"command", "ok", "result", "error"}; error has message, exit_code and, for pipeline files, mistakes with file, line,
column, path and what. Commands that stream (tail) write one object a line instead.

Exit codes: 0 done; 1 it ran and found something wrong; 2 the command line or a pipeline file is wrong; 3 something
could not be done, such as a bucket that is not there or a disk without space.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "penstock",
		Short:         "Streams into stores, exactly once: Kinesis, its connector library and Firehose in one binary",
		Long:          about,
		Example:       "  penstock quickstart\n  penstock init --source generate && penstock lint pipeline.yaml && penstock run pipeline.yaml",
		Version:       readBuild().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print machine-readable JSON")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "print no progress")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(
		a.quickstart(), a.initFile(), a.serve(), a.run(), a.lint(), a.test(), a.dryRun(), a.schema(), a.verify(),
		a.streams(), a.put(), a.tail(), a.pipelines(), a.dlq(), a.doctor(), a.version(),
	)
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		a.streamed = true
		help(cmd, args)
	})
	strict(root)
	return root
}
