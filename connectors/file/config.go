package file

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock/penstock/core"
)

// Config is `source: {file: ...}`.
type Config struct {
	Paths  []string `yaml:"paths" json:"paths" jsonschema:"description=Files and globs such as logs/**/*.ndjson.gz."`
	Follow bool     `yaml:"follow" json:"follow,omitempty" jsonschema:"description=Wait for more lines at the end of a file\\, and for more files. Default false."`
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	if len(c.Paths) == 0 {
		return fmt.Errorf("paths: name at least one file or glob: %w", core.ErrInvalid)
	}
	for _, p := range c.Paths {
		if p == "" || !doublestar.ValidatePathPattern(p) {
			return fmt.Errorf("paths: %q is not a path or glob: %w", p, core.ErrInvalid)
		}
	}
	return nil
}
