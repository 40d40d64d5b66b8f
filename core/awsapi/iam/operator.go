package iam

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// operator is a way to compare. Compile reads a value of the policy once; what it returns is asked with the fact, which is
// the canonical text of its kind.
type operator struct {
	kind    kind
	negated bool
	compile func(value string) (func(fact string) bool, error)
}

var operators = map[string]operator{
	"StringEquals":              {text, false, equals},
	"StringNotEquals":           {text, true, equals},
	"StringEqualsIgnoreCase":    {text, false, equalsFold},
	"StringNotEqualsIgnoreCase": {text, true, equalsFold},
	"StringLike":                {text, false, like},
	"StringNotLike":             {text, true, like},
	"NumericEquals":             {number, false, numeric(func(c int) bool { return c == 0 })},
	"NumericNotEquals":          {number, true, numeric(func(c int) bool { return c == 0 })},
	"NumericLessThan":           {number, false, numeric(func(c int) bool { return c < 0 })},
	"NumericLessThanEquals":     {number, false, numeric(func(c int) bool { return c <= 0 })},
	"NumericGreaterThan":        {number, false, numeric(func(c int) bool { return c > 0 })},
	"NumericGreaterThanEquals":  {number, false, numeric(func(c int) bool { return c >= 0 })},
	"DateEquals":                {date, false, dated(func(c int) bool { return c == 0 })},
	"DateNotEquals":             {date, true, dated(func(c int) bool { return c == 0 })},
	"DateLessThan":              {date, false, dated(func(c int) bool { return c < 0 })},
	"DateLessThanEquals":        {date, false, dated(func(c int) bool { return c <= 0 })},
	"DateGreaterThan":           {date, false, dated(func(c int) bool { return c > 0 })},
	"DateGreaterThanEquals":     {date, false, dated(func(c int) bool { return c >= 0 })},
	"Bool":                      {boolean, false, truth},
	"IpAddress":                 {address, false, within},
	"NotIpAddress":              {address, true, within},
	"ArnEquals":                 {arn, false, arnLike}, // IAM has no difference between the two
	"ArnLike":                   {arn, false, arnLike},
	"ArnNotEquals":              {arn, true, arnLike},
	"ArnNotLike":                {arn, true, arnLike},
	"Null":                      {text, false, truth},
}

var operatorNames = strings.Join(slices.Sorted(maps.Keys(operators)), ", ")

func equals(value string) (func(string) bool, error) {
	return func(fact string) bool { return fact == value }, nil
}

func equalsFold(value string) (func(string) bool, error) {
	return func(fact string) bool { return strings.EqualFold(fact, value) }, nil
}

func like(value string) (func(string) bool, error) {
	return compile(value, none, false).match, nil
}

func arnLike(value string) (func(string) bool, error) {
	p, err := arnPattern(value)
	return p.match, err
}

func truth(value string) (func(string) bool, error) {
	if value != "true" && value != "false" {
		return nil, errors.New("want true or false")
	}
	return equals(value)
}

func within(value string) (func(string) bool, error) {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		a, aerr := netip.ParseAddr(value)
		if aerr != nil || a.Zone() != "" {
			return nil, errors.New("want an address such as 203.0.113.7 or a range such as 203.0.113.0/24 or 2001:db8::/32")
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	if prefix.Addr().Is4In6() {
		return nil, errors.New("write an IPv4 address as such")
	}
	return func(fact string) bool {
		a, err := netip.ParseAddr(fact)
		return err == nil && prefix.Contains(a)
	}, nil
}

func numeric(ok func(int) bool) func(string) (func(string) bool, error) {
	return func(value string) (func(string) bool, error) {
		want, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(want) || math.IsInf(want, 0) {
			return nil, errors.New("want a number")
		}
		return func(fact string) bool {
			have, err := strconv.ParseFloat(fact, 64)
			return err == nil && ok(cmp.Compare(have, want))
		}, nil
	}
}

func dated(ok func(int) bool) func(string) (func(string) bool, error) {
	return func(value string) (func(string) bool, error) {
		want, err := parseDate(value)
		if err != nil {
			return nil, err
		}
		return func(fact string) bool {
			have, err := parseDate(fact)
			return err == nil && ok(have.Compare(want))
		}, nil
	}
}

// parseDate reads the forms of a date in ISO 8601 that W3C allows, and seconds since 1970.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > len("20260101") { // what is shorter was meant as a year or a day
		return time.Unix(n, 0), nil
	}
	return time.Time{}, errors.New("want a date such as 2026-01-01T00:00:00Z, or seconds since 1970")
}
