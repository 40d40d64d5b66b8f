package pipelines

import (
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/connectors/file"
	"github.com/penstock/penstock/connectors/generator"
	"github.com/penstock/penstock/connectors/kinesis"
	"github.com/penstock/penstock/core"
)

// Source is where records come from: one of the first four.
type Source struct {
	Stream   core.StreamName
	Kinesis  *kinesis.Config
	File     *file.Config
	Generate *generator.Config
	Start    connectors.Start
	End      time.Time // zero: there is none
	Unpack   connectors.Unpacking
}

// inlet is the shape of a source.
type inlet struct {
	Stream   core.StreamName      `yaml:"stream" jsonschema:"description=A stream of this node's log."`
	Kinesis  *kinesis.Config      `yaml:"kinesis" jsonschema:"description=A stream of Amazon Kinesis Data Streams\\, or of a server that speaks its API."`
	File     *file.Config         `yaml:"file" jsonschema:"description=Files\\, a record a line; .gz and .zst are read as such."`
	Generate *generator.Config    `yaml:"generate" jsonschema:"description=Made-up events."`
	Start    *yaml.Node           `yaml:"start"`
	End      *yaml.Node           `yaml:"end"`
	Unpack   connectors.Unpacking `yaml:"deaggregate"`
	Decode   *yaml.Node           `yaml:"decode"`
	Schema   *yaml.Node           `yaml:"schema"`
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
	s.fillEnd(d, &in)
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

// fillEnd checks the time before which records are read, which only streams can have.
func (s *Spec) fillEnd(d *decoder, in *inlet) {
	const path = "source.end"
	if in.End == nil || !d.right(in.End) {
		return
	}
	t, err := time.Parse(time.RFC3339, in.End.Value)
	switch {
	case err != nil:
		d.add(in.End, path, "%q is not a time such as 2026-01-02T00:00:00Z", in.End.Value)
	case in.Stream == "" && in.Kinesis == nil:
		d.add(in.End, path, "only a stream can be read up to a time: leave it out")
	case s.Source.Start.Kind == connectors.StartAt && !s.Source.Start.At.Before(t):
		d.add(in.End, path, "is not after source.start.at: nothing would be read")
	}
	s.Source.End = t
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
