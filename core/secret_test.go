package core_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/penstock/penstock/core"
)

func TestSecretsAreNeverShown(t *testing.T) {
	const canary = "hunter2-canary"
	type config struct {
		Key  core.Secret            `yaml:"key"`
		Ptr  *core.Secret           `yaml:"ptr"`
		Keys map[string]core.Secret `yaml:"keys"`
	}
	s := core.NewSecret(canary)
	c := config{s, &s, map[string]core.Secret{"a": s}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, c)
		fmt.Fprintf(&out, verb, []any{s, &c})
	}
	require.NoError(t, json.NewEncoder(&out).Encode(c))
	require.NoError(t, yaml.NewEncoder(&out).Encode(c))
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", s, "config", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", s, "config", c)
	fmt.Fprintln(&out, fmt.Errorf("sign in with %v: %w", s, core.ErrInvalid))
	require.NotContains(t, out.String(), canary)
	require.NotContains(t, out.String(), fmt.Sprintf("%x", canary))
	require.Equal(t, canary, s.Reveal())
}
