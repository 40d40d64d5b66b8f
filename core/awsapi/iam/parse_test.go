package iam_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/iam"
	"github.com/penstock/penstock/core/fuzztest"
)

// TestPoliciesThatDoNotLoad: each is one change away from a policy that does, and says where and why.
func TestPoliciesThatDoNotLoad(t *testing.T) {
	one := func(statement string) string { return `{"Version":"2012-10-17","Statement":` + statement + `}` }
	with := func(condition string) string {
		return one(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":` + condition + `}`)
	}
	for _, row := range []struct{ text, want string }{
		{``, `1:1: this is no JSON`},
		{`{`, `this is no JSON`},
		{`[]`, `want a mapping`},
		{`null`, `want a mapping`},
		{one(`[]`), `Statement: missing`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"*"}`) + `x`, `this is no JSON`},
		{"{\"Version\": \"\xff\"}", `not UTF-8`},
		{strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100), `nests deeper`},
		{strings.Repeat(" ", 21<<10), `bytes, more than`},
		{`{"Version":"2012-10-18","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, `1:12: Version: want 2012-10-17`},
		{`{"version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, `unknown "version"`},
		{`{"Version":"2012-10-17","Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, `"Version" stands twice`},
		{one(`{"Action":"*","Resource":"*"}`), `Statement.Effect: missing`},
		{one(`{"Effect":"allow","Action":"*","Resource":"*"}`), `want Allow or Deny`},
		{one(`{"Effect":["Allow"],"Action":"*","Resource":"*"}`), `want Allow or Deny`},
		{one(`{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}`), `"Effect" stands twice`},
		{one(`{"Effect":"Allow","Resource":"*"}`), `missing: Action or NotAction`},
		{one(`{"Effect":"Allow","Action":"*"}`), `missing: Resource or NotResource`},
		{one(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`), `not both`},
		{one(`{"Effect":"Allow","Action":[],"Resource":"*"}`), `the list is empty`},
		{one(`{"Effect":"Allow","Action":null,"Resource":"*"}`), `want text, not nothing`},
		{one(`{"Effect":"Allow","Action":[["*"]],"Resource":"*"}`), `want text, not a list`},
		{one(`{"Effect":"Allow","Action":"PutRecord","Resource":"*"}`), `want an action`},
		{one(`{"Effect":"Allow","Action":"kin*:PutRecord","Resource":"*"}`), `want an action`},
		{one(`{"Effect":"Allow","Action":"kinesis: PutRecord","Resource":"*"}`), `blanks`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"clicks"}`), `want an ARN`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:kinesis:u*0:stream/clicks"}`), `want an ARN`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:kin*:us-east-1:000000000000:stream/x"}`), `has no wildcards`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:kinesis:*:*:stream/${aws:username}"}`), `variables are not supported`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:kinesis:*:*:stream/` + strings.Repeat("x", 600) + `"}`), `at most 512`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:kinesis:*:*:stream/` + strings.Repeat("*a", 16) + `"}`), `at most 16 *`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}`), `unknown "Principal"`},
		{one(`{"Effect":"Allow","Action":"*","Resource":"*","NotPrincipal":"*"}`), `unknown "NotPrincipal"`},
		{one(`[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]`), `Statement[1].Sid: "a" stands twice`},
		{with(`[]`), `want a mapping`},
		{with(`{"StringEquals":{}}`), `the mapping is empty`},
		{with(`{"StringEqual":{"aws:PrincipalArn":"x"}}`), `unknown operator "StringEqual"`},
		{with(`{"BinaryEquals":{"aws:PrincipalArn":"x"}}`), `unknown operator`},
		{with(`{"NullIfExists":{"aws:PrincipalArn":"true"}}`), `unknown operator`},
		{with(`{"ForAnyValue:Null":{"aws:PrincipalArn":"true"}}`), `unknown operator`},
		{with(`{"ForSome:StringEquals":{"aws:PrincipalArn":"x"}}`), `unknown operator`},
		{with(`{"StringEquals":{"aws:username":"x"}}`), `unknown key "aws:username"`},
		{with(`{"StringEquals":{"aws:ResourceTag/team":"x"}}`), `unknown key`},
		{with(`{"StringEquals":{"aws:PrincipalArn":"x","AWS:PRINCIPALARN":"y"}}`), `stands twice`},
		{with(`{"StringEquals":{"aws:PrincipalArn":[]}}`), `the list is empty`},
		{with(`{"StringEquals":{"aws:PrincipalArn":"${aws:username}"}}`), `variables`},
		{with(`{"IpAddress":{"aws:PrincipalArn":"10.0.0.0/8"}}`), `cannot be compared by IpAddress`},
		{with(`{"NumericEquals":{"aws:CurrentTime":"1"}}`), `cannot be compared`},
		{with(`{"IpAddress":{"aws:SourceIp":"10.0.0/8"}}`), `want an address`},
		{with(`{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}`), `write an IPv4 address as such`},
		{with(`{"Bool":{"aws:SecureTransport":"yes"}}`), `want true or false`},
		{with(`{"Null":{"aws:SourceIp":["true","false"]}}`), `want one of true and false`},
		{with(`{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), `want a date`},
		{with(`{"DateLessThan":{"aws:CurrentTime":"2027"}}`), `want a date`},
		{with(`{"NumericLessThan":{"aws:EpochTime":"NaN"}}`), `want a number`},
		{with(`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*"}}`), `six parts`},
	} {
		p, err := iam.ParsePolicy([]byte(row.text))
		require.Nil(t, p, row.text)
		var mistakes iam.Errors
		require.ErrorAs(t, err, &mistakes, row.text)
		require.ErrorContains(t, err, row.want, row.text)
	}
}

func TestResourcePoliciesThatDoNotLoad(t *testing.T) {
	for _, row := range []struct{ principal, want string }{
		{``, `Principal: missing`},
		{`"Principal": "` + ann + `",`, `want "*" or`},
		{`"Principal": {},`, `want "*" or`},
		{`"Principal": [],`, `want a mapping`},
		{`"Principal": {"Service": "firehose.amazonaws.com"},`, `unknown "Service"`},
		{`"Principal": {"AWS": []},`, `the list is empty`},
		{`"Principal": {"AWS": "arn:aws:iam::000000000000:user/*"},`, `without wildcards`},
		{`"Principal": {"AWS": "arn:aws:iam::*:root"},`, `without wildcards`},
		{`"Principal": {"AWS": "12345"},`, `an account of 12 digits`},
		{`"Principal": {"AWS": "*"}, "NotPrincipal": "*",`, `unknown "NotPrincipal"`},
	} {
		_, err := iam.ParseResourcePolicy([]byte(`{"Statement": {` + row.principal + `"Effect": "Allow", "Action": "*", "Resource": "*"}}`))
		require.ErrorContains(t, err, row.want, row.principal)
	}
}

func TestAllMistakesComeAtOnceWithTheirPlace(t *testing.T) {
	_, err := iam.ParsePolicy([]byte(`{
  "Version": "2012",
  "Statement": [
    {"Effect": "Allow", "Action": "x", "Resource": "*"},
    {"Effect": "Maybe", "Action": "*",
     "Resource": ["*", "y"]}
  ]
}`))
	require.EqualError(t, err, `2:14: Version: want 2012-10-17 (or 2008-10-17)
4:35: Statement[0].Action: "x": want an action such as kinesis:PutRecord, kinesis:Get* or *
5:16: Statement[1].Effect: want Allow or Deny
6:24: Statement[1].Resource: "y": want an ARN such as arn:aws:kinesis:us-east-1:000000000000:stream/clicks, with or without wildcards, or *`)
}

// BenchmarkHostilePolicy is the slowest policy that loads: as large and as hard to match as they come.
func BenchmarkHostilePolicy(b *testing.B) {
	hard := `"arn:aws:kinesis:us-east-1:000000000000:stream/` + strings.Repeat("*c?", 15) + strings.Repeat("?", 200) + `x"`
	p, err := iam.ParseResourcePolicy([]byte(`{"Statement":{"Principal":"*","Effect":"Deny","Action":"*","Resource":[` + strings.TrimSuffix(strings.Repeat(hard+",", 38), ",") + `]}}`))
	require.NoError(b, err)
	r := base()
	r.Resource = clicks + strings.Repeat("c", 300)
	for b.Loop() {
		require.Equal(b, nobody, iam.Evaluate(r, nil, p))
	}
}

// BenchmarkEvaluate is a policy such as a producer has.
func BenchmarkEvaluate(b *testing.B) {
	p, err := iam.ParsePolicy([]byte(statement("Allow", `"Action": ["kinesis:PutRecord*", "kinesis:ListShards"], "Resource": "arn:aws:kinesis:*:*:stream/clicks*", "Condition": {"Bool": {"aws:SecureTransport": true}}`)))
	require.NoError(b, err)
	r := base()
	b.ReportAllocs()
	for b.Loop() {
		if iam.Evaluate(r, p, nil) != allow {
			b.Fatal("denied")
		}
	}
}

// FuzzPolicy: whatever the text, nothing panics; what loads can be asked, loses to a Deny, and is not widened by a bound.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{
		statement("Allow", `"Action": "*", "Resource": "*"`),
		statement("Deny", `"NotAction": ["kinesis:Put*", "kinesis:?et*"], "NotResource": "arn:aws:kinesis:*:*:stream/a*"`),
		statement("Allow", `"Principal": {"AWS": ["000000000000", "*", "`+ann+`"]}, "Action": "kinesis:*", "Resource": "*"`),
		statement("Allow", `"Action": "*", "Resource": "*", "Condition": {"ForAnyValue:StringLikeIfExists": {"aws:PrincipalArn": ["*a?"]},
			"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "DateLessThan": {"aws:CurrentTime": "2026-01-01"}, "Null": {"aws:SourceIp": false},
			"NumericLessThan": {"aws:EpochTime": 1e9}, "Bool": {"aws:SecureTransport": true}, "ArnLike": {"aws:PrincipalArn": "arn:*:*:*:*:*"}}`),
		`{"Statement": [null, [], {"Sid": 1}]}`, "{\"Statement\"\n:\t{\"a\": \"\\ud800\"}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(fuzztest.Mutating(func(t *testing.T, text string) {
		p, err := iam.ParsePolicy([]byte(text))
		require.Equal(t, err != nil, p == nil)
		q, err := iam.ParseResourcePolicy([]byte(text))
		require.Equal(t, err != nil, q == nil)
		for _, is := range []func(*iam.Request){asked, unknown, plain} {
			r := base()
			is(&r)
			all, never := parsePolicy(t, statement("Allow", `"Action": "*", "Resource": "*"`)), parsePolicy(t, statement("Deny", `"Action": "*", "Resource": "*"`))
			alone := iam.Evaluate(r, p, q)
			require.Equal(t, deny, iam.Evaluate(r, p, q, never))
			require.Equal(t, alone, iam.Evaluate(r, p, q, all))
			if p == nil && q == nil {
				require.Equal(t, nobody, alone)
			}
		}
	}))
}
