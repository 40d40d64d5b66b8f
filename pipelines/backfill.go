package pipelines

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Backfill reads the file of a pipeline that reads what another pipeline read from one time to another: its source and its
// stages are those of the other one, whose stored text is given.
func (r *Registry) Backfill(name string, text, of []byte, from, to time.Time, env func(string) (string, bool)) (*Spec, error) {
	f := &found{file: name}
	root, base := parse(f, text), parse(f, of)
	if root == nil || base == nil {
		return nil, f.err()
	}
	for _, key := range []string{"source", "stages"} {
		if c := child(root, key); c != nil {
			f.add(c, key, "leave it out: a backfill has that of the pipeline whose records it reads")
		}
		if c := child(base, key); c != nil {
			set(root, key, c)
		}
	}
	source := child(root, "source")
	if source == nil || source.Kind != yaml.MappingNode || len(f.list) > 0 {
		return nil, f.err()
	}
	if k := child(source, "kinesis"); k != nil { // a registered consumer is one reader's: that of the pipeline goes on
		unset(k, "mode")
		unset(k, "consumer")
	}
	at := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	set(at, "at", scalar(from))
	set(source, "start", at)
	set(source, "end", scalar(to))
	return r.check(f, root, env)
}

// Destination reads a pipeline file of which only the name and the sink matter; it may lack a source, as that of a backfill
// does.
func (r *Registry) Destination(name string, text []byte, env func(string) (string, bool)) (*Spec, error) {
	f := &found{file: name}
	root := parse(f, text)
	if root == nil {
		return nil, f.err()
	}
	if child(root, "source") == nil {
		stub := parse(f, []byte("source: {stream: any, decode: {json: {}}}"))
		set(root, "source", child(stub, "source"))
	}
	return r.check(f, root, env)
}

func scalar(t time.Time) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t.UTC().Format(time.RFC3339Nano)}
}

// set makes value that of a key.
func set(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}

// unset takes a key out.
func unset(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}
