package dynamodb

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/awsclient"
)

// Modes of writing.
const (
	modePut    = "put"
	modeUpdate = "update"
	modeAppend = "append"
)

// Ways to pay for a table that is made.
const (
	onDemand    = "on_demand"
	provisioned = "provisioned"
)

// Config is `sink: {dynamodb: ...}`.
type Config struct {
	Table              string              `yaml:"table" json:"table" jsonschema:"required,description=The table\\, such as orders."`
	Key                Key                 `yaml:"key" json:"key" jsonschema:"required,description=The attributes of the table's key\\, which are columns of the rows."`
	Mode               string              `yaml:"mode" json:"mode,omitempty" jsonschema:"enum=put,enum=update,enum=append,description=put (default): a row takes the place of the item with its key. update: a row's columns that are not null are set\\, the others stay. append: every row is a new item\\, and the last attribute of the key is made from where its record stands."`
	OrderBy            string              `yaml:"order_by" json:"order_by,omitempty" jsonschema:"description=With put: the column whose greatest value is the newest row. Needed where the key is not a function of the partition key\\, and for files."`
	DeleteWhen         string              `yaml:"delete_when" json:"delete_when,omitempty" jsonschema:"description=The boolean column that is true where a row deletes the item with its key. What is left is a tombstone."`
	Counters           []string            `yaml:"counters" json:"counters,omitempty" jsonschema:"description=With update: columns whose values are added to what the item has."`
	Sets               []string            `yaml:"sets" json:"sets,omitempty" jsonschema:"description=Columns of lists that are kept as sets; with update\\, their values are added to those that the item has."`
	TTL                string              `yaml:"ttl" json:"ttl,omitempty" jsonschema:"description=The column with the time at which DynamoDB may remove the item\\, kept as seconds since 1970."`
	Tombstones         connectors.Duration `yaml:"tombstones" json:"tombstones,omitempty" jsonschema:"description=With delete_when: how long a tombstone stays after its record arrived. Default 7d."`
	Create             string              `yaml:"create" json:"create,omitempty" jsonschema:"enum=on_demand,enum=provisioned,description=How to pay for the table if it is made here. Default: it has to be there."`
	ReadUnits          int64               `yaml:"read_units" json:"read_units,omitempty" jsonschema:"minimum=1,description=With create: provisioned: units of reading a second. Default 5."`
	WriteUnits         int64               `yaml:"write_units" json:"write_units,omitempty" jsonschema:"minimum=1,description=With create: provisioned: units of writing a second. Default 5."`
	MaxConcurrency     int                 `yaml:"max_concurrency" json:"max_concurrency,omitempty" jsonschema:"minimum=1,maximum=1024,description=How many requests may be under way; how many are\\, the table's answers decide. Default 128."`
	Ledger             string              `yaml:"ledger" json:"ledger,omitempty" jsonschema:"description=The table that says which plans were carried out; it is made if it is not there. Default _penstock."`
	Endpoint           string              `yaml:"endpoint" json:"endpoint,omitempty" jsonschema:"description=URL of the server such as http://127.0.0.1:8000. Default: AWS."`
	Region             string              `yaml:"region" json:"region,omitempty" jsonschema:"description=Region of the table. Default: that of the environment\\, or us-east-1 with an endpoint."`
	awsclient.Identity `yaml:",inline"`
}

// Key is the key of a table.
type Key struct {
	Partition string `yaml:"partition" json:"partition" jsonschema:"required,description=The partition key."`
	Sort      string `yaml:"sort" json:"sort,omitempty" jsonschema:"description=The sort key\\, if the table has one."`
}

// names are the attributes of the key.
func (k Key) names() []string {
	if k.Sort == "" {
		return []string{k.Partition}
	}
	return []string{k.Partition, k.Sort}
}

// identity is the attribute that the mode append makes.
func (k Key) identity() string { return k.names()[len(k.names())-1] }

var plainName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func (c Config) withDefaults() Config {
	if c.Mode == "" {
		c.Mode = modePut
	}
	if c.Tombstones == 0 {
		c.Tombstones = connectors.Duration(7 * 24 * time.Hour)
	}
	if c.MaxConcurrency == 0 {
		c.MaxConcurrency = 128
	}
	if c.Ledger == "" {
		c.Ledger = "_penstock"
	}
	if c.Create == provisioned {
		c.ReadUnits, c.WriteUnits = max(c.ReadUnits, 5), max(c.WriteUnits, 5)
	}
	return c
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	given := c
	c = c.withDefaults()
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format+": %w", append(args, core.ErrInvalid)...))
		}
	}
	bad(!plainName.MatchString(c.Table), "table: want 3 to 255 of a-z A-Z 0-9 _ . -, not %q", c.Table)
	bad(!plainName.MatchString(c.Ledger) || c.Ledger == c.Table, "ledger: want the name of another table, 3 to 255 of a-z A-Z 0-9 _ . -, not %q", c.Ledger)
	bad(c.Key.Partition == "", "key: partition: name the partition key of the table")
	bad(c.Key.Partition != "" && c.Key.Partition == c.Key.Sort, "key: sort: it is the partition key")
	bad(!slices.Contains([]string{modePut, modeUpdate, modeAppend}, c.Mode), "mode: want put, update or append, not %q", c.Mode)
	bad(c.OrderBy != "" && c.Mode != modePut, "order_by: is for mode: put")
	bad(c.DeleteWhen != "" && c.Mode == modeAppend, "delete_when: what is only appended is not deleted; use mode: put or update")
	bad(given.Tombstones != 0 && c.DeleteWhen == "", "tombstones: belong to a delete_when")
	bad(c.Tombstones < 0, "tombstones: want a length of time such as 7d")
	bad(len(c.Counters) > 0 && c.Mode != modeUpdate, "counters: are for mode: update")
	bad(!slices.Contains([]string{"", onDemand, provisioned}, c.Create), "create: want on_demand or provisioned, not %q", c.Create)
	bad((given.ReadUnits != 0 || given.WriteUnits != 0) && c.Create != provisioned, "read_units and write_units: belong to create: provisioned")
	bad(given.ReadUnits < 0 || given.WriteUnits < 0, "read_units and write_units: want at least 1")
	bad(c.MaxConcurrency < 1 || c.MaxConcurrency > 1024, "max_concurrency: want 1 to 1024")
	return errors.Join(append(errs, c.validateRoles(), awsclient.ValidateEndpoint(c.Endpoint, "http://127.0.0.1:8000"), c.Identity.Validate())...)
}

// validateRoles refuses a column that is to be two things.
func (c Config) validateRoles() error {
	seen := map[string]string{}
	for _, r := range slices.Concat(
		roles("key", c.Key.Partition, c.Key.Sort), roles("delete_when", c.DeleteWhen), roles("ttl", c.TTL), roles("counters", c.Counters...), roles("sets", c.Sets...)) {
		if had, ok := seen[r.column]; ok {
			return fmt.Errorf("%s: column %q is %s already: %w", r.what, r.column, had, core.ErrInvalid)
		}
		seen[r.column] = r.what
	}
	return nil
}

type role struct{ what, column string }

func roles(what string, columns ...string) (out []role) {
	for _, c := range columns {
		if c != "" {
			out = append(out, role{what, c})
		}
	}
	return out
}

// Columns are those whose types matter to the sink.
func (c Config) Columns() []string {
	names := c.Key.names()
	if c.Mode == modeAppend {
		names = names[:len(names)-1]
	}
	out := slices.Concat(names, c.Counters, c.Sets)
	for _, name := range []string{c.OrderBy, c.DeleteWhen, c.TTL} {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}
