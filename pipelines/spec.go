package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/core"
)

// Spec is a pipeline file that was read and found right.
type Spec struct {
	File       string
	Name       string
	Source     Source
	Decoder    Part
	Declared   []arrow.Field
	Stages     []Part
	Buffer     connectors.BufferConfig
	Sink       Part
	DeadLetter core.StreamName
	Tests      []Test
	Text       []byte // the file as YAML without its tests, environment variables as references
	Hash       string // of Text
	refs       *references
}

// Part is a named kind of thing with its configuration.
type Part struct {
	Kind   string
	Config any
	Path   string // stages[2].filter
	node   *yaml.Node
	broken bool // it cannot be opened; only while a file with mistakes is read
}

// Source is where records come from: one of the first four.
type Source struct {
	Stream   core.StreamName
	Kinesis  *kinesis.Config
	File     *file.Config
	Generate *generator.Config
	Start    connectors.Start
	Unpack   connectors.Unpacking
}

// outline is the shape of a file, as far as it is the same for every pipeline.
type outline struct {
	Version    int                     `yaml:"version" jsonschema:"description=Of the format: 1."`
	Name       string                  `yaml:"name" jsonschema:"description=Names the pipeline\\, its outputs and its dead letters: 1 to 100 of a-z 0-9 . _ -"`
	Source     *yaml.Node              `yaml:"source"`
	Stages     []*yaml.Node            `yaml:"stages"`
	Buffer     connectors.BufferConfig `yaml:"buffer" jsonschema:"description=When what is gathered is written. The first limit reached closes a flush."`
	Sink       *yaml.Node              `yaml:"sink"`
	DeadLetter struct {
		Stream core.StreamName `yaml:"stream" jsonschema:"description=The stream that they go to. Default: the pipeline's name and .dead."`
	} `yaml:"dead_letter" jsonschema:"description=Where rows go that cannot go on."`
	Tests *yaml.Node `yaml:"tests"`
}

// inlet is the shape of a source.
type inlet struct {
	Stream   core.StreamName      `yaml:"stream" jsonschema:"description=A stream of this node's log."`
	Kinesis  *kinesis.Config      `yaml:"kinesis" jsonschema:"description=A stream of Amazon Kinesis Data Streams\\, or of a server that speaks its API."`
	File     *file.Config         `yaml:"file" jsonschema:"description=Files\\, a record a line; .gz and .zst are read as such."`
	Generate *generator.Config    `yaml:"generate" jsonschema:"description=Made-up events."`
	Start    *yaml.Node           `yaml:"start"`
	Unpack   connectors.Unpacking `yaml:"deaggregate"`
	Decode   *yaml.Node           `yaml:"decode"`
	Schema   *yaml.Node           `yaml:"schema"`
}

var pipelineName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Load reads a pipeline file. It returns Errors, all of them, when the file is wrong.
func (r *Registry) Load(name string, text []byte, env func(string) (string, bool)) (*Spec, error) {
	f := &found{file: name}
	root := parse(f, text)
	if root == nil {
		return nil, f.err()
	}
	tests := detach(root)
	canonical, err := yaml.Marshal(root)
	if err != nil {
		f.add(root, "", "%v", err)
		return nil, f.err()
	}
	d := newDecoder(f, env)
	d.substitute(root, "")
	sum := sha256.Sum256(canonical)
	s := &Spec{File: name, Text: canonical, Hash: hex.EncodeToString(sum[:16]), refs: f.refs}
	var o outline
	d.into(root, "", &o)
	s.fill(d, r, root, &o)
	s.fillTests(d, tests)
	if len(f.list) == 0 {
		return s, nil
	}
	r.look(f, s)
	return nil, f.err()
}

// fill checks what an outline holds.
func (s *Spec) fill(d *decoder, r *Registry, root *yaml.Node, o *outline) {
	s.Name, s.Buffer, s.DeadLetter = o.Name, o.Buffer, o.DeadLetter.Stream
	if o.Version != 1 && !d.said("version") {
		d.add(at(root, "version"), "version", "want 1: this is the first version of the format")
	}
	if !pipelineName.MatchString(o.Name) && !d.said("name") {
		d.add(at(root, "name"), "name", "%q is not 1 to 100 of the characters a-z 0-9 . _ - beginning with a letter or digit", o.Name)
	}
	if s.DeadLetter == "" {
		s.DeadLetter = core.StreamName(s.Name + ".dead")
	}
	if err := s.DeadLetter.Validate(); err != nil && !d.said("name") && !d.said("dead_letter") {
		d.fail(at(root, "dead_letter"), "dead_letter.stream", err)
	}
	if err := s.Buffer.Validate(); err != nil && !d.said("buffer") {
		d.fail(at(root, "buffer"), "buffer", err)
	}
	whole := !d.wrong[root] // else what is not there may be what could not be read
	if o.Source == nil {
		s.Decoder = Part{broken: true}
		if whole && !d.said("source") {
			d.add(root, "source", "missing: say where records come from, such as source: {stream: clicks, decode: {json: {}}}")
		}
	} else {
		s.fillSource(d, r, o.Source)
	}
	for i, n := range o.Stages {
		s.Stages = append(s.Stages, part(d, n, index("stages", i), names(r.transforms), func(k string) reflect.Type { return r.transforms[k].config }))
	}
	if o.Sink == nil {
		s.Sink = Part{broken: true}
		if whole && !d.said("sink") {
			d.add(root, "sink", "missing: say where rows go, such as sink: {file: {path: ./lake}}")
		}
		return
	}
	s.Sink = part(d, o.Sink, "sink", names(r.sinks), func(k string) reflect.Type { return r.sinks[k].config })
}

// part decodes a mapping of one key, which names a kind, to that kind's configuration.
func part(d *decoder, n *yaml.Node, path string, have []string, config func(string) reflect.Type) Part {
	if d.wrong[n] {
		return Part{Path: path, node: n, broken: true}
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		d.add(n, path, "want one of %s, with its settings", strings.Join(have, ", "))
		return Part{Path: path, node: n, broken: true}
	}
	key, value := n.Content[0], n.Content[1]
	kind := key.Value
	if config(kind) == nil {
		d.add(key, path, "%s", unknown(kind, have))
		if kind = core.Meant(kind, have); kind == "" {
			return Part{Path: path, node: n, broken: true}
		}
		delete(d.wrong, key) // it is read as what is meant
	}
	at := join(path, kind)
	v := reflect.New(config(kind))
	ok := d.into(value, at, v.Interface())
	return Part{kind, v.Elem().Interface(), at, value, !ok}
}

// fillSource checks the source.
func (s *Spec) fillSource(d *decoder, r *Registry, n *yaml.Node) {
	var in inlet
	s.Decoder = Part{broken: true}
	if n.Kind != yaml.MappingNode {
		if !d.wrong[n] {
			d.add(n, "source", "want a mapping with one of file, generate, kinesis, stream")
		}
		return
	}
	partial := d.wrong[n] || slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return d.wrong[c] })
	d.into(n, "source", &in)
	s.Source.Stream, s.Source.Kinesis, s.Source.File, s.Source.Generate = in.Stream, in.Kinesis, in.File, in.Generate
	given := 0
	for _, yes := range []bool{in.Stream != "", in.Kinesis != nil, in.File != nil, in.Generate != nil} {
		if yes {
			given++
		}
	}
	partial = partial || slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return d.wrong[c] })
	if given > 1 || given == 0 && !partial {
		d.add(n, "source", "has %d of file, generate, kinesis, stream: want exactly one", given)
	}
	if in.Stream != "" && !d.said("source.stream") {
		if err := in.Stream.Validate(); err != nil {
			d.fail(at(n, "stream"), "source.stream", err)
		}
	}
	for path, v := range map[string]validator{"file": in.File, "generate": in.Generate, "kinesis": in.Kinesis} {
		if c := child(n, path); c != nil && !reflect.ValueOf(v).IsNil() {
			d.validate(c, "source."+path, v)
		}
	}
	s.Source.Start = start(d, in.Start)
	s.fillUnpack(d, n, &in)
	if in.Decode != nil {
		s.Decoder = part(d, in.Decode, "source.decode", names(r.decoders), func(k string) reflect.Type { return r.decoders[k].config })
	} else if !partial {
		d.add(n, "source.decode", "missing: say what the records are, such as decode: {json: {}}")
	}
	if in.Schema != nil {
		s.Declared = fields(d, in.Schema, "source.schema")
	}
}

// fillUnpack checks what is said of packed records, which only streams have.
func (s *Spec) fillUnpack(d *decoder, n *yaml.Node, in *inlet) {
	packed := in.File == nil && in.Generate == nil
	if s.Source.Unpack = in.Unpack; packed && in.Unpack == "" {
		s.Source.Unpack = connectors.UnpackOwn
	}
	switch {
	case in.Unpack != "" && !packed && !d.said("source.deaggregate"):
		d.add(at(n, "deaggregate"), "source.deaggregate", "only the records of a stream can be aggregates: leave it out")
	case s.Source.Start.Sub != nil && (!packed || in.Unpack == connectors.UnpackNone):
		d.add(at(n, "start"), "source.start.sub_sequence", "only records that are taken apart have user records: leave it out")
	}
}

// start reads trim_horizon, latest, {at: time} or {after: number}.
func start(d *decoder, n *yaml.Node) connectors.Start {
	const path = "source.start"
	want := "want trim_horizon, latest, {at: 2026-01-01T00:00:00Z} or {after: '<sequence number>'}"
	switch {
	case n == nil, !d.right(n), n.Value == string(connectors.StartTrimHorizon):
		return connectors.Start{Kind: connectors.StartTrimHorizon}
	case n.Value == string(connectors.StartLatest):
		return connectors.Start{Kind: connectors.StartLatest}
	case child(n, "after") != nil && child(n, "sub_sequence") != nil && len(n.Content) == 4:
		return startWithin(d, n, path)
	case n.Kind != yaml.MappingNode || len(n.Content) != 2:
		d.add(n, path, "%s", want)
		return connectors.Start{}
	}
	value := n.Content[1].Value
	switch n.Content[0].Value {
	case "at":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			d.add(n.Content[1], path+".at", "%q is not a time such as 2026-01-01T00:00:00Z", value)
		}
		return connectors.Start{Kind: connectors.StartAt, At: t}
	case "after":
		seq, err := core.ParseSequenceNumber(value)
		if err != nil {
			d.fail(n.Content[1], path+".after", err)
		}
		return connectors.Start{Kind: connectors.StartAfter, After: seq}
	}
	d.add(n.Content[0], path, "%s", want)
	return connectors.Start{}
}

// startWithin reads {after: number, sub_sequence: number}, as KCL's leases have it.
func startWithin(d *decoder, n *yaml.Node, path string) connectors.Start {
	seq, err := core.ParseSequenceNumber(child(n, "after").Value)
	if err != nil {
		d.fail(child(n, "after"), path+".after", err)
	}
	sub, err := strconv.ParseInt(child(n, "sub_sequence").Value, 10, 64)
	if err != nil || sub < 0 {
		d.add(child(n, "sub_sequence"), path+".sub_sequence", "want the index, from 0, of the last user record that is not wanted")
	}
	return connectors.Start{Kind: connectors.StartAfter, After: seq, Sub: &sub}
}

var types = map[string]arrow.DataType{
	"string": arrow.BinaryTypes.String, "int64": arrow.PrimitiveTypes.Int64, "int32": arrow.PrimitiveTypes.Int32,
	"float64": arrow.PrimitiveTypes.Float64, "bool": arrow.FixedWidthTypes.Boolean, "binary": arrow.BinaryTypes.Binary,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, "date": arrow.FixedWidthTypes.Date32,
}

// fields reads {column: type}; a nested mapping is a struct, list<type> a list.
func fields(d *decoder, n *yaml.Node, path string) []arrow.Field {
	if n.Kind != yaml.MappingNode {
		if d.wrong[n] {
			return nil
		}
		d.add(n, path, "want columns and their types, such as {event_time: timestamp, bytes: int64}")
		return nil
	}
	var out []arrow.Field
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		at := join(path, name)
		if d.wrong[value] && value.Kind != yaml.MappingNode {
			continue
		}
		if name == core.RescuedColumn || core.IsHidden(name) || name == "" {
			d.add(n.Content[i], path, "column name %q is reserved", name)
			continue
		}
		var t arrow.DataType
		if value.Kind == yaml.MappingNode {
			t = arrow.StructOf(fields(d, value, at)...)
		} else {
			t = typeOf(d, value, at, value.Value)
		}
		if d.right(value) {
			out = append(out, arrow.Field{Name: name, Type: t, Nullable: true})
		}
	}
	return out
}

func typeOf(d *decoder, n *yaml.Node, path, name string) arrow.DataType {
	if inner, ok := strings.CutPrefix(name, "list<"); ok && strings.HasSuffix(inner, ">") {
		return arrow.ListOf(typeOf(d, n, path, strings.TrimSuffix(inner, ">")))
	}
	t := types[name]
	if t == nil {
		have := make([]string, 0, len(types))
		for k := range types {
			have = append(have, k)
		}
		d.add(n, path, "%s", unknown(name, have))
		return arrow.BinaryTypes.String
	}
	return t
}
