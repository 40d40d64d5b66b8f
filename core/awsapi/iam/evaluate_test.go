package iam_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/penstock/penstock/core/awsapi/iam"
)

const (
	us, them = "000000000000", "111111111111"
	clicks   = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
	orders   = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
	consumer = clicks + "/consumer/reader:1767225600"
	theirs   = "arn:aws:kinesis:us-east-1:111111111111:stream/clicks"
	ann      = "arn:aws:iam::000000000000:user/ann"
	eve      = "arn:aws:iam::111111111111:user/eve"

	allow, deny, nobody = iam.Allowed, iam.ExplicitlyDenied, iam.ImplicitlyDenied
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// base is Ann putting a record into clicks.
func base() iam.Request {
	return iam.Request{
		Principal: ann, Account: us, Action: "kinesis:PutRecord", Resource: clicks,
		SourceIP: netip.MustParseAddr("203.0.113.7"), Secure: true, Time: noon,
	}
}

// tried counts the rows of all tables.
var tried int

// TestDecisions is the table of what is allowed and denied, in five parts.
func TestDecisions(t *testing.T) {
	t.Run("actions", actions)
	t.Run("resources", resources)
	t.Run("conditions", conditions)
	t.Run("two policies", twoPolicies)
	t.Run("statements of one policy", statementsOfOnePolicy)
	require.GreaterOrEqual(t, tried, 200)
	t.Logf("%d rows", tried)
}

func parsePolicy(t *testing.T, text string) *iam.Policy {
	t.Helper()
	if text == "" {
		return nil
	}
	p, err := iam.ParsePolicy([]byte(text))
	require.NoError(t, err, text)
	return p
}

func statement(effect, rest string) string {
	return fmt.Sprintf(`{"Version": "2012-10-17", "Statement": {"Effect": %q, %s}}`, effect, rest)
}

// check evaluates a row, both for an Allow and, turned around, for a Deny beside an Allow of everything.
func check(t *testing.T, rest string, r iam.Request, applies bool) {
	t.Helper()
	want, wantDeny := nobody, allow
	if applies {
		want, wantDeny = allow, deny
	}
	tried += 2
	require.Equal(t, want, iam.Evaluate(r, parsePolicy(t, statement("Allow", rest)), nil), "Allow %s for %+v", rest, r)
	both := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", ` + rest + `}]}`
	require.Equal(t, wantDeny, iam.Evaluate(r, parsePolicy(t, both), nil), "Deny %s for %+v", rest, r)
}

func actions(t *testing.T) {
	for _, row := range []struct {
		element, action string
		applies         bool
	}{
		{`"Action": "*"`, "kinesis:PutRecord", true},
		{`"Action": "*:*"`, "firehose:PutRecord", true},
		{`"Action": "kinesis:*"`, "kinesis:PutRecord", true},
		{`"Action": "kinesis:*"`, "firehose:PutRecord", false},
		{`"Action": "kinesis:PutRecord"`, "kinesis:PutRecord", true},
		{`"Action": "kinesis:PutRecord"`, "kinesis:PutRecords", false},
		{`"Action": "kinesis:PutRecord"`, "kinesis:XPutRecord", false},
		{`"Action": "kinesis:putrecord"`, "kinesis:PutRecord", true},
		{`"Action": "KINESIS:PUT*"`, "kinesis:PutRecord", true},
		{`"Action": "kinesis:Put*"`, "kinesis:PutRecords", true},
		{`"Action": "kinesis:Put*"`, "kinesis:GetRecords", false},
		{`"Action": "kinesis:*Record"`, "kinesis:PutRecord", true},
		{`"Action": "kinesis:*Record"`, "kinesis:PutRecords", false},
		{`"Action": "kinesis:*Record*"`, "kinesis:GetRecords", true},
		{`"Action": "kinesis:?etRecords"`, "kinesis:GetRecords", true},
		{`"Action": "kinesis:?utRecord"`, "kinesis:PutRecords", false},
		{`"Action": "kinesis:PutRecord?"`, "kinesis:PutRecords", true},
		{`"Action": "kinesis:PutRecord?"`, "kinesis:PutRecord", false},
		{`"Action": "kinesis:*e*o*d*"`, "kinesis:GetRecords", true},
		{`"Action": ["kinesis:PutRecord", "kinesis:GetRecords"]`, "kinesis:GetRecords", true},
		{`"Action": ["kinesis:PutRecord", "kinesis:GetRecords"]`, "kinesis:DeleteStream", false},
		{`"NotAction": "kinesis:DeleteStream"`, "kinesis:PutRecord", true},
		{`"NotAction": "kinesis:DeleteStream"`, "kinesis:DeleteStream", false},
		{`"NotAction": "kinesis:deletestream"`, "kinesis:DeleteStream", false},
		{`"NotAction": ["kinesis:Delete*", "kinesis:Put*"]`, "kinesis:PutRecord", false},
		{`"NotAction": ["kinesis:Delete*", "kinesis:Put*"]`, "kinesis:GetRecords", true},
		{`"NotAction": "*"`, "kinesis:PutRecord", false},
		{`"Action": "s3:*"`, "kinesis:PutRecord", false},
	} {
		r := base()
		r.Action = row.action
		check(t, row.element+`, "Resource": "*"`, r, row.applies)
	}
}

func resources(t *testing.T) {
	for _, row := range []struct {
		element, resource string
		applies           bool
	}{
		{`"Resource": "*"`, clicks, true},
		{`"Resource": "*"`, "*", true},
		{`"Resource": "` + clicks + `"`, clicks, true},
		{`"Resource": "` + clicks + `"`, orders, false},
		{`"Resource": "` + clicks + `"`, clicks + "2", false},
		{`"Resource": "` + clicks + `"`, consumer, false},
		{`"Resource": "` + clicks + `"`, strings.ToUpper(clicks), false},
		{`"Resource": "` + clicks + `"`, "*", false},
		{`"Resource": "` + clicks + `*"`, clicks + "-eu", true},
		{`"Resource": "` + clicks + `*"`, consumer, true},
		{`"Resource": "` + clicks + `/*"`, consumer, true},
		{`"Resource": "` + clicks + `/*"`, clicks, false},
		{`"Resource": "` + clicks + `/consumer/*:*"`, consumer, true},
		{`"Resource": "` + clicks + `/consumer/reader:?"`, consumer, false},
		{`"Resource": "` + clicks + `/consumer/r*r:1767225600"`, consumer, true},
		{`"Resource": "` + clicks + `/con*00"`, consumer, true},
		{`"Resource": "arn:aws:kinesis:*:000000000000:stream/clicks"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:us-*-1:000000000000:stream/clicks"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:us-*t-1:000000000000:stream/clicks"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:eu-*:000000000000:stream/clicks"`, clicks, false},
		{`"Resource": "arn:aws:kinesis:us*0:stream/clicks/consumer/reader:1767225600"`, consumer, false},
		{`"Resource": "arn:aws:kinesis:us*:stream/clicks/consumer/reader:1767225600"`, consumer, true},
		{`"Resource": "arn:aws:kinesis:us-east-?:000000000000:stream/clicks"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:us-east-1?000000000000:stream/clicks*"`, clicks, false},
		{`"Resource": "arn:aws:kinesis:*:*:stream/clicks"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:*:*:stream/c?icks"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:*:*:stream/*s"`, orders, true},
		{`"Resource": "arn:aws:kinesis:*:*:stream/*x"`, orders, false},
		{`"Resource": "arn:aws:kinesis:*:*:*"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:*"`, clicks, true},
		{`"Resource": "arn:aws:kinesis:*"`, "*", false},
		{`"Resource": "arn:*:kinesis:us-east-1:000000000000:stream/clicks"`, clicks, true},
		{`"Resource": "arn:aws:firehose:*"`, clicks, false},
		{`"Resource": "arn:aws:kinesis:us-east-1:111111111111:stream/*"`, clicks, false},
		{`"Resource": ["` + orders + `", "` + clicks + `"]`, clicks, true},
		{`"Resource": ["` + orders + `", "` + clicks + `"]`, clicks + "x", false},
		{`"NotResource": "` + clicks + `"`, clicks, false},
		{`"NotResource": "` + clicks + `"`, orders, true},
		{`"NotResource": "arn:aws:kinesis:*:*:stream/c*"`, clicks, false},
		{`"NotResource": "arn:aws:kinesis:*:*:stream/c*"`, orders, true},
		{`"NotResource": ["` + orders + `", "` + clicks + `"]`, "*", true},
		{`"NotResource": "*"`, orders, false},
	} {
		r := base()
		r.Resource = row.resource
		check(t, `"Action": "kinesis:*", `+row.element, r, row.applies)
	}
}

// twoPolicies are the policies of who asks and on what is asked for, of one account and of two.
func twoPolicies(t *testing.T) {
	can := statement("Allow", `"Action": "kinesis:PutRecord", "Resource": "*"`)
	cannot := statement("Deny", `"Action": "kinesis:PutRecord", "Resource": "*"`)
	other := statement("Allow", `"Action": "kinesis:GetRecords", "Resource": "*"`)
	on := func(effect, who string) string {
		return statement(effect, `"Principal": `+who+`, "Action": "kinesis:PutRecord", "Resource": "`+clicks+`"`)
	}
	everyone, annOnly, eveOnly := on("Allow", `"*"`), on("Allow", `{"AWS": "`+ann+`"}`), on("Allow", `{"AWS": ["`+eve+`"]}`)
	ours, root, theirAccount := on("Allow", `{"AWS": "`+us+`"}`), on("Allow", `{"AWS": "arn:aws:iam::`+us+`:root"}`), on("Allow", `{"AWS": "`+them+`"}`)
	notAnn, notUs, notAll := on("Deny", `{"AWS": "`+ann+`"}`), on("Deny", `{"AWS": "`+us+`"}`), on("Deny", `{"AWS": "*"}`)
	for _, row := range []struct {
		name, who          string
		identity, resource string
		within             []string
		want               iam.Decision
	}{
		{"nothing", ann, "", "", nil, nobody},
		{"own policy", ann, can, "", nil, allow},
		{"own policy for something else", ann, other, "", nil, nobody},
		{"own deny", ann, cannot, "", nil, deny},
		{"own deny, allowed on the stream", ann, cannot, annOnly, nil, deny},
		{"allowed on the stream", ann, "", annOnly, nil, allow},
		{"allowed on the stream, own policy silent", ann, other, annOnly, nil, allow},
		{"allowed to everyone", ann, "", everyone, nil, allow},
		{"allowed to another", ann, "", eveOnly, nil, nobody},
		{"allowed to another, own policy", ann, can, eveOnly, nil, allow},
		{"allowed to the account", ann, "", ours, nil, nobody},
		{"allowed to the account by its root", ann, "", root, nil, nobody},
		{"allowed to the account, own policy", ann, can, ours, nil, allow},
		{"denied on the stream", ann, can, notAnn, nil, deny},
		{"denied to the account", ann, can, notUs, nil, deny},
		{"denied to everyone", ann, can, notAll, nil, deny},
		{"denied on the stream to everyone, nothing else", ann, "", notAll, nil, deny},
		{"another account, own policy", eve, can, "", nil, nobody},
		{"another account, on the stream", eve, "", eveOnly, nil, nobody},
		{"another account, both", eve, can, eveOnly, nil, allow},
		{"another account, both by account", eve, can, theirAccount, nil, allow},
		{"another account, both by everyone", eve, can, everyone, nil, allow},
		{"another account, everyone alone", eve, "", everyone, nil, nobody},
		{"another account, allowed to ours", eve, can, ours, nil, nobody},
		{"another account, own deny", eve, cannot, eveOnly, nil, deny},
		{"another account, denied to ours", eve, can, notUs, nil, nobody},
		{"another account, denied to everyone", eve, can, notAll, nil, deny},
		{"bounded and allowed", ann, can, "", []string{can}, allow},
		{"bounded away", ann, can, "", []string{other}, nobody},
		{"bounded by deny", ann, can, "", []string{cannot}, deny},
		{"bound is no grant", ann, "", "", []string{can}, nobody},
		{"bound is no grant for more", ann, other, "", []string{can}, nobody},
		{"two bounds", ann, can, "", []string{can, can}, allow},
		{"one of two bounds", ann, can, "", []string{can, other}, nobody},
		{"bound over the stream's", ann, "", annOnly, []string{other}, nobody},
		{"bound with the stream's", ann, "", annOnly, []string{can}, allow},
		{"bound of nothing", ann, can, "", []string{""}, nobody},
		{"bound in another account", eve, can, eveOnly, []string{can}, allow},
		{"bounded away in another account", eve, can, eveOnly, []string{other}, nobody},
	} {
		tried++
		r := base()
		r.Principal, r.Account = row.who, strings.Split(row.who, ":")[4]
		var on *iam.Policy
		if row.resource != "" {
			var err error
			on, err = iam.ParseResourcePolicy([]byte(row.resource))
			require.NoError(t, err)
		}
		var within []*iam.Policy
		for _, text := range row.within {
			within = append(within, parsePolicy(t, text))
		}
		got := iam.Evaluate(r, parsePolicy(t, row.identity), on, within...)
		require.Equal(t, row.want.String(), got.String(), row.name)
	}
}

func statementsOfOnePolicy(t *testing.T) {
	p := parsePolicy(t, `{"Version": "2012-10-17", "Statement": [
		{"Sid": "read", "Effect": "Allow", "Action": ["kinesis:Get*", "kinesis:List*", "kinesis:Describe*"], "Resource": "*"},
		{"Sid": "write", "Effect": "Allow", "Action": "kinesis:Put*", "Resource": "arn:aws:kinesis:*:*:stream/clicks*"},
		{"Sid": "notAtNight", "Effect": "Deny", "Action": "kinesis:Put*", "Resource": "*",
			"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026-03-01T20:00:00Z"}}},
		{"Sid": "never", "Effect": "Deny", "Action": ["kinesis:Delete*", "kinesis:MergeShards"], "NotResource": "`+orders+`"}]}`)
	for _, row := range []struct {
		action, resource string
		hour             int
		want             iam.Decision
	}{
		{"kinesis:GetRecords", clicks, 12, allow},
		{"kinesis:GetRecords", clicks, 21, allow},
		{"kinesis:ListStreams", "*", 12, allow},
		{"kinesis:PutRecord", clicks, 12, allow},
		{"kinesis:PutRecords", clicks + "-eu", 12, allow},
		{"kinesis:PutRecord", orders, 12, nobody},
		{"kinesis:PutRecord", orders, 21, deny},
		{"kinesis:PutRecord", clicks, 20, allow},
		{"kinesis:PutRecord", clicks, 21, deny},
		{"kinesis:DeleteStream", clicks, 12, deny},
		{"kinesis:DeleteStream", orders, 12, nobody},
		{"kinesis:MergeShards", clicks, 12, deny},
		{"kinesis:SplitShard", clicks, 12, nobody},
		{"firehose:PutRecord", clicks, 12, nobody},
	} {
		tried++
		r := base()
		r.Action, r.Resource, r.Time = row.action, row.resource, noon.Add(time.Duration(row.hour-12)*time.Hour)
		require.Equal(t, row.want.String(), iam.Evaluate(r, p, nil).String(), "%+v", row)
	}
}

func TestRefusalIsThatOfAWS(t *testing.T) {
	require.Equal(t, "User: "+ann+" is not authorized to perform: kinesis:PutRecord on resource: "+clicks+" because no policy allows the kinesis:PutRecord action",
		base().Refusal(nobody))
	require.Contains(t, base().Refusal(deny), "with an explicit deny")
}
