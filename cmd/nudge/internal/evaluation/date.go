package evaluation

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// layouts are the dates and times that are understood besides numbers, as UTC where they name no zone; those that begin with a month or a day are slashed.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05 UTC", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02", "2006/01/02 15:04:05",
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05-0700", "2006-01-02T15:04", "2006-01-02 15", "2006/01/02", time.RubyDate}

func parseDate(s string) (ms int64, err error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	if isSlashed(s) {
		for _, order := range []string{MonthFirst, DayFirst} {
			if ms, ok := parseSlashed(s, order); ok {
				return ms, nil
			}
		}
		return 0, noDay(s)
	}
	return 0, fmt.Errorf("time %q: want seconds or milliseconds since 1970, or a date such as 2006-01-02T15:04:05Z", s)
}

// parseTime reads a number of seconds since 1970, or of milliseconds, microseconds or nanoseconds where it is so large that it can't be of the unit before; or
// RFC 3339 and its relatives.
func parseTime(s string) (ms int64, err error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return parseDate(s)
	}
	switch size := math.Abs(x); {
	case !(size < 1e19):
		return 0, fmt.Errorf("time %q is out of range", s)
	case size > 1e17:
		return int64(x / 1e6), nil
	case size > 1e14:
		return int64(x / 1e3), nil
	case size > 1e11:
		return int64(x), nil
	}
	return int64(math.Round(x * 1000)), nil
}

// times is from when to when a file is, so that who reads it sees a wrong column or unit.
type times struct {
	n           int
	first, last int64
	parts       bool // of days
}

func (t *times) add(ms int64) {
	if t.n == 0 {
		t.first, t.last = ms, ms
	}
	t.n++
	t.first, t.last = min(t.first, ms), max(t.last, ms)
	t.parts = t.parts || ms%day != 0
}

func (t *times) notes() []string {
	if t.n == 0 {
		return nil
	}
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05") }
	s := fmt.Sprintf("from %s to %s", at(t.first), at(t.last))
	switch {
	case !t.parts:
		s += ", days without a time: within one the file's order is taken"
	case t.last < 9*365*day:
		s += ", as seconds since 1970: a day of the models is 86,400 of them"
	}
	return []string{s}
}
