package pipelines_test

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/pipelines"
)

// validator checks a pipeline file against the schema, as an editor does.
func validator(t testing.TB, r *pipelines.Registry) func(text string) error {
	t.Helper()
	text, err := r.JSONSchema()
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource(pipelines.SchemaID, doc))
	schema, err := c.Compile(pipelines.SchemaID)
	require.NoError(t, err)
	return func(text string) error {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			return err
		}
		var v pipelines.Value
		if err := v.UnmarshalYAML(n.Content[0]); err != nil {
			return err
		}
		b, err := v.MarshalJSON()
		if err != nil {
			return err
		}
		in, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			return err
		}
		return schema.Validate(in)
	}
}

const begin = "version: 1\nname: p\n"

// accepted are files that both the decoder and the schema take.
var accepted = map[string]string{
	"a stream":               begin + "source: {stream: s, decode: {json: {}}}\nsink: {file: {path: x}}",
	"settings left out":      begin + "source:\n  stream: s\n  decode:\n    json:\nstages:\nsink:\n  file:\n    path: x\n    format:\n      parquet:\n",
	"every start":            begin + "source: {stream: s, start: {at: 2026-01-01T00:00:00Z}, decode: {json: {}}}\nsink: {file: {path: x}}",
	"files":                  begin + "source: {file: {paths: ['*.gz'], follow: true}, start: latest, decode: {json: {}}}\nsink: {file: {path: x}}",
	"events":                 begin + "source: {generate: {rate: 10/s, count: 5}, decode: {json: {}}}\nsink: {file: {path: x}}",
	"declared columns":       begin + "source: {stream: s, decode: {json: {}}, schema: {a: int64, b: list<string>, c: {d: timestamp, e: {f: bool}}}}\nsink: {file: {path: x}}",
	"stages":                 begin + "source: {stream: s, decode: {json: {}}}\nstages: [{filter: 'true'}, {compute: {b: '1', a: '2'}}]\nsink: {file: {path: x}}",
	"sizes and lengths":      begin + "source: {stream: s, decode: {json: {}}}\nbuffer: {max_bytes: 1.5GiB, max_records: 10, max_age: 1h30m}\nsink: {file: {path: x, target_file_size: 1048576}}",
	"references everywhere":  begin + "source: {file: {paths: ['${N}'], follow: '${B}'}, decode: {json: {}}, schema: {a: '${T}'}}\nbuffer: {max_records: '${N}', max_bytes: '${N}MiB', max_age: '${N}s'}\nsink: {file: {path: x, format: {parquet: {compression: '${S}'}}}}",
	"a decoder's short form": begin + "source: {stream: s, decode: {logline: combined}}\nsink: {file: {path: x}}",
	"and its long one":       begin + "source: {stream: s, decode: {logline: {format: common}}}\nsink: {file: {path: x}}",
	"an expression alone":    begin + "source: {stream: s, decode: {regex: '(?P<a>.*)'}}\nsink: {file: {path: x}}",
	"one text, or a list":    begin + "source: {stream: s, decode: {csv: {'null': NA}}}\nsink: {file: {path: x}}",
	"a list of texts":        begin + "source: {stream: s, decode: {csv: {'null': ['', NA], header: true}}}\nsink: {file: {path: x}}",
	"dead letters and tests": begin + "source: {stream: s, decode: {json: {}}}\nsink: {file: {path: x}}\ndead_letter: {stream: d}\ntests: [{name: n, input: [{json: [1, {a: b}], arrival: 2026-01-01T00:00:00Z}], rows: [{a: null}], match: subset, dead_letters: [{record: 1, stage: sink}], prefixes: [a]}]",
}

// someValues are environment variables.
func someValues(name string) (string, bool) {
	return map[string]string{"N": "5", "B": "true", "S": "zstd", "T": "string"}[name], true
}

func TestTheSchemaTakesWhatTheDecoderTakes(t *testing.T) {
	r := someRegistry()
	valid := validator(t, r)
	for name, text := range accepted {
		t.Run(name, func(t *testing.T) {
			_, err := r.Load("p.yaml", []byte(text), someValues)
			require.NoError(t, err)
			require.NoError(t, valid(text))
		})
	}
}

func TestTheSchemaRefusesWhatIsMisspelt(t *testing.T) {
	r := someRegistry()
	valid := validator(t, r)
	for name, text := range map[string]string{
		"a top key":          begin + "sorce: {}\nsource: {stream: s, decode: {json: {}}}\nsink: {file: {path: x}}",
		"no sink":            begin + "source: {stream: s, decode: {json: {}}}",
		"a source":           begin + "source: {strem: s, decode: {json: {}}}\nsink: {file: {path: x}}",
		"two sources":        begin + "source: {stream: s, file: {paths: [x]}, decode: {json: {}}}\nsink: {file: {path: x}}",
		"a source's setting": begin + "source: {file: {path: x}, decode: {json: {}}}\nsink: {file: {path: x}}",
		"a decoder":          begin + "source: {stream: s, decode: {jsn: {}}}\nsink: {file: {path: x}}",
		"a decoder's key":    begin + "source: {stream: s, decode: {logline: {fromat: combined}}}\nsink: {file: {path: x}}",
		"a decoder's word":   begin + "source: {stream: s, decode: {logline: {format: combind}}}\nsink: {file: {path: x}}",
		"a start":            begin + "source: {stream: s, start: begin, decode: {json: {}}}\nsink: {file: {path: x}}",
		"a type":             begin + "source: {stream: s, decode: {json: {}}, schema: {a: {b: integer}}}\nsink: {file: {path: x}}",
		"a stage":            begin + "source: {stream: s, decode: {json: {}}}\nstages: [{filtr: a}]\nsink: {file: {path: x}}",
		"two in a stage":     begin + "source: {stream: s, decode: {json: {}}}\nstages: [{filter: a, compute: {b: c}}]\nsink: {file: {path: x}}",
		"a sink's setting":   begin + "source: {stream: s, decode: {json: {}}}\nsink: {file: {pth: x}}",
		"a word of a few":    begin + "source: {stream: s, decode: {json: {}}}\nsink: {file: {path: x, format: {parquet: {compression: zst}}}}",
		"a number":           begin + "source: {stream: s, decode: {json: {}}}\nbuffer: {max_records: many}\nsink: {file: {path: x}}",
		"a length of time":   begin + "source: {stream: s, decode: {json: {}}}\nbuffer: {max_age: soon}\nsink: {file: {path: x}}",
		"a test's key":       begin + "source: {stream: s, decode: {json: {}}}\nsink: {file: {path: x}}\ntests: [{name: n, inputs: []}]",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Load("p.yaml", []byte(text), nil)
			require.Error(t, err)
			require.Error(t, valid(text))
		})
	}
}

// FuzzTheSchemaTakesWhatTheDecoderTakes holds the schema against the decoder, and runs the tests of what is right.
func FuzzTheSchemaTakesWhatTheDecoderTakes(f *testing.F) {
	for _, text := range accepted {
		f.Add(text)
	}
	f.Add(testedPipeline + `[{name: n, input: [{json: {kind: x, a: 4, b: 2}}, {base64: eyJraW5kIjoieCJ9}], rows: [{kind: x, a: 4, b: 2, ratio: 2}]}]`)
	r := someRegistry()
	valid := validator(f, r)
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text string) {
		s, err := r.Load("p.yaml", []byte(text), someValues)
		if err != nil || strings.Contains(text, "*") { // aliases, which an editor resolves itself
			return
		}
		require.NoError(t, valid(text))
		if _, err := r.Test(t.Context(), s); err != nil {
			require.ErrorIs(t, err, core.ErrInvalid)
		}
	}))
}
