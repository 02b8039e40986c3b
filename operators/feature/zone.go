package feature

import "time"

// dayOf is the number of the day of a time in the set's zone, counted from 1970.
func (s *Set) dayOf(ms int64) int64 {
	_, offset := time.UnixMilli(ms).In(s.zone).Zone()
	return floorDiv(ms+int64(offset)*1000, 24*3600_000)
}

// midnight is the time at which a day begins in the set's zone.
func (s *Set) midnight(day int64) int64 {
	utc := time.Unix(day*24*3600, 0).UTC()
	return time.Date(utc.Year(), utc.Month(), utc.Day(), 0, 0, 0, 0, s.zone).UnixMilli()
}
