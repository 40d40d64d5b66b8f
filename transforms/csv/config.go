package csv

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

// Config is `decode: {csv: ...}`.
type Config struct {
	Header    bool     `yaml:"header" json:"header,omitempty" jsonschema:"description=A file begins with the names of its columns\\, and so does each record of a stream. Default false."`
	Columns   []string `yaml:"columns" json:"columns,omitempty" jsonschema:"description=Names of the columns where there is no header. Default column0\\, column1 and so on."`
	Delimiter string   `yaml:"delimiter" json:"delimiter,omitempty" jsonschema:"description=What stands between fields: one ASCII character. Default a comma."`
	Quote     *string  `yaml:"quote" json:"quote,omitempty" jsonschema:"description=What stands around a field that holds delimiters\\, quotes (doubled) or line ends: one ASCII character\\, or '' for none. Default a double quote."`
	Null      *Texts   `yaml:"null" json:"null,omitempty" jsonschema:"description=What an unquoted field holds that is null: a text or a list of texts. Default ''. [] is none."`
}

// Texts is a list of texts, or one alone.
type Texts []string

// UnmarshalYAML takes one text too.
func (t *Texts) UnmarshalYAML(n *yaml.Node) error {
	one := func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("want a text or a list of texts, such as ['', 'NA']: %w", core.ErrInvalid)
		}
		*t = append(*t, n.Value) // null unquoted is a text here
		return nil
	}
	*t = Texts{}
	if n.Kind != yaml.SequenceNode {
		return one(n)
	}
	for _, c := range n.Content {
		if err := one(c); err != nil {
			return err
		}
	}
	return nil
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	_, err := c.dialect()
	return err
}

// dialect is what a scanner needs to know.
type dialect struct {
	delimiter byte
	quote     byte // 0 is none
	header    bool
	columns   []string
	nulls     []string
}

func (c Config) dialect() (dialect, error) {
	d := dialect{delimiter: ',', quote: '"', header: c.Header, columns: c.Columns, nulls: []string{""}}
	if c.Delimiter != "" {
		if len(c.Delimiter) != 1 || c.Delimiter[0] >= 0x80 || c.Delimiter == "\n" || c.Delimiter == "\r" {
			return d, fmt.Errorf("delimiter: %q is not one ASCII character: %w", c.Delimiter, core.ErrInvalid)
		}
		d.delimiter = c.Delimiter[0]
	}
	if c.Quote != nil {
		switch q := *c.Quote; {
		case q == "":
			d.quote = 0
		case len(q) != 1 || q[0] >= 0x80 || q == "\n" || q == "\r" || q[0] == 0:
			return d, fmt.Errorf("quote: %q is not one ASCII character, or '' for none: %w", q, core.ErrInvalid)
		default:
			d.quote = q[0]
		}
	}
	if d.delimiter == d.quote {
		return d, fmt.Errorf("delimiter: it is the quote too: %w", core.ErrInvalid)
	}
	if c.Null != nil {
		d.nulls = *c.Null
	}
	return d, c.validateColumns()
}

func (c Config) validateColumns() error {
	if len(c.Columns) > 0 && c.Header {
		return fmt.Errorf("columns: with header: true the names stand in the data: leave one of the two out, and rename in a stage: %w", core.ErrInvalid)
	}
	if len(c.Columns) > maxColumns {
		return fmt.Errorf("columns: more than %d: %w", maxColumns, core.ErrInvalid)
	}
	for i, name := range c.Columns {
		switch {
		case strings.TrimSpace(name) == "":
			return fmt.Errorf("columns: the name at index %d is empty: %w", i, core.ErrInvalid)
		case reserved(name):
			return fmt.Errorf("columns: the name %q is reserved: %w", name, core.ErrInvalid)
		case slices.Contains(c.Columns[:i], name):
			return fmt.Errorf("columns: %q stands there twice: %w", name, core.ErrInvalid)
		}
	}
	return nil
}

// reserved reports whether a column of that name is rescued rather than made.
func reserved(name string) bool { return name == core.RescuedColumn || core.IsHidden(name) }
