package iam_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/penstock/penstock/core/awsapi/iam"
)

func from(address string) func(*iam.Request) {
	return func(r *iam.Request) { r.SourceIP = netip.MustParseAddr(address) }
}

func at(text string) func(*iam.Request) {
	return func(r *iam.Request) { r.Time, _ = time.Parse(time.RFC3339, text) }
}

var (
	asked   = func(*iam.Request) {}
	unknown = func(r *iam.Request) { r.SourceIP, r.Time, r.Principal = netip.Addr{}, time.Time{}, "" }
	plain   = func(r *iam.Request) { r.Secure = false }
)

// conditions: the base request is Ann's from 203.0.113.7 at noon of 2026-03-01 over TLS.
func conditions(t *testing.T) {
	for _, row := range []struct {
		condition string
		is        func(*iam.Request)
		applies   bool
	}{
		{`{}`, asked, true},

		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, asked, true},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, from("203.0.114.7"), false},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.9/24"}}`, asked, true},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.7"}}`, asked, true},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.8"}}`, asked, false},
		{`{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.7/32"]}}`, asked, true},
		{`{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}`, asked, true},
		{`{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}`, from("2001:db8::1"), false},
		{`{"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}`, from("2001:db8::1"), true},
		{`{"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}`, from("2001:db9::1"), false},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, from("::ffff:203.0.113.7"), true},
		{`{"IpAddress": {"aws:SourceIp": "fe80::/10"}}`, from("fe80::1%eth0"), true},
		{`{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, unknown, false},
		{`{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, asked, false},
		{`{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`, asked, true},
		{`{"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.0/24"]}}`, asked, false},
		{`{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, unknown, true},
		{`{"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}`, asked, false},
		{`{"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}`, unknown, true},
		{`{"NotIpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}`, unknown, true},
		{`{"IpAddress": {"AWS:sourceip": "203.0.113.7"}}`, asked, true},

		{`{"Bool": {"aws:SecureTransport": "true"}}`, asked, true},
		{`{"Bool": {"aws:SecureTransport": "false"}}`, asked, false},
		{`{"Bool": {"aws:SecureTransport": true}}`, asked, true},
		{`{"Bool": {"aws:SecureTransport": "true"}}`, plain, false},
		{`{"Bool": {"aws:SecureTransport": "false"}}`, plain, true},
		{`{"BoolIfExists": {"aws:SecureTransport": "false"}}`, plain, true},

		{`{"DateGreaterThan": {"aws:CurrentTime": "2026-03-01T11:59:59Z"}}`, asked, true},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}`, asked, false},
		{`{"DateGreaterThanEquals": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}`, asked, true},
		{`{"DateLessThan": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}`, asked, false},
		{`{"DateLessThanEquals": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}`, asked, true},
		{`{"DateLessThan": {"aws:CurrentTime": "2026-03-01T14:00:00+02:00"}}`, asked, false},
		{`{"DateLessThan": {"aws:CurrentTime": "2026-03-02"}}`, asked, true},
		{`{"DateLessThan": {"aws:CurrentTime": "2026-03-01"}}`, asked, false},
		{`{"DateEquals": {"aws:CurrentTime": "2026-03-01T12:00Z"}}`, asked, true},
		{`{"DateNotEquals": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}`, asked, false},
		{`{"DateNotEquals": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}}`, unknown, true},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2020-01-01"}}`, unknown, false},
		{`{"DateGreaterThan": {"aws:EpochTime": "1772366399"}}`, asked, true},
		{`{"DateGreaterThan": {"aws:EpochTime": "1772366400"}}`, asked, false},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}, "DateLessThan": {"aws:CurrentTime": "2027-01-01"}}`, asked, true},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}, "DateLessThan": {"aws:CurrentTime": "2027-01-01"}}`, at("2027-06-01T00:00:00Z"), false},
		{`{"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}, "DateLessThan": {"aws:CurrentTime": "2027-01-01"}}`, at("2025-06-01T00:00:00Z"), false},

		{`{"NumericEquals": {"aws:EpochTime": "1772366400"}}`, asked, true},
		{`{"NumericEquals": {"aws:EpochTime": 1772366400}}`, asked, true},
		{`{"NumericEquals": {"aws:EpochTime": "1772366400.5"}}`, asked, false},
		{`{"NumericNotEquals": {"aws:EpochTime": "1772366400"}}`, asked, false},
		{`{"NumericLessThan": {"aws:EpochTime": "1.8e9"}}`, asked, true},
		{`{"NumericLessThanEquals": {"aws:EpochTime": "1772366400"}}`, asked, true},
		{`{"NumericLessThan": {"aws:EpochTime": "1772366400"}}`, asked, false},
		{`{"NumericGreaterThan": {"aws:EpochTime": "1772366400"}}`, asked, false},
		{`{"NumericGreaterThan": {"aws:EpochTime": "-1"}}`, asked, true},
		{`{"NumericGreaterThanEquals": {"aws:EpochTime": "1772366400"}}`, asked, true},
		{`{"NumericGreaterThan": {"aws:EpochTime": "0"}}`, unknown, false},

		{`{"StringEquals": {"aws:PrincipalAccount": "000000000000"}}`, asked, true},
		{`{"StringEquals": {"aws:PrincipalAccount": "111111111111"}}`, asked, false},
		{`{"StringEquals": {"aws:ResourceAccount": ["111111111111", "000000000000"]}}`, asked, true},
		{`{"StringEquals": {"aws:ResourceAccount": "000000000000"}}`, func(r *iam.Request) { r.Resource = "*" }, false},
		{`{"StringNotEquals": {"aws:ResourceAccount": "000000000000"}}`, func(r *iam.Request) { r.Resource = "*" }, true},
		{`{"StringEqualsIfExists": {"aws:ResourceAccount": "111111111111"}}`, func(r *iam.Request) { r.Resource = "*" }, true},
		{`{"StringEqualsIfExists": {"aws:ResourceAccount": "111111111111"}}`, asked, false},
		{`{"StringEquals": {"aws:PrincipalArn": "` + ann + `"}}`, asked, true},
		{`{"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/ANN"}}`, asked, false},
		{`{"StringEqualsIgnoreCase": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/ANN"}}`, asked, true},
		{`{"StringNotEqualsIgnoreCase": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/ANN"}}`, asked, false},
		{`{"StringNotEquals": {"aws:PrincipalArn": ["a", "b"]}}`, asked, true},
		{`{"StringNotEquals": {"aws:PrincipalArn": ["a", "` + ann + `"]}}`, asked, false},
		{`{"StringLike": {"aws:PrincipalArn": "*/ann"}}`, asked, true},
		{`{"StringLike": {"aws:PrincipalArn": "arn:*:user/a?n"}}`, asked, true},
		{`{"StringLike": {"aws:PrincipalArn": "arn:*:user/a?"}}`, asked, false},
		{`{"StringLike": {"aws:PrincipalArn": "*/ANN"}}`, asked, false},
		{`{"StringNotLike": {"aws:PrincipalArn": "*/a*"}}`, asked, false},
		{`{"StringNotLike": {"aws:PrincipalArn": "*/e*"}}`, asked, true},
		{`{"StringLike": {"aws:SourceIp": "203.0.*"}}`, asked, true},
		{`{"StringEquals": {"aws:SecureTransport": "true"}}`, asked, true},
		{`{"StringEquals": {"aws:PrincipalArn": "x"}}`, unknown, false},
		{`{"StringNotEquals": {"aws:PrincipalArn": "x"}}`, unknown, true},

		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}`, asked, true},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}`, asked, false},
		{`{"ArnLike": {"aws:PrincipalArn": "arn:aws:*:000000000000:user/ann:*"}}`, asked, false},
		{`{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/a??"}}`, asked, true},
		{`{"ArnNotEquals": {"aws:PrincipalArn": "` + ann + `"}}`, asked, false},
		{`{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:*"}}`, asked, true},
		{`{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:*"}}`, unknown, true},

		{`{"Null": {"aws:SourceIp": "true"}}`, asked, false},
		{`{"Null": {"aws:SourceIp": "false"}}`, asked, true},
		{`{"Null": {"aws:SourceIp": true}}`, unknown, true},
		{`{"Null": {"aws:SourceIp": "false"}}`, unknown, false},

		{`{"ForAnyValue:StringEquals": {"aws:PrincipalAccount": ["000000000000", "x"]}}`, asked, true},
		{`{"ForAnyValue:StringEquals": {"aws:PrincipalAccount": "x"}}`, asked, false},
		{`{"ForAllValues:StringEquals": {"aws:PrincipalAccount": "000000000000"}}`, asked, true},
		{`{"ForAllValues:StringEquals": {"aws:PrincipalAccount": "x"}}`, asked, false},
		{`{"ForAllValues:StringLike": {"aws:PrincipalArn": "x"}}`, unknown, true},
		{`{"ForAnyValue:StringLike": {"aws:PrincipalArn": "*"}}`, unknown, false},
		{`{"ForAnyValue:StringNotEquals": {"aws:PrincipalArn": "x"}}`, unknown, false},
		{`{"ForAllValues:StringNotEquals": {"aws:PrincipalArn": "x"}}`, unknown, true},
		{`{"ForAnyValue:StringNotEquals": {"aws:PrincipalArn": "x"}}`, asked, true},

		{`{"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, asked, true},
		{`{"Bool": {"aws:SecureTransport": "true"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}`, asked, false},
		{`{"StringEquals": {"aws:PrincipalAccount": "000000000000", "aws:ResourceAccount": "000000000000"}}`, asked, true},
		{`{"StringEquals": {"aws:PrincipalAccount": "000000000000", "aws:ResourceAccount": "111111111111"}}`, asked, false},
	} {
		r := base()
		row.is(&r)
		check(t, `"Action": "*", "Resource": "*", "Condition": `+row.condition, r, row.applies)
	}
}
