package feature

import "time"

// dayOf is the number of the day of a time in the set's zone, counted from 1970.
func (s *Set) dayOf(ms int64) int64 {
	_, offset := time.UnixMilli(ms).In(s.zone).Zone()
	return floorDiv(ms+int64(offset)*1000, 24*3600_000)
}

// midnight is the time at which a day begins in the set's zone.
func (s *Set) midnight(day int64) int64 {
	return ClockTime(s.zone, 1970, time.January, 1+int(day), 0).UnixMilli()
}

// ClockTime is when the clocks of a zone show so many minutes after midnight of a day; where they are put forward over that, as at midnight in
// Santiago, the moment at which they are, and where they show it twice, the first.
func ClockTime(zone *time.Location, year int, month time.Month, day, minute int) time.Time {
	wanted := time.Date(year, month, day, 0, minute, 0, 0, time.UTC).Unix()
	at := time.Date(year, month, day, 0, minute, 0, 0, zone)
	start, end := at.ZoneBounds()
	_, offset := at.Zone()
	switch shown := at.Unix() + int64(offset); {
	case shown < wanted:
		return end
	case shown > wanted:
		return start
	}
	if !start.IsZero() { // the clocks may have shown it before they were put back
		_, before := start.Add(-time.Second).Zone()
		if first := time.Unix(wanted-int64(before), 0).In(zone); first.Before(start) {
			return first
		}
	}
	return at
}
