package node

import (
	"testing"

	"nudge/engine"
	"nudge/streams"
)

// A record that the engine will refuse moves the clock of its partition as little as the engine's: else one with a time years ahead would have
// the partition run ahead of the others.
func TestClockOfRefusedRecords(t *testing.T) {
	const now = 1_800_000_000_000
	c := &engine.Chunk{}
	for _, x := range []struct {
		kind streams.Type
		time int64
	}{{streams.ProductViewed, now - 5000}, {streams.ProductViewed, 4 * now}, {streams.Invalid, now - 1000}, {streams.ProductViewed, -now}, {streams.ProductViewed, now - 4000}} {
		c.Records = append(c.Records, streams.Record{AppendMS: now})
		c.Events = append(c.Events, streams.Event{Type: x.kind, TimeMS: x.time})
	}
	q := newQueue(engine.Partition{}, "clickstream", 0)
	q.clockMS = now - 9000
	for i, want := range []int64{now - 5000, now - 9000, now - 9000, now - 9000, now - 4000} {
		if got := q.clock(c, i); got != want {
			t.Errorf("record %d moves the clock to %d, want %d", i, got-now, want-now)
		}
	}
}
