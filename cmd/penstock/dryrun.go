package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/pipelines"
)

// dryOptions are those of dry-run.
type dryOptions struct {
	data, from string
	records    int64
}

func (a *app) dryRun() *cobra.Command {
	var opts dryOptions
	cmd := &cobra.Command{
		Use:   "dry-run PIPELINE.yaml",
		Short: "Show what a pipeline makes of a few records, stage by stage, and write nothing",
		Long: `Read a few records of the pipeline's source, from its start on, or of a file, and show the rows after decoding and after
each stage, the schema that was inferred, the prefixes at the destination and the dead letters. Nothing is written, no
checkpoint moves. A destination that has a form, such as a table, is asked for it, and what it lacks for these rows is shown
as the statements that would be made.`,
		Example:           "  penstock dry-run clicks-archive.yaml --records 5\n  penstock dry-run clicks-archive.yaml --from samples.ndjson",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: yamlFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registry()
			specs, err := load(r, args)
			if err != nil {
				return err
			}
			out, err := a.dryRunOne(cmd.Context(), r, specs[0], opts)
			if err != nil {
				return classify(err)
			}
			return a.answer(out, func() { a.printDryRun(out) })
		},
	}
	dataFlag(cmd, &opts.data)
	cmd.Flags().Int64VarP(&opts.records, "records", "n", 10, fmt.Sprintf("how many records, up to %d", pipelines.MaxDryRecords))
	cmd.Flags().StringVar(&opts.from, "from", "", "read the lines of this file instead of the source; - is standard input")
	return cmd
}

func (a *app) dryRunOne(ctx context.Context, r *pipelines.Registry, s *pipelines.Spec, opts dryOptions) (out *pipelines.DryRun, err error) {
	var source connectors.Source
	if stdin := s.Source.File != nil && s.Source.File.IsStdin(); opts.from == "-" || opts.from == "" && stdin {
		if opts.from, err = spool(a.in); err != nil {
			return nil, err
		}
		defer os.Remove(opts.from) //nolint:errcheck // a temporary file
	}
	switch {
	case opts.from != "":
		source, err = r.FileSource(ctx, s, opts.from)
	case s.Source.Stream == "":
		source, err = r.DrySource(ctx, s, nil)
	default:
		if _, err := os.Stat(opts.data); errors.Is(err, fs.ErrNotExist) { // opening would make it
			return nil, usage(fmt.Errorf("data directory %s is not there, so stream %s is not either: name another with --data, or read a file with --from", opts.data, s.Source.Stream))
		}
		err = withNode(ctx, opts.data, func(n *pipelines.Node) error {
			source, err := r.DrySource(ctx, s, n.Streams)
			if err != nil {
				return err
			}
			out, err = r.DryRun(ctx, s, source, opts.records)
			return errors.Join(err, source.Close())
		})
		return out, err
	}
	if err != nil {
		return nil, err
	}
	out, err = r.DryRun(ctx, s, source, opts.records)
	return out, errors.Join(err, source.Close())
}

// maxSpool bounds what is read of standard input; a dry run reads no more of a file either.
const maxSpool = 64 << 20

// spool writes the beginning of standard input to a temporary file, since decoders that split it themselves need the text.
func spool(in io.Reader) (name string, err error) {
	f, err := os.CreateTemp("", "penstock-dry-run-")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, io.LimitReader(in, maxSpool))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("keep standard input in %s: %w", f.Name(), err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (a *app) printDryRun(d *pipelines.DryRun) {
	a.printf("%d records of pipeline %s; nothing is written\n\nschema\n", d.Records, d.Pipeline)
	for _, c := range d.Schema {
		a.printf("  %s %s\n", plainText(c.Name), c.Type)
	}
	for _, s := range d.Steps {
		a.printf("\n%s kept=%d filtered=%d null=%d refused=%d\n", s.Stage, s.Kept, s.Filtered, s.Null, s.Refused)
		for _, row := range s.Rows {
			a.printf("%s\n", row)
		}
	}
	for _, prefix := range slices.Sorted(maps.Keys(d.Prefixes)) {
		a.printf("  rows=%d under %q\n", d.Prefixes[prefix], prefix)
	}
	a.printChanges(d)
	if d.Advice != "" {
		a.printf("\nwarning: %s\n", plainText(d.Advice))
	}
	if len(d.Absent) > 0 {
		a.printf("\nwarning: the pipeline names columns that none of these records has; they are null: %s\n", plainText(listed(d.Absent)))
	}
	if len(d.DeadLetters) > 0 {
		a.printf("\ndead letters\n")
	}
	for _, l := range d.DeadLetters {
		a.printf("  %s %s %d %s %s: %s\n", l.Shard, l.Seq, l.Ord, l.Stage, l.Code, plainText(l.Reason))
	}
}

func (a *app) printChanges(d *pipelines.DryRun) {
	for _, made := range []bool{true, false} {
		head := "\nthe destination would be changed with the first rows\n"
		if !made {
			head = "\nthe destination lacks what these rows need; the pipeline would wait until somebody has run\n"
		}
		for _, c := range d.Changes {
			if c.Made == made {
				a.printf("%s  %s;\n", head, plainText(strings.NewReplacer("\n\t", " ", "\n", " ").Replace(c.Statement)))
				head = ""
			}
		}
	}
	if d.Unasked != "" {
		a.printf("\nthe destination was not asked what it lacks: %s\n", plainText(d.Unasked))
	}
}
