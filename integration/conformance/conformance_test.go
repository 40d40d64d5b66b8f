package conformance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/stretchr/testify/require"
)

// TestTheAPIIsAsTheModelHasIt sends, for every operation, good requests and all that can be wrong with one, in all
// protocols, to a server for each.
func TestTheAPIIsAsTheModelHasIt(t *testing.T) {
	m := readModel(t)
	c := &campaign{model: m}
	for range protocols {
		c.nodes = append(c.nodes, newNode(t))
	}
	operations := 0
	for _, name := range sortedKeys(m.Operations) {
		require.Contains(t, good, name, "an operation of the model without a good request here")
		operations++
		began, cases := time.Now(), c.cases
		c.operation(t, name)
		t.Logf("%s: %d cases in %s", name, c.cases-cases, time.Since(began).Round(time.Millisecond))
	}
	t.Logf("campaign=conformance cases=%d operations=%d wrong=%d", c.cases, operations, len(c.wrong))
	if len(c.wrong) > 0 {
		t.Fatalf("%d answers are wrong, as logged", len(c.wrong))
	}
	require.GreaterOrEqual(t, c.cases, 5000)
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// campaign counts requests, and what is wrong with their answers.
type campaign struct {
	model *model
	nodes []*node
	cases int
	wrong []string
}

func (c *campaign) operation(t *testing.T, name string) {
	t.Helper()
	input := c.model.of(c.model.Operations[name].Input)
	bases := []object{}
	for _, n := range c.nodes {
		bases = append(bases, good[name](t, n))
	}
	c.send(t, name, mutation{"good", func(o object) object { return o }}, bases, http.StatusOK)
	for _, mu := range c.model.mutations(t, input) {
		var v verdict
		c.model.judge(&v, input, mu.apply(bases[0]), "")
		want := 0
		if !v.syntax && len(v.violations) == 0 { // it may be done, for which it has to find what it needs
			for i, n := range c.nodes {
				bases[i] = good[name](t, n)
			}
			if mu.name == "unknown beside" {
				want = http.StatusOK
			}
		}
		c.send(t, name, mu, bases, want)
	}
}

// send sends a case in all protocols. want is the status, if it is known.
func (c *campaign) send(t *testing.T, operation string, mu mutation, bases []object, want int) {
	t.Helper()
	var first any
	for i, p := range protocols {
		c.cases++
		doc := mu.apply(bases[i])
		seen, err := c.one(t, p, operation, doc, want)
		if err == nil && i > 0 && fmt.Sprint(seen) != fmt.Sprint(first) {
			err = fmt.Errorf("answered %.1000v, in %s %.1000v", seen, protocols[0], first)
		}
		if i == 0 {
			first = seen
		}
		if err != nil {
			c.wrong = append(c.wrong, fmt.Sprintf("%s %s, %s: %.600s: %.300s", operation, mu.name, p, err.Error(), jsonText.encode(doc)))
			if len(c.wrong) <= 100 {
				t.Log(c.wrong[len(c.wrong)-1])
			}
		}
	}
}

// one sends a request and holds the answer against the model. It returns what is to be the same in all protocols.
func (c *campaign) one(t *testing.T, p protocol, operation string, doc object, want int) (any, error) {
	t.Helper()
	var v verdict
	op := c.model.Operations[operation]
	c.model.judge(&v, c.model.of(op.Input), doc, "")
	a := c.nodes[p].post(t, p, operation, p.encode(doc))
	if a.events != nil {
		defer a.events.Close() //nolint:errcheck // read as far as it is wanted
	}
	switch {
	case a.status >= http.StatusInternalServerError:
		return nil, fmt.Errorf("status %d: %s", a.status, a.doc)
	case want != 0 && a.status != want:
		return nil, fmt.Errorf("status %d: %s", a.status, a.doc)
	case a.status != http.StatusOK:
		return c.failure(p, operation, v, a)
	case v.syntax || len(v.violations) > 0:
		return nil, fmt.Errorf("was taken in spite of %v", v)
	case a.events != nil:
		return c.events(p, operation, a.events)
	case op.Output == nil:
		if len(a.doc) > 0 {
			return nil, fmt.Errorf("has no output, and answered %s", a.doc)
		}
		return a.status, nil
	}
	if !strings.HasPrefix(a.kind, map[protocol]string{jsonText: "application/x-amz-json-1.1", awsCBOR: "application/x-amz-cbor-1.1", smithyRPC: "application/cbor"}[p]) {
		return nil, fmt.Errorf("answered in %s", a.kind)
	}
	out, err := p.decode(a.doc)
	if err != nil {
		return nil, err
	}
	canon, err := c.model.canon(p, c.model.of(op.Output), out, operation)
	return masked(canon, ""), err
}

// failure holds an error against the model.
func (c *campaign) failure(p protocol, operation string, v verdict, a answer) (any, error) {
	out, err := p.decode(a.doc)
	if err != nil {
		return nil, err
	}
	e := fields(out)
	code, _ := e["__type"].(string)
	message, _ := e["message"].(string)
	if message == "" {
		return nil, fmt.Errorf("an error without a message: %v", e)
	}
	switch {
	case v.syntax:
		if code != "SerializationException" || a.status != http.StatusBadRequest {
			return nil, fmt.Errorf("not a SerializationException: %d %v", a.status, e)
		}
		return code, nil // each protocol has words of its own for what is wrong with a document
	case len(v.violations) > 0:
		if code != "ValidationException" || a.status != http.StatusBadRequest {
			return nil, fmt.Errorf("not a ValidationException: %d %v", a.status, e)
		}
		return code + message, violated(message, v.violations)
	}
	ok := slices.ContainsFunc(c.model.Operations[operation].Errors, func(r ref) bool { return r.Shape == code })
	if !ok || strings.Contains(message, "failed to satisfy constraint") {
		return nil, fmt.Errorf("an error that the model does not have for it: %v", e)
	}
	return code + volatile.ReplaceAllString(message, "~"), nil
}

// violated holds a message against the violations that it has to name, of which AWS names ten at most.
func violated(message string, want []string) error {
	n, got := sortedViolations(message)
	if n != min(len(want), 10) || len(got) != n {
		return fmt.Errorf("says %d violations in %.300q, where there are %d", n, message, len(want))
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			return fmt.Errorf("says %.300q, not one of %.600q", g, want)
		}
	}
	return nil
}

// volatile is what differs between servers with the same past: sequence numbers, times, tokens.
var volatile = regexp.MustCompile(`\d{20,}|:\d{10}\b|\b\d{10,13}\b|[A-Za-z0-9+/]{40,}`)

// masked is a document without what is volatile.
func masked(v any, of string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = masked(x, k)
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, masked(x, of))
		}
		return out
	case time.Time:
		return fmt.Sprint(time.Since(v).Abs() < time.Hour)
	case string:
		if of != "PartitionKey" && !strings.HasSuffix(of, "HashKey") {
			return volatile.ReplaceAllString(v, "~")
		}
	}
	return v
}

// events reads the first event of a subscription.
func (c *campaign) events(p protocol, operation string, body io.ReadCloser) (any, error) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	context.AfterFunc(ctx, func() { _ = body.Close() }) // the server never ends by itself
	output := c.model.of(c.model.Operations[operation].Output)
	var events *shape
	for _, name := range output.names() {
		if s := c.model.member(output, name); s.Eventstream {
			events = s
		}
	}
	d := eventstream.NewDecoder()
	for _, want := range []string{"initial-response", "SubscribeToShardEvent"} {
		msg, err := d.Decode(body, nil)
		if err != nil {
			return nil, err
		}
		if kind := msg.Headers.Get(":event-type"); kind == nil || kind.String() != want {
			return nil, fmt.Errorf("%s comes where %s is to: %s", kind, want, msg.Payload)
		}
		if want == "initial-response" {
			continue
		}
		out, err := p.decode(msg.Payload)
		if err != nil {
			return nil, err
		}
		canon, err := c.model.canon(p, c.model.member(events, want), out, want)
		return masked(canon, ""), err
	}
	return nil, io.ErrUnexpectedEOF
}
