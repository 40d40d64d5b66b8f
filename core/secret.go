package core

import (
	"fmt"
	"log/slog"
)

// Secret is text that is never shown: however it is printed, logged or encoded, it is Hidden. Reveal is the only way to
// its value. It is held by pointer because fmt, given a verb that a value around it does not know, prints what it finds
// without asking Format.
type Secret struct{ text *string }

// Hidden stands for a secret.
const Hidden = "***"

var (
	_ fmt.Formatter  = Secret{}
	_ slog.LogValuer = Secret{}
)

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal is the secret itself; empty where there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s Secret) String() string { return Hidden }

// Format writes Hidden for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Hidden)) }

// LogValue is Hidden.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Hidden) }

// MarshalText is Hidden, in JSON and YAML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Hidden), nil }
