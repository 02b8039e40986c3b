package feature

import (
	"math"
	"testing"
	"time"
)

// A session of what several shards share stays until the least watermark has passed it, however far ahead the shard is whose event begins another.
func TestSharedSessionsStayForTheSlowest(t *testing.T) {
	s, err := New(map[string]Definition{"visits": {Count: []string{"any"}, Unit: "d", Window: Window{Session: durations("5m")}}}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	const minute = 60_000
	var r Row
	add := func(atMS, watermarkMS, lagMS int64) {
		s.Add(&r, &Observation{Event: (&fact{atMS: atMS, typ: "page.viewed"}).event(), Line: -1, TimeMS: atMS, WatermarkMS: watermarkMS, LagMS: lagMS})
	}
	add(0, math.MinInt64, NothingClosed)
	add(60*minute, 60*minute, 59*minute)
	if v := s.Value(&r, 0, 2*minute); v.Number != 1 {
		t.Errorf("at 2 min the session has %v events, want 1", v.Number)
	}
	add(120*minute, 120*minute, 0)
	if v := s.Value(&r, 0, 2*minute); v.Number != 0 {
		t.Errorf("when all shards are beyond it, it has %v", v.Number)
	}
}
