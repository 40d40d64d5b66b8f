package file

import (
	"fmt"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock/penstock/core"
)

// Config is `source: {file: ...}`.
type Config struct {
	Paths  []string `yaml:"paths" json:"paths" jsonschema:"description=Files and globs such as logs/**/*.ndjson.gz; or '-' alone\\, which is standard input: what came of it when a run is killed is delivered by the next; piping the same bytes twice is twice the data."`
	Format string   `yaml:"format" json:"format,omitempty" jsonschema:"enum=lines,enum=csv,enum=json_array,description=What a record is: a line\\, a line of CSV with the line ends that it quotes\\, or an element of a JSON array. Default lines\\, or csv where that is decoded."`
	Follow bool     `yaml:"follow" json:"follow,omitempty" jsonschema:"description=Wait for more lines at the end of a file\\, and for more files. Default false."`
}

// The formats.
const (
	formatLines = "lines"
	formatCSV   = "csv"
	formatJSON  = "json_array"
)

// Stdin is the path that is standard input.
const Stdin = "-"

// IsStdin reports whether standard input is read, which this package does not: see Records.
func (c Config) IsStdin() bool { return len(c.Paths) == 1 && c.Paths[0] == Stdin }

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	if len(c.Paths) == 0 {
		return fmt.Errorf("paths: name at least one file or glob: %w", core.ErrInvalid)
	}
	switch c.Format {
	case "", formatLines, formatCSV, formatJSON:
	default:
		return fmt.Errorf("format: unknown %q (have csv, json_array, lines): %w", c.Format, core.ErrInvalid)
	}
	if slices.Contains(c.Paths, Stdin) && (len(c.Paths) > 1 || c.Follow) {
		return fmt.Errorf("paths: '-' is standard input, which stands alone and ends when it ends: leave other paths and follow out: %w", core.ErrInvalid)
	}
	for _, p := range c.Paths {
		if p == "" || !doublestar.ValidatePathPattern(p) {
			return fmt.Errorf("paths: %q is not a path or glob: %w", p, core.ErrInvalid)
		}
	}
	return nil
}
