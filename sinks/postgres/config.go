package postgres

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock/penstock/core"
)

// Modes of loading.
const (
	modeAppend = "append"
	modeUpsert = "upsert"
)

// How far a table follows the rows.
const (
	evolveNone  = "none"
	evolveAdd   = "add"
	evolveWiden = "widen"
)

// Config is `sink: {postgres: ...}`.
type Config struct {
	URL        core.Secret      `yaml:"url" json:"url" jsonschema:"required,description=URL or keywords of the database as psql takes them; what is left out comes from the PG* variables\\, the service and the password file. Behind pgbouncer in transaction mode nothing more is needed."`
	Table      string           `yaml:"table" json:"table,omitempty" jsonschema:"description=The table\\, such as public.orders."`
	Mode       string           `yaml:"mode" json:"mode,omitempty" jsonschema:"enum=append,enum=upsert,description=append (default): every row is a new one. upsert: a row takes the place of the one with its key."`
	Key        []string         `yaml:"key" json:"key,omitempty" jsonschema:"description=With upsert: the columns that tell rows apart; the table has a unique index of them."`
	OrderBy    string           `yaml:"order_by" json:"order_by,omitempty" jsonschema:"description=With upsert: the column whose greatest value is the newest row. Needed where the key is not a function of the partition key."`
	DeleteWhen string           `yaml:"delete_when" json:"delete_when,omitempty" jsonschema:"description=With upsert: the boolean column that is true where a row deletes the one with its key. The table need not have it."`
	Route      string           `yaml:"route" json:"route,omitempty" jsonschema:"description=Instead of table: the column whose value says which of tables a row goes to\\, such as one that a compute stage makes. No table needs to have it."`
	Tables     map[string]Table `yaml:"tables" json:"tables,omitempty" jsonschema:"description=With route: the table of each value. Of a row\\, a table needs the columns that any of its rows has."`
	Evolve     string           `yaml:"evolve" json:"evolve,omitempty" jsonschema:"enum=none,enum=add,enum=widen,description=none (default): the table stays as it is. add: it and its columns are made where they are not there. widen: columns become wider types too."`
	Ledger     string           `yaml:"ledger" json:"ledger,omitempty" jsonschema:"description=The schema that has the tables of checkpoints and plans. Default: _penstock."`
}

// Table is one of those that a route leads to.
type Table struct {
	Table      string   `yaml:"table" json:"table" jsonschema:"required,description=The table\\, such as public.orders."`
	Mode       string   `yaml:"mode" json:"mode,omitempty" jsonschema:"enum=append,enum=upsert,description=As without a route."`
	Key        []string `yaml:"key" json:"key,omitempty" jsonschema:"description=As without a route."`
	OrderBy    string   `yaml:"order_by" json:"order_by,omitempty" jsonschema:"description=As without a route."`
	DeleteWhen string   `yaml:"delete_when" json:"delete_when,omitempty" jsonschema:"description=As without a route."`
}

// maxTables bounds those of a route: each reads through all rows of a flush.
const maxTables = 100

// to is the configuration of a table that a route leads to, as if it were the only one.
func (c Config) to(t Table) Config {
	c.Table, c.Mode, c.Key, c.OrderBy, c.DeleteWhen, c.Tables = t.Table, t.Mode, t.Key, t.OrderBy, t.DeleteWhen, nil
	return c.withDefaults()
}

var plainName = regexp.MustCompile(`^[^\x00."]{1,63}(\.[^\x00."]{1,63})?$`)

func (c Config) withDefaults() Config {
	if c.Mode == "" {
		c.Mode = modeAppend
	}
	if c.Evolve == "" {
		c.Evolve = evolveNone
	}
	if c.Ledger == "" {
		c.Ledger = "_penstock"
	}
	return c
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(format+": %w", append(args, core.ErrInvalid)...))
	}
	if _, err := c.pool(); err != nil {
		bad("url: %s", problem(err))
	}
	if strings.Contains(c.Ledger, ".") || !plainName.MatchString(c.Ledger) {
		bad("ledger: want the name of a schema, not %q", c.Ledger)
	}
	if !slices.Contains([]string{evolveNone, evolveAdd, evolveWiden}, c.Evolve) {
		bad("evolve: want none, add or widen, not %q", c.Evolve)
	}
	if c.Route == "" && len(c.Tables) == 0 {
		return errors.Join(append(errs, c.validateTable())...)
	}
	return errors.Join(append(errs, c.validateRoute())...)
}

// validateRoute checks the tables of a route.
func (c Config) validateRoute() error {
	switch {
	case c.Route == "" || len(c.Tables) == 0:
		return fmt.Errorf("route: name the column that says which table a row goes to, and the tables of its values under tables: %w", core.ErrInvalid)
	case c.Table != "" || c.Mode == modeUpsert || len(c.Key) > 0 || c.OrderBy != "" || c.DeleteWhen != "":
		return fmt.Errorf("route: with it, table, mode, key, order_by and delete_when stand under tables, for each: %w", core.ErrInvalid)
	case len(c.Tables) > maxTables:
		return fmt.Errorf("tables: at most %d, not %d: %w", maxTables, len(c.Tables), core.ErrInvalid)
	}
	var errs []error
	values := map[string]string{}
	for _, value := range slices.Sorted(maps.Keys(c.Tables)) {
		t := c.to(c.Tables[value])
		if err := t.validateTable(); err != nil {
			errs = append(errs, fmt.Errorf("tables: %s: %w", value, err))
		}
		if other, twice := values[t.Table]; twice {
			errs = append(errs, fmt.Errorf("tables: %s and %s are the same table: make one value of them in a stage: %w", other, value, core.ErrInvalid))
		}
		values[t.Table] = value
	}
	return errors.Join(errs...)
}

// validateTable checks what belongs to one table.
func (c Config) validateTable() error {
	var errs []error
	if !plainName.MatchString(c.Table) {
		errs = append(errs, fmt.Errorf("table: want a name such as orders or public.orders, not %q: %w", c.Table, core.ErrInvalid))
	}
	if !slices.Contains([]string{modeAppend, modeUpsert}, c.Mode) {
		errs = append(errs, fmt.Errorf("mode: want append or upsert, not %q: %w", c.Mode, core.ErrInvalid))
	}
	return errors.Join(append(errs, c.validateKey())...)
}

func (c Config) validateKey() error {
	switch {
	case c.Mode == modeUpsert && len(c.Key) == 0:
		return fmt.Errorf("key: with mode: upsert, name the columns that tell rows apart: %w", core.ErrInvalid)
	case c.Mode == modeUpsert && (slices.Contains(c.Key, "") || slices.Contains(c.Key, c.DeleteWhen)):
		return fmt.Errorf("key: a column of it has no name, or is delete_when: %w", core.ErrInvalid)
	case c.Mode == modeAppend && (len(c.Key) > 0 || c.OrderBy != "" || c.DeleteWhen != ""):
		return fmt.Errorf("key, order_by and delete_when are for mode: upsert: %w", core.ErrInvalid)
	}
	return nil
}

// pool is how connections are made. Statements are not prepared: they are few, and a pooler may hand out another server.
func (c Config) pool() (*pgxpool.Config, error) {
	if c.URL.Reveal() == "" {
		return nil, errors.New("name the database, such as postgres://user@host/database, as a reference such as ${DATABASE_URL}")
	}
	p, err := pgxpool.ParseConfig(c.URL.Reveal())
	if err != nil {
		return nil, err
	}
	if !strings.Contains(c.URL.Reveal(), "default_query_exec_mode") {
		p.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if p.ConnConfig.RuntimeParams["application_name"] == "" {
		p.ConnConfig.RuntimeParams["application_name"] = "penstock"
	}
	p.MaxConns = min(p.MaxConns, maxConns)
	return p, nil
}

// maxConns is for a plan that is carried out, and one to look with.
const maxConns = 4

// problem is what is wrong with a URL, without what stands in it: that has a password.
func problem(err error) string {
	if parse := (*pgconn.ParseConfigError)(nil); errors.As(err, &parse) {
		if inner := errors.Unwrap(parse); inner != nil {
			return "it cannot be read: " + inner.Error()
		}
		return "it cannot be read"
	}
	return err.Error()
}

// Columns are those whose types matter to the sink.
func (c Config) Columns() []string {
	out := slices.Clone(c.Key)
	for _, name := range []string{c.OrderBy, c.DeleteWhen, c.Route} {
		if name != "" {
			out = append(out, name)
		}
	}
	for _, value := range slices.Sorted(maps.Keys(c.Tables)) {
		out = append(out, c.to(c.Tables[value]).Columns()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// marks reports whether a column only says what is to be done with a row, so that no table needs it.
func (c Config) marks(column string) bool {
	return column != "" && (column == c.DeleteWhen || column == c.Route)
}

// ident is the quoted form of a name with parts.
func ident(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }

// quoted is the quoted form of a name without parts.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
