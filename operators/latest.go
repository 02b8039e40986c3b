package operators

import "nudge/streams"

// latest is a customer's last events, for people who look at the customer: each its time in ms, then a byte for its type; ascending, and 0 where there
// were fewer.
type latest [8]uint64

func happened(kind streams.Type, atMS int64) uint64 { return uint64(atMS)<<8 | uint64(kind) }

// note takes in an event; the latest ones stay.
func (l *latest) note(x uint64) {
	at := 0
	for at < len(l) && l[at] < x {
		at++
	}
	if at == 0 {
		return
	}
	copy(l[:at-1], l[1:at])
	l[at-1] = x
}

func (l *latest) empty() bool { return l[len(l)-1] == 0 }

func (l *latest) append(w *writer) {
	n := 0
	for n < len(l) && l[n] == 0 {
		n++
	}
	w.uint(uint64(len(l) - n))
	for _, x := range l[n:] {
		w.uint(x & 0xff)
		w.time(int64(x >> 8))
	}
}

func (r *reader) latest() (l latest) {
	n := int(r.limited(uint64(len(l))))
	for i := len(l) - n; i < len(l); i++ {
		kind := streams.Type(r.limited(uint64(streams.NumTypes) - 1))
		l[i] = happened(kind, r.time())
		if l[i] == 0 || i > 0 && l[i] < l[i-1] {
			r.failf("the latest events are out of order")
		}
	}
	return l
}

// EventTime is an event of a customer.
type EventTime struct {
	Type string `json:"type"`
	At   string `json:"at"`
}

// times are the events, the latest first.
func (l *latest) times() (out []EventTime) {
	for i := len(l) - 1; i >= 0 && l[i] != 0; i-- {
		out = append(out, EventTime{streams.Type(l[i] & 0xff).String(), timeText(int64(l[i] >> 8))})
	}
	return out
}
