package prefix_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/core/fuzztest"
	"github.com/penstock/penstock/sinks/internal/prefix"
)

func TestExpressionsEvaluate(t *testing.T) {
	at := time.Date(2026, 3, 7, 4, 5, 6, 0, time.FixedZone("", -3600))
	long := strings.Repeat("ä", 200)
	cases := map[string]struct {
		expr, key, want string
		null            bool
	}{
		"a literal":              {expr: "a/b-", want: "a/b-"},
		"nothing":                {},
		"a day in UTC":           {expr: "dt=!{timestamp:yyyy-MM-dd}/", want: "dt=2026-03-07/"},
		"folders":                {expr: "!{timestamp:yyyy/MM/dd/HH}/", want: "2026/03/07/05/"},
		"short letters":          {expr: "!{timestamp:yy-M-d-H-m-s}", want: "26-3-7-5-5-6"},
		"quoted text":            {expr: "!{timestamp:yyyy'T'''HHmm}", want: "2026T'0505"},
		"a key":                  {expr: "r=!{partitionKeyFromQuery:k}/", key: "eu", want: "r=eu/"},
		"a null key":             {expr: "r=!{partitionKeyFromQuery:k}/", null: true, want: "r=__HIVE_DEFAULT_PARTITION__/"},
		"an empty key":           {expr: "!{partitionKeyFromQuery:k}/", want: "__HIVE_DEFAULT_PARTITION__/"},
		"a key that climbs":      {expr: "x/!{partitionKeyFromQuery:k}/", key: "../..", want: "x/%2E.%2F../"},
		"a key of dots":          {expr: "x/!{partitionKeyFromQuery:k}/", key: "..", want: "x/%2E./"},
		"a key of controls":      {expr: "!{partitionKeyFromQuery:k}/", key: "a\n\x00%\xff", want: "a%0A%00%25%FF/"},
		"a key like our folder":  {expr: "!{partitionKeyFromQuery:k}/", key: "_penstock", want: "%5Fpenstock/"},
		"a key that is the null": {expr: "!{partitionKeyFromQuery:k}/", key: prefix.Null, want: "%5F_HIVE_DEFAULT_PARTITION__/"},
		"random":                 {expr: "!{firehose:random-string}/", want: "rnd/"},
		"unicode":                {expr: "!{partitionKeyFromQuery:k}/", key: "日本", want: "日本/"},
		"a long key":             {expr: "!{partitionKeyFromQuery:k}/", key: long, want: long[:110] + "~52e0b1ac4da1d1ab/"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e, err := prefix.Parse(c.expr)
			require.NoError(t, err)
			v := prefix.Values{Time: at, Keys: map[string]*string{"k": &c.key}, Random: "rnd"}
			if c.null {
				v.Keys = nil
			}
			if name == "a long key" {
				got := e.Eval(v)
				require.LessOrEqual(t, len(got), 129)
				require.True(t, strings.HasPrefix(got, long[:100]))
				return
			}
			require.Equal(t, c.want, e.Eval(v))
		})
	}
}

func TestANullTimeGoesToTheDefaultPartition(t *testing.T) {
	e, err := prefix.Parse("dt=!{timestamp:yyyy-MM-dd}/h=!{timestamp:HH}/")
	require.NoError(t, err)
	require.Equal(t, "dt="+prefix.Null+"/h="+prefix.Null+"/", e.Eval(prefix.Values{NoTime: true}))
	require.Equal(t, time.Hour, e.Unit())
}

func TestLongKeysThatDifferLateStayDifferent(t *testing.T) {
	e, err := prefix.Parse("!{partitionKeyFromQuery:k}/")
	require.NoError(t, err)
	a, b := strings.Repeat("a", 300)+"1", strings.Repeat("a", 300)+"2"
	require.NotEqual(t, e.Eval(prefix.Values{Keys: map[string]*string{"k": &a}}), e.Eval(prefix.Values{Keys: map[string]*string{"k": &b}}))
}

func TestWrongExpressionsSayWhereAndTheCure(t *testing.T) {
	cases := map[string]struct{ expr, want string }{
		"not closed":       {"a!{timestamp:yyyy", "character 2"},
		"unknown":          {"!{time:yyyy}", "is unknown; use"},
		"unknown letter":   {"!{timestamp:yyyy-DD}", "character 6"},
		"open quote":       {"!{timestamp:yyyy'T}", "quote at character 5"},
		"no pattern":       {"!{timestamp:}", "no pattern"},
		"no key":           {"!{partitionKeyFromQuery:}", "partition_keys"},
		"climbs":           {"../a/", ".. folder"},
		"climbs by a time": {"a/./!{timestamp:yyyy}", ".. folder"},
		"absolute":         {"/a/", "relative"},
		"our folder":       {"_penstock/", "kept for manifests"},
		"it in capitals":   {"_PenStock/", "kept for manifests"},
		"it, by a key":     {"_!{partitionKeyFromQuery:k}/", "kept for manifests"},
		"it, by chance":    {"_penstoc!{firehose:random-string}/", "kept for manifests"},
		"a long folder":    {strings.Repeat("a", 201) + "/", "more than 200"},
		"a long name":      {"a/" + strings.Repeat("a", 101), "more than 100"},
		"long without":     {strings.Repeat("abcd/", 103), "longer than 512"},
		"an error's type":  {"!{firehose:error-output-type}/", "dead letters"},
		"a backslash":      {`a\b`, "backslash"},
		"too long":         {strings.Repeat("a", 2000), "at most"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := prefix.Parse(c.expr)
			require.ErrorIs(t, err, core.ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// inside checks that a prefix leads to a folder of the destination that is not ours, and that every store takes it.
func inside(t *testing.T, got string) {
	t.Helper()
	segments := strings.Split(got, "/")
	for _, seg := range segments {
		require.NotContains(t, []string{".", ".."}, seg, got)
		require.LessOrEqual(t, len(seg), 200, got)
	}
	require.LessOrEqual(t, len(segments[len(segments)-1]), 100, got)
	require.False(t, strings.HasPrefix(got, "/"), got)
	require.NotContains(t, got, "//")
	require.NotContains(t, got, `\`)
	require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }), "%q", got)
	require.True(t, utf8.ValidString(got), "%q", got)
	require.False(t, strings.HasPrefix(strings.ToLower(got), "_penstock"), got)
	require.LessOrEqual(t, len(got), 800)
}

func TestPiecesThatMeetStayInside(t *testing.T) {
	long := strings.Repeat("ü", 100)
	for name, c := range map[string]struct{ expr, one, two, want string }{
		"our folder, by a key":        {"!{partitionKeyFromQuery:1}!{partitionKeyFromQuery:2}/tmp/", "_", "penstock", "%5Fpenstock/tmp/"},
		"our folder, by two":          {"!{partitionKeyFromQuery:1}!{partitionKeyFromQuery:2}/", "_pen", "stock", "%5Fpenstock/"},
		"our folder, in capitals":     {"!{partitionKeyFromQuery:1}/", "_PENSTOCK", "", "%5FPENSTOCK/"},
		"our folder, by all of these": {"!{timestamp:'_'}!{partitionKeyFromQuery:1}!{partitionKeyFromQuery:2}/", "Pen", "Stock", "%5FPenStock/"},
		"dots, by two":                {"a/!{partitionKeyFromQuery:1}!{partitionKeyFromQuery:2}/", ".", ".", "a/%2E%2E/"},
		"a dot behind a dot":          {"a/.!{partitionKeyFromQuery:1}/", ".", "", "a/.%2E/"},
		"a long folder":               {"!{partitionKeyFromQuery:1}!{partitionKeyFromQuery:2}/x", long, long, ""},
		"a long beginning of a name":  {"x/!{partitionKeyFromQuery:1}", long, "", ""},
		"many long folders":           {strings.Repeat("!{partitionKeyFromQuery:1}/", 15), long, "", ""},
		"many behind a long literal":  {strings.Repeat("abcdefghi/", 20) + strings.Repeat("!{partitionKeyFromQuery:1}/", 10), long, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := prefix.Parse(c.expr)
			require.NoError(t, err)
			got := e.Eval(prefix.Values{Keys: map[string]*string{"1": &c.one, "2": &c.two}})
			inside(t, got)
			require.True(t, strings.HasPrefix(got, e.Literal()), "%s of %s", got, e.Literal())
			if c.want != "" {
				require.Equal(t, c.want, got)
			}
			other := c.one + "x"
			require.NotEqual(t, got, e.Eval(prefix.Values{Keys: map[string]*string{"1": &other, "2": &c.two}}), "others stay others")
		})
	}
}

func FuzzParsedPrefixesStayInside(f *testing.F) {
	f.Add("dt=!{timestamp:yyyy}/!{partitionKeyFromQuery:k}/", "../x", "")
	f.Add("!{partitionKeyFromQuery:k}", "_penstock/", "")
	f.Add("_!{partitionKeyFromQuery:k}/!{partitionKeyFromQuery:l}/", "penstock", "tmp")
	f.Add("!{partitionKeyFromQuery:k}!{partitionKeyFromQuery:l}", "..", "..")
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, expr, k, l string) {
		e, err := prefix.Parse(expr)
		if err != nil {
			return
		}
		got := e.Eval(prefix.Values{Time: time.Unix(0, 0), Keys: map[string]*string{"k": &k, "l": &l, "": &k}, Random: "r"})
		inside(t, got)
		require.True(t, strings.HasPrefix(got, e.Literal()), "%s of %s", got, e.Literal())
	}))
}
