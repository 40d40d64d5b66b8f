package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
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

func usage(err error) error { return &codedError{exitUsage, err} }

func problem(err error) error { return &codedError{exitProblem, err} }

// app is what every command shares.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
}

// run runs one command line and returns its exit code. A first SIGINT or SIGTERM asks the command to end, a second one
// ends the process.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal finds the default behaviour again
	return execute(withCall(ctx, &call{args: args, in: in, out: out, err: errOut}), args, in, out, errOut)
}

// execute runs one command line, of this process or of another one that does not have the data directory.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	_, _ = fmt.Fprintf(errOut, "penstock: %v\n", err)
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "penstock",
		Short:         "Streams into stores, exactly once: Kinesis, its connector library and Firehose in one binary",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print machine-readable JSON")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(a.quickstart(), a.run(), a.lint(), a.verify(), a.streams(), a.put(), a.pipelines(), a.dlq(), a.version())
	return root
}
