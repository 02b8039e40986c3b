package models

// Daily bounds what one customer teaches on a day, in front of every model: a robot is one customer among many. The first DailyItems events of
// a day are heard. Of those of one item
//
//	one of weight w counts while the weights that counted before come to less than SameItem·w
//
// so that views beyond the first few count for nothing, and an order after them still does. Those that don't count are no part of any sum (what is in demand, met
// together, bought together …); they are still places of their session, of which models keep the last few (measured on rsc15: without them the MRR@20 of Neighbours
// falls from .306 to .285). Days are those of UTC; an event of an earlier day than the latest is one of the latest.
type Daily struct {
	Day   int32  // since 1970, of the latest event; 0: none yet
	Items uint16 // events heard on it
}

const (
	// DailyItems is how many events of a day a customer may teach.
	DailyItems = 200
	// SameItem is how many events of one weight count for one item on a day of a customer.
	SameItem = 4
)

// DayOf is the day of a time, in days since 1970.
func DayOf(timeMS int64) int32 { return int32(timeMS / dayMS) }

// Turn begins a day, unless it is over already or has begun.
func (d *Daily) Turn(timeMS int64) {
	if day := DayOf(timeMS); day > d.Day {
		*d = Daily{Day: day}
	}
}

// Teach takes in an event, and says whether it is heard, and counts; taught is what the events of its item that counted on that day weigh.
func (d *Daily) Teach(taught, weight float32) (heard, counts bool) {
	if d.Items >= DailyItems {
		return false, false
	}
	d.Items++
	return true, taught < SameItem*weight
}

// Add takes in what the same customer taught under another name.
func (d *Daily) Add(o Daily) {
	switch {
	case o.Day > d.Day:
		*d = o
	case o.Day == d.Day:
		d.Items = min(d.Items+o.Items, DailyItems)
	}
}
