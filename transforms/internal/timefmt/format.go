// Package timefmt reads times in the formats that logs have: RFC 3339, epochs, Go layouts and Java patterns.
//
// The one idea: every written pattern becomes a Go layout once, and parsing is then time.ParseInLocation. It does not
// format times.
package timefmt

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
)

// Format reads one way of writing a time. It is safe for concurrent use.
type Format struct {
	name   string
	layout string        // empty for epochs
	unit   time.Duration // of an epoch
	zone   *time.Location
}

const apache = "02/Jan/2006:15:04:05 -0700"

// New reads a format: rfc3339 (also when empty), apache, epoch_s, epoch_ms, epoch_us, epoch_ns, a strptime pattern (with %), a Go layout (with
// 2006), or a Java pattern such as yyyy-MM-dd HH:mm:ss. zone is that of texts that name none.
func New(format string, zone *time.Location) (*Format, error) {
	f := &Format{name: format, zone: zone}
	switch strings.ToLower(format) {
	case "", "rfc3339", "iso8601":
		f.name, f.layout = "rfc3339", time.RFC3339Nano
	case "apache", "clf":
		f.layout = apache
	case "epoch_s":
		f.unit = time.Second
	case "epoch_ms":
		f.unit = time.Millisecond
	case "epoch_us":
		f.unit = time.Microsecond
	case "epoch_ns":
		f.unit = time.Nanosecond
	default:
		var err error
		switch {
		case strings.Contains(format, "2006"):
			f.layout = format
		case strings.Contains(format, "%"):
			f.layout, err = strptime(format)
		default:
			f.layout, err = java(format)
		}
		if err != nil {
			return nil, fmt.Errorf("time format %q: %w: %w", format, err, core.ErrInvalid)
		}
	}
	return f, nil
}

// Epoch is the unit of an epoch format, and 0 for the others.
func (f *Format) Epoch() time.Duration { return f.unit }

// Parse reads a text.
func (f *Format) Parse(s string) (time.Time, error) {
	if f.unit == 0 {
		t, err := time.ParseInLocation(f.layout, s, f.zone)
		if err != nil || t.Year() < 1 || t.Year() > 9999 {
			return time.Time{}, fmt.Errorf("%.100q is no time of the format %s", s, f.name)
		}
		return t.UTC(), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.100q is no %s", s, f.name)
	}
	return f.FromInt(n)
}

// Years 1 to 9999, as CEL and RFC 3339 have them.
const (
	minSecond = -62135596800
	maxSecond = 253402300799
)

// FromInt reads a count of the epoch's units.
func (f *Format) FromInt(n int64) (time.Time, error) {
	if f.unit == 0 {
		return time.Time{}, fmt.Errorf("%d is no text of the format %s; use epoch_s or epoch_ms", n, f.name)
	}
	per := int64(time.Second / f.unit)
	sec, rest := n/per, n%per
	if sec < minSecond || sec > maxSecond {
		return time.Time{}, fmt.Errorf("%d is no %s of the years 1 to 9999", n, f.name)
	}
	return time.Unix(sec, rest*int64(f.unit)).UTC(), nil
}

// FromDouble reads a count of the epoch's units with a fraction, to the microsecond.
func (f *Format) FromDouble(x float64) (time.Time, error) {
	if f.unit == 0 {
		return time.Time{}, fmt.Errorf("%v is no text of the format %s; use epoch_s or epoch_ms", x, f.name)
	}
	sec := x * f.unit.Seconds()
	if math.IsNaN(sec) || sec < minSecond || sec > maxSecond {
		return time.Time{}, fmt.Errorf("%v is no %s of the years 1 to 9999", x, f.name)
	}
	return time.UnixMicro(int64(math.Round(sec * 1e6))).UTC(), nil
}
