package feature

import (
	"slices"

	"nudge/streams"
)

// Estimate is what features are expected to take.
type Estimate struct {
	Features    int
	FewBytes    int     // of a row in memory after one visit
	MostBytes   int     // of one whose tiles are all filled
	Nanoseconds float64 // of the event type that costs most
	Type        string  // which that is
}

// What an event costs, from the benchmarks in doc.go: for itself, each tier it touches and each number; sketches say it themselves.
const eventNS, tierNS, cellNS = 8, 10, 1.5

// Estimate adds up what the set needs.
func (s *Set) Estimate() Estimate {
	x := Estimate{Features: len(s.features)}
	for i := range s.tiers {
		t := &s.tiers[i]
		tiles := int64(2)
		if t.clock == clockTile {
			tiles = max(1, t.keepMS/t.resMS) + 1
		}
		x.FewBytes += 48 + 8*t.stride()
		x.MostBytes += 48 + int(tiles)*8*t.stride()
		for _, k := range t.sketches {
			c := k.sketch.cost()
			x.FewBytes += 24 + c.few
			x.MostBytes += int(tiles) * (24 + c.most)
		}
	}
	if len(s.orders) > 0 {
		x.MostBytes += keptOrders * (64 + 16*len(s.orders))
	}
	for i := range s.held {
		x.MostBytes += keptOrders * s.held[i].most()
	}
	for typ := streams.PageViewed; typ < streams.NumTypes; typ++ {
		p := &s.on[typ]
		if len(p.tiers) == 0 {
			continue
		}
		ns := float64(eventNS)
		for _, u := range p.tiers {
			ns += tierNS + cellNS*float64(len(u.cells))
			for _, c := range u.sketches {
				ns += s.tiers[u.tier].sketches[c.col].sketch.cost().nanoseconds
			}
		}
		if ns > x.Nanoseconds {
			x.Nanoseconds, x.Type = ns, typ.String()
		}
	}
	return x
}

// Count has the set count from now on what its features are given; one goroutine may observe then.
func (s *Set) Count() { s.counted = make([]int64, len(s.sources)) }

// Counted says how many events feature i was given since Count: those of its types that pass its conditions. Of one of two numbers of
// events, a ratio or rate, it is both together.
func (s *Set) Counted(i int) (n int64) {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	columns := t.cells
	if f.agg == aggSketch {
		columns = t.sketches
	}
	var seen []int
	for _, col := range f.cols {
		if source := columns[col].source; !slices.Contains(seen, source) {
			seen = append(seen, source)
			n += s.counted[source]
		}
	}
	return n
}
