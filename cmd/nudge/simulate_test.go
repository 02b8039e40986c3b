package main

import (
	"testing"
	"time"

	"nudge/streams/simulate"
)

// So many records end at the time that was asked for, whatever the hour and the rate.
func TestEndingAt(t *testing.T) {
	for _, c := range []struct {
		hour    int
		records int64
		rate    float64
	}{{3, 40_000, 500}, {15, 40_000, 500}, {21, 6_000, 20}, {9, 30_000, 300}} {
		shop := simulate.Default()
		shop.EventsPerSecond = c.rate
		end := time.Date(2026, 11, 27, c.hour, 20, 0, 0, time.UTC)
		shop.Start = end.Add(-time.Duration(float64(c.records) / c.rate * float64(time.Second)))
		start, err := endingAt(shop, c.records, end)
		if err != nil {
			t.Fatal(err)
		}
		shop.Start = start
		world, err := simulate.New(shop)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for range c.records {
			r, ok := world.Until(1<<62 - 1)
			if !ok {
				t.Fatal("the shop has no more records")
			}
			last = max(last, r.TimeMS)
		}
		if off := time.UnixMilli(last).Sub(end); off.Abs() > time.Minute {
			t.Errorf("%d records at %v a second end %v from %s", c.records, c.rate, off, end.Format(time.TimeOnly))
		}
	}
}
