package operators

import (
	"slices"

	"nudge/streams"
)

// happened is one of a customer's last events: for people who look at the customer.
type happened struct {
	kind streams.Type
	atMS int64
}

const keptHappened = 8

func compareHappened(a, b happened) int {
	if a.atMS != b.atMS {
		return compare(a.atMS, b.atMS)
	}
	return compare(uint32(a.kind), uint32(b.kind))
}

// happen notes an event; the latest keptHappened stay.
func (c *Customer) happen(x happened) {
	at := len(c.latest)
	for at > 0 && compareHappened(c.latest[at-1], x) > 0 {
		at--
	}
	if len(c.latest) < keptHappened {
		c.latest = slices.Insert(grow(c.latest), at, x)
		return
	}
	if at > 0 {
		copy(c.latest, c.latest[1:at])
		c.latest[at-1] = x
	}
}

func (c *Customer) appendLatest(w *writer) {
	w.uint(uint64(len(c.latest)))
	for _, x := range c.latest {
		w.uint(uint64(x.kind))
		w.time(x.atMS)
	}
}

func (r *reader) latest() (list []happened) {
	n := int(r.limited(keptHappened))
	for range n {
		x := happened{kind: streams.Type(r.limited(uint64(streams.NumTypes) - 1)), atMS: r.time()}
		if k := len(list); k > 0 && compareHappened(list[k-1], x) > 0 {
			r.failf("the latest events are out of order")
		}
		list = append(list, x)
	}
	return list
}

// EventTime is an event of a customer.
type EventTime struct {
	Type string `json:"type"`
	At   string `json:"at"`
}

// eventTimes are the customer's last events, the latest first.
func (c *Customer) eventTimes() (out []EventTime) {
	for _, x := range slices.Backward(c.latest) {
		out = append(out, EventTime{x.kind.String(), timeText(x.atMS)})
	}
	return out
}
