package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/integration/servers"
)

// Those of package clients, which are one folder of the cache.
var pythonPackages = []string{"boto3==1.43.11", "botocore==1.43.11", "awscli==1.45.11"}

// model is a service's.
type model struct {
	Operations map[string]struct {
		Input, Output *ref
		Errors        []ref
	}
	Shapes map[string]*shape
}

type ref struct{ Shape string }

type shape struct {
	Type        string
	Members     map[string]ref
	Member      *ref
	Key, Value  *ref
	Required    []string
	Min, Max    *int64
	Pattern     string
	Enum        []string
	Eventstream bool

	pattern *regexp.Regexp
}

const (
	kindString    = "string"
	kindBlob      = "blob"
	kindInt       = "integer"
	kindLong      = "long"
	kindBool      = "boolean"
	kindTime      = "timestamp"
	kindList      = "list"
	kindMap       = "map"
	kindStructure = "structure"
)

// readModel reads the model of Kinesis as botocore has it.
func readModel(t *testing.T) *model {
	t.Helper()
	servers.Need(t, "botocore")
	python, err := servers.Python(t.Context(), pythonPackages...)
	require.NoError(t, err)
	const script = `import botocore, os, sys
sys.stdout.buffer.write(open(os.path.join(os.path.dirname(botocore.__file__), "data/kinesis/2013-12-02/service-2.json.gz"), "rb").read())`
	packed, err := exec.CommandContext(t.Context(), python, "-c", script).Output() //nolint:gosec // the tests' own
	require.NoError(t, err)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	m := &model{}
	require.NoError(t, json.Unmarshal(text, m))
	for _, s := range m.Shapes {
		if s.Pattern != "" {
			s.pattern = regexp.MustCompile(`\A(?:` + s.Pattern + `)\z`)
		}
	}
	return m
}

func (m *model) of(r *ref) *shape {
	if r == nil {
		return &shape{Type: kindStructure}
	}
	return m.Shapes[r.Shape]
}

func (m *model) member(s *shape, name string) *shape {
	r := s.Members[name]
	return m.Shapes[r.Shape]
}

// names are the members of a structure, in order.
func (s *shape) names() []string {
	var out []string
	for name := range s.Members {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// samples are texts of which one keeps to any pattern of the service.
var samples = []string{
	"a", "1", "shardId-000000000000", "arn:aws:kinesis:us-east-1:000000000000:stream/a", "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/c:1", "aaaaaaaaaaaaaaaaaaaa-aaa",
}

// valid is a value that keeps to a shape.
func (m *model) valid(t *testing.T, s *shape) any {
	t.Helper()
	switch s.Type {
	case kindString:
		if len(s.Enum) > 0 {
			return s.Enum[0]
		}
		for _, text := range samples {
			if s.pattern == nil || s.pattern.MatchString(text) {
				return text
			}
		}
		require.Fail(t, "no sample keeps to a pattern", s.Pattern)
	case kindBlob:
		return []byte("x")
	case kindInt, kindLong:
		if s.Min != nil {
			return *s.Min
		}
		return int64(1)
	case kindBool:
		return true
	case kindTime:
		return time.UnixMilli(1785512345678)
	case kindList:
		return []any{m.valid(t, m.of(s.Member))}
	case kindMap:
		return object{{m.valid(t, m.of(s.Key)).(string), m.valid(t, m.of(s.Value))}}
	case kindStructure:
		out := object{}
		for _, name := range s.names() {
			if slices.Contains(s.Required, name) {
				out = append(out, member{name, m.valid(t, m.member(s, name))})
			}
		}
		return out
	}
	require.Fail(t, "a shape of an unknown type", s.Type)
	return nil
}
