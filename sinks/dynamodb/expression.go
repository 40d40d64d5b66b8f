package dynamodb

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expression is what stands for names and values in the expressions of a request.
type expression struct {
	names  map[string]string
	values map[string]types.AttributeValue
	short  map[string]string // by name

	set, add, remove []string
}

func newExpression() *expression {
	return &expression{names: map[string]string{}, values: map[string]types.AttributeValue{}, short: map[string]string{}}
}

// name is what stands for an attribute's name.
func (e *expression) name(name string) string {
	if e.short[name] == "" {
		e.short[name] = "#" + strconv.Itoa(len(e.names))
		e.names[e.short[name]] = name
	}
	return e.short[name]
}

// value is what stands for a value.
func (e *expression) value(v types.AttributeValue) string {
	short := ":" + strconv.Itoa(len(e.values))
	e.values[short] = v
	return short
}

// assign has an attribute set to a value.
func (e *expression) assign(name string, v types.AttributeValue) {
	e.set = append(e.set, e.name(name)+"="+e.value(v))
}

// update is the text that makes the changes.
func (e *expression) update() string {
	var out []string
	for _, clause := range []struct {
		word string
		what []string
	}{{"SET ", e.set}, {"ADD ", e.add}, {"REMOVE ", e.remove}} {
		if len(clause.what) > 0 {
			out = append(out, clause.word+strings.Join(clause.what, ","))
		}
	}
	return strings.Join(out, " ")
}
