package feature

import (
	"testing"
	"time"

	"nudge/streams"
)

// Clocks that are put forward pass over times, clocks that are put back show some twice.
func TestClockTime(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		minute    int
		want      string
	}{
		{"America/Santiago", "2026-09-06", 0, "2026-09-06T04:00:00Z"}, // there is no 00:00: the clocks jump from 24:00 to 01:00
		{"America/Santiago", "2026-09-06", 30, "2026-09-06T04:00:00Z"},
		{"America/Santiago", "2026-09-06", 60, "2026-09-06T04:00:00Z"},
		{"America/Santiago", "2026-09-07", 0, "2026-09-07T03:00:00Z"},
		{"America/Santiago", "2026-04-04", 23*60 + 30, "2026-04-05T02:30:00Z"}, // twice
		{"America/Santiago", "2026-04-05", 0, "2026-04-05T04:00:00Z"},
		{"America/New_York", "2026-03-08", 150, "2026-03-08T07:00:00Z"},
		{"America/New_York", "2026-11-01", 90, "2026-11-01T05:30:00Z"}, // twice
		{"Europe/Berlin", "2026-03-29", 150, "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25", 150, "2026-10-25T00:30:00Z"}, // twice
		{"Africa/Cairo", "2026-04-24", 0, "2026-04-23T22:00:00Z"},
		{"Asia/Shanghai", "2026-03-08", 540, "2026-03-08T01:00:00Z"},
		{"UTC", "2026-03-08", 0, "2026-03-08T00:00:00Z"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		day, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		if got := ClockTime(zone, day.Year(), day.Month(), day.Day(), c.minute).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s, %d min: %s, want %s", c.day, c.zone, c.minute, got, c.want)
		}
	}
}

// A day begins with its first moment, whatever the clocks do at midnight.
func TestMidnightIsTheFirstOfItsDay(t *testing.T) {
	for _, name := range []string{"America/Santiago", "Africa/Cairo", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		s := &Set{zone: zone}
		for day := int64(20_000); day < 22_000; day++ {
			at := s.midnight(day)
			if s.dayOf(at) != day || s.dayOf(at-1) != day-1 {
				t.Errorf("%s: day %d begins at %s, which is of day %d after day %d", name, day, time.UnixMilli(at).In(zone), s.dayOf(at), s.dayOf(at-1))
			}
		}
	}
}

// Features that read one sketch each in their own way share what is kept, not what it says.
func TestSketchesAreSharedNotTheirReading(t *testing.T) {
	s, err := New(map[string]Definition{
		"med": {Quantile: "product.viewed.price", Q: .5}, "q9": {Quantile: "product.viewed.price", Q: .9}, "q1": {Quantile: "product.viewed.price", Q: .1},
		"k1": {TopK: "product.viewed.item", K: 1}, "k3": {TopK: "product.viewed.item", K: 3},
	}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var r Row
	for i := range int64(10) {
		e := &streams.Event{ID: string(rune('a' + i)), Type: streams.ProductViewed, Name: "product.viewed",
			Lines: []streams.Line{{ID: string(rune('p' + i%4)), Price: 10 * (i + 1) * streams.Micro, HasPrice: true}}}
		s.Observe(&r, &Observation{Event: e, Line: -1, TimeMS: 1000 + i, WatermarkMS: 0})
	}
	for name, want := range map[string]float64{"med": 50, "q9": 90, "q1": 10, "k1": 1, "k3": 3} {
		i, _ := s.Find(name)
		v := s.Value(&r, i, 2000)
		got := v.Number
		if v.Kind == List {
			got = float64(len(v.List))
		}
		if got < want*.99 || got > want*1.01 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := len(s.tiers[0].sketches); n != 2 {
		t.Errorf("%d sketches are kept, want one of prices and one of items", n)
	}
}
