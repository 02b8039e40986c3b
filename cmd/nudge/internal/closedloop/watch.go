package closedloop

import (
	"math"
	"slices"
	"strings"

	"nudge/streams"
	"nudge/streams/simulate"
)

// Arrival is an item that came into the shop after the learning days, a quarter of the run, and a day or more before its end, with what was
// made of it on its first day: the lists that hold it, each counted by the chance that its place is seen, and the clicks that
// these would earn if the item alone were seen. It is the world that knows the chances: one item's clicks of a day are too few to count.
type Arrival struct {
	Item          string
	Shown, Clicks float64
	fromMS        int64
}

// ClickRate is an arrival's clicks, whatever its places, for each time it was seen; 0 if it never was.
func (a *Arrival) ClickRate() float64 {
	if a.Shown == 0 {
		return 0
	}
	return a.Clicks / a.Shown
}

// Never stands for the events until a turned taste is held, where it is not.
const Never = math.MaxInt32

// The bounds of what is asked of a turned taste.
const (
	favourites  = 3   // categories that a taste is for
	tasteItems  = 10  // that are best by it
	tasteLists  = 3   // that are taken together: one may hold much of it by chance
	tasteShare  = 0.8 // of what the best items hold
	tasteEvents = 15  // a shopper with fewer before the taste turns again, or the run ends, says nothing
	dayMS       = 24 * 3600_000
)

// Shares are the sums, over lists, of the share of the categories that a taste has turned to, and of that among the best items.
type Shares struct{ Own, Best float64 }

// turned follows a shopper whose taste has turned after the learning days.
type turned struct {
	atMS       int64
	events     int   // of the shopper since then, but for lists that were seen
	categories []int // favourites since then, and not before
	lists      int
	own, best  [tasteLists]float64 // shares of these categories, of the last lists and of what was best when they were made
	held       int                 // the events that it took; 0: not yet
}

// watch follows arrivals and turned tastes.
type watch struct {
	world         *simulate.World
	fromMS, endMS int64 // of what counts
	arrivals      []Arrival
	place         map[string]int // among arrivals; -1: an item that does not count
	turned        map[uint32]*turned
	late          Shares
	events        []int // until a turned taste was held, by shopper
}

func newWatch(w *simulate.World, startMS, endMS int64) *watch {
	return &watch{world: w, fromMS: startMS + (endMS-startMS)/4, endMS: endMS, place: map[string]int{}, turned: map[uint32]*turned{}}
}

// who is whose event it is.
func who(e *streams.Event) (id string, anonymous bool) {
	if e.User != "" {
		return e.User, false
	}
	return e.Anon, true
}

// happened takes in an event.
func (x *watch) happened(e *streams.Event) {
	switch e.Type {
	case streams.ItemUpserted:
		if _, known := x.place[e.Item()]; known {
			return
		}
		item, place := strings.Clone(e.Item()), -1
		if e.TimeMS >= x.fromMS && e.TimeMS <= x.endMS-dayMS {
			place = len(x.arrivals)
			x.arrivals = append(x.arrivals, Arrival{Item: item, fromMS: e.TimeMS})
		}
		x.place[item] = place
	case streams.ItemRemoved, streams.DecisionShown:
	default:
		if t := x.follow(who(e)); t != nil {
			t.events++
		}
	}
}

// follow returns what is known of a shopper's turned taste, nil where it has not turned or makes no difference to what is best.
func (x *watch) follow(id string, anonymous bool) *turned {
	no, atMS, ok := x.world.Shopper(id, anonymous)
	if !ok || atMS < x.fromMS {
		return nil
	}
	t := x.turned[no]
	if t == nil || t.atMS != atMS {
		x.close(t)
		t = &turned{atMS: atMS}
		now, before := x.world.Favourites(id, anonymous, favourites)
		for _, c := range now {
			if !slices.Contains(before, c) {
				t.categories = append(t.categories, c)
			}
		}
		x.turned[no] = t
	}
	if len(t.categories) == 0 {
		return nil
	}
	return t
}

// categories are those of items, one for each that there is.
func (x *watch) categories(items []string) (all []int) {
	for _, i := range items {
		if c, ok := x.world.Category(i); ok {
			all = append(all, c)
		}
	}
	return all
}

// share is what part of items is of the categories that a taste has turned to.
func (x *watch) share(t *turned, items []string) float64 {
	n, all := 0, x.categories(items)
	for _, c := range all {
		if slices.Contains(t.categories, c) {
			n++
		}
	}
	return float64(n) / float64(max(len(all), 1))
}

// decided takes in a list, before it is seen.
func (x *watch) decided(d *streams.Decision, nowMS int64) {
	if d.Kind != streams.KindRecommendation || d.Action != streams.ActionShow || nowMS < x.fromMS {
		return
	}
	items := make([]string, len(d.Items))
	for k := range d.Items {
		items[k] = d.Items[k].ID
		if place, known := x.place[items[k]]; known && place >= 0 && nowMS < x.arrivals[place].fromMS+dayMS {
			a, seen := &x.arrivals[place], simulate.Seen(k+1)
			a.Shown += seen
			a.Clicks += float64(seen * x.world.Clicked(d.User, d.Anonymous, a.Item))
		}
	}
	t := x.follow(d.User, d.Anonymous)
	if t == nil || len(items) == 0 || t.held > 0 && t.events < tasteEvents {
		return
	}
	own, best := x.share(t, items), x.share(t, x.world.Best(d.User, d.Anonymous, tasteItems))
	if t.events >= tasteEvents {
		x.late.Own += own
		x.late.Best += best
	}
	at := t.lists % tasteLists
	t.lists++
	t.own[at], t.best[at] = own, best
	if t.held > 0 || t.lists < tasteLists {
		return
	}
	own, best = 0, 0
	for k := range tasteLists {
		own, best = own+t.own[k], best+t.best[k]
	}
	if best > 0 && own >= tasteShare*best {
		t.held = max(t.events, 1)
	}
}

// close takes in what came of a turned taste.
func (x *watch) close(t *turned) {
	switch {
	case t == nil || len(t.categories) == 0 || t.events < tasteEvents:
	case t.held == 0:
		x.events = append(x.events, Never)
	default:
		x.events = append(x.events, t.held)
	}
}

// into sets what a run says of arrivals and turned tastes.
func (x *watch) into(r *Result) {
	for _, t := range x.turned {
		x.close(t)
	}
	slices.Sort(x.events) // shoppers come in no order
	r.Arrivals, r.Turned, r.Late = x.arrivals, x.events, x.late
}
