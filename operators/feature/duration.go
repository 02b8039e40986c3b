package feature

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a time.Duration that is written with units up to weeks: 30s, 10m, 72h, 7d, 2w.
type Duration time.Duration

// MS is the duration in milliseconds.
func (d Duration) MS() int64 { return int64(d) / int64(time.Millisecond) }

// String writes the duration in the largest unit that divides it.
func (d Duration) String() string {
	for _, u := range durationUnits {
		if d != 0 && d%Duration(u.length) == 0 {
			return strconv.FormatInt(int64(d)/int64(u.length), 10) + u.name
		}
	}
	return time.Duration(d).String()
}

// MarshalText is the inverse of UnmarshalText.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads numbers with units, largest first: 1h30m, 7d. A day is 24 hours.
func (d *Duration) UnmarshalText(text []byte) error {
	bad := errors.New("want a duration with a unit of w, d, h, m, s or ms, such as 30m or 7d")
	rest := string(text)
	if rest == "0" {
		*d = 0
		return nil
	}
	if rest == "" {
		return bad
	}
	var total float64
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		end := digits + len(rest[digits:]) - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyz"))
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return bad
		}
		length := time.Duration(0)
		for _, u := range durationUnits {
			if u.name == rest[digits:end] {
				length = u.length
			}
		}
		if length == 0 {
			return bad
		}
		total += n * float64(length)
		rest = rest[end:]
	}
	if total >= math.MaxInt64 {
		return errors.New("want a duration of at most 292 years")
	}
	*d = Duration(total)
	return nil
}

var durationUnits = []struct {
	name   string
	length time.Duration
}{{"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
