package cloudwatchapi

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock/core/awsapi"
)

// putMetricData is what is looked at of a request: which data there are, not their values.
type putMetricData struct {
	Namespace        string       `aws:"Namespace,required" len:"1,255"`
	MetricData       []datum      `aws:"MetricData"`
	EntityMetricData []entityData `aws:"EntityMetricData"`
}

type datum struct {
	MetricName string `aws:"MetricName,required" len:"1,255"`
}

type entityData struct {
	MetricData []datum `aws:"MetricData"`
}

// check says how many data there are, or what is wrong.
func (in *putMetricData) check() (int, error) {
	n := len(in.MetricData)
	for _, e := range in.EntityMetricData {
		n += len(e.MetricData)
	}
	switch {
	case strings.HasPrefix(in.Namespace, ":"):
		return 0, invalid("A namespace does not begin with a colon")
	case n == 0:
		return 0, awsapi.Refuse("MissingParameter", "The parameter MetricData is required.")
	case n > maxMetrics:
		return 0, invalid("The collection MetricData must not have a size greater than " + strconv.Itoa(maxMetrics))
	}
	return n, nil
}

func invalid(what string) error { return awsapi.Refuse("InvalidParameterValue", "%s.", what) }

// readForm reads a request of the query protocol. It keeps no map of what a client sends.
func readForm(doc string) (*putMetricData, error) {
	in := new(putMetricData)
	var action string
	var err error
	for pair := range strings.SplitSeq(doc, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case name == "Action":
			action = value
		case name == "Namespace":
			if in.Namespace, err = url.QueryUnescape(value); err != nil {
				return nil, awsapi.Refuse("MalformedInput", "The parameter Namespace is not encoded as in a form.")
			}
		case !metricName(name):
		case value == "":
			return nil, invalid("The parameter " + name + " has 1 to 255 characters")
		case len(in.MetricData) <= maxMetrics: // one more is too many
			in.MetricData = append(in.MetricData, datum{value})
		}
	}
	if action != operation {
		return nil, unknown("the action has to be " + operation)
	}
	if n := utf8.RuneCountInString(in.Namespace); n == 0 || n > 255 {
		return nil, invalid("The parameter Namespace has 1 to 255 characters")
	}
	return in, nil
}

// metricName reports whether a parameter is the name of a datum, which each has once: MetricData.member.1.MetricName.
func metricName(parameter string) bool {
	return strings.HasSuffix(parameter, ".MetricName") &&
		(strings.HasPrefix(parameter, "MetricData.member.") || strings.HasPrefix(parameter, "EntityMetricData.member."))
}
