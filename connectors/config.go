package connectors

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/penstock/penstock/core"
)

// ByteSize is a number of bytes written as 128MiB, 64kB or 1048576.
type ByteSize int64

// UnmarshalText reads the written form.
func (s *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a size such as 128MiB: %w", text, core.ErrInvalid)
	}
	*s = ByteSize(n) //nolint:gosec // bounded above
	return nil
}

// MarshalText writes the exact size, in the largest binary unit that divides it.
func (s ByteSize) MarshalText() ([]byte, error) {
	for _, u := range []struct {
		name string
		size ByteSize
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.size && s%u.size == 0 {
			return []byte(strconv.FormatInt(int64(s/u.size), 10) + u.name), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10)), nil
}

func (s ByteSize) String() string { return humanize.IBytes(uint64(max(s, 0))) } //nolint:gosec // not negative

// Duration is a length of time written as 60s, 5m, 6h or 7d.
type Duration time.Duration

// UnmarshalText reads the written form; negative durations are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	var v time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 32)
		v = time.Duration(n) * 24 * time.Hour
		if n > 36500 {
			err = core.ErrInvalid
		}
	} else {
		v, err = time.ParseDuration(s)
	}
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a length of time such as 60s, 5m, 6h or 7d: %w", s, core.ErrInvalid)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes Go's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }

// BufferConfig says when a flush closes. The first limit reached closes it.
type BufferConfig struct {
	MaxBytes   ByteSize `yaml:"max_bytes" json:"max_bytes" jsonschema:"description=Raw record bytes (keys and data) that a flush gathers at most. Default 128MiB."`
	MaxRecords int64    `yaml:"max_records" json:"max_records" jsonschema:"description=Records that a flush gathers at most. Default 1000000."`
	MaxAge     Duration `yaml:"max_age" json:"max_age" jsonschema:"description=How long after its first record a flush closes. Default 60s."`
}

// WithDefaults fills what is zero.
func (c BufferConfig) WithDefaults() BufferConfig {
	if c.MaxBytes == 0 {
		c.MaxBytes = 128 << 20
	}
	if c.MaxRecords == 0 {
		c.MaxRecords = 1_000_000
	}
	if c.MaxAge == 0 {
		c.MaxAge = Duration(time.Minute)
	}
	return c
}

// Validate returns what is wrong with c after defaults.
func (c BufferConfig) Validate() error {
	if c.MaxBytes < 0 || c.MaxRecords < 0 || c.MaxAge < 0 {
		return fmt.Errorf("buffer limits must not be negative: %w", core.ErrInvalid)
	}
	return nil
}
