package regex

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/connectors"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/transforms/internal/decodetest"
)

func open(t require.TestingT, pattern string) *Decoder {
	d, err := New(Config{pattern})
	require.NoError(t, err)
	return d
}

const syslog = `^<(?P<pri>\d+)>(?P<host>\S+) (?P<app>[^\[:]+)(\[(?P<pid>\d+)\])?: (?P<message>.*)$`

func TestNamedGroupsAreColumns(t *testing.T) {
	d := open(t, syslog)
	records := []string{"<34>web1 sshd[812]: Failed password\r\n", "<6>web2 kernel: é", "<6>w k: ", "free text", "<1>a b: \xff", "", "<6>w k: a\nb"}
	s := decodetest.Widen(t, d, nil, records...)
	require.Equal(t, "pri:utf8 host:utf8 app:utf8 pid:utf8 message:utf8", decodetest.Fields(s))
	require.Same(t, s, decodetest.Widen(t, d, s, records...))
	require.Equal(t, decodetest.Decoded{
		Rows: []string{
			`pri="34" host="web1" app="sshd" pid="812" message="Failed password"`,
			`pri="6" host="web2" app="kernel" message="é"`,
			`pri="6" host="w" app="k" message=""`,
		},
		Refused: []string{
			"3 no_match: the record does not match the regular expression", "4 bad_utf8: the record is not UTF-8",
			"5 no_match: the record does not match the regular expression", "6 no_match: the record does not match the regular expression",
		},
	}, decodetest.Decode(t, d, s, records...))
	decodetest.Cast(t, d, records...)
}

func TestDeclaredTypes(t *testing.T) {
	d := open(t, syslog)
	declared := arrow.NewSchema([]arrow.Field{{Name: "pid", Type: arrow.PrimitiveTypes.Int32, Nullable: true}}, nil)
	records := []string{"<6>w k[7]: x", "<6>w k[3000000000]: y"}
	s := decodetest.Widen(t, d, declared, records...)
	require.Equal(t, "pid:int32 pri:utf8 host:utf8 app:utf8 message:utf8 _rescued:utf8", decodetest.Fields(s))
	require.Equal(t, []string{
		`pid=7 pri="6" host="w" app="k" message="x"`,
		`pri="6" host="w" app="k" message="y" _rescued="{\"pid\":\"3000000000\"}"`,
	}, decodetest.Decode(t, d, s, records...).Rows)
	require.True(t, decodetest.Decode(t, d, decodetest.Widen(t, d, declared, records[0]), records...).Drift)
}

func TestConfigIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`'(?P<a>\d+)'`:               "",
		`{pattern: '(?<a>x)'}`:       "",
		`'(\d+)'`:                    "has no named group",
		`''`:                         "has no named group",
		`'(?P<a>x)|(?P<a>y)'`:        `two groups are named "a"`,
		`'(?P<a>x'`:                  "missing closing )",
		`'(?=x)(?P<a>x)'`:            "without look-around",
		`'(?P<_rescued>x)'`:          `the group name "_rescued" is reserved`,
		`{patern: x}`:                `unknown "patern" (have pattern)`,
		`['(?P<a>x)']`:               "want a regular expression such as",
		`{pattern: {a: '(?P<a>x)'}}`: `want {pattern:`,
	} {
		var c Config
		err := yaml.Unmarshal([]byte(text), &c)
		if err == nil {
			err = c.Validate()
		}
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, core.ErrInvalid)
		_, err = New(c)
		require.Error(t, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(syslog, "<34>web1 sshd[812]: x\n", "free text")
	f.Add(`(?s)(?P<a>.)(?P<b>\d*)(?P<c>x)?`, "a1x", "\xff")
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, pattern, first, second string) {
		d, err := New(Config{pattern})
		if err != nil {
			return
		}
		decodetest.Cast(t, d, first, second)
	}))
}

func BenchmarkDecode(b *testing.B) {
	records := make([]string, 8192)
	for i := range records {
		records[i] = "<34>web1.example.com sshd[812]: Failed password for invalid user admin from 192.0.2.7 port 40022 ssh2"
	}
	d := open(b, syslog)
	raw := decodetest.Raw(memory.DefaultAllocator, records...)
	schema, err := d.Widen(nil, raw, nil)
	require.NoError(b, err)
	b.SetBytes(raw.Bytes)
	b.ReportAllocs()
	for b.Loop() {
		out, _, err := d.Decode(b.Context(), raw, schema, &connectors.Verdicts{})
		require.NoError(b, err)
		out.Release()
	}
}
