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

// What an event costs, from the benchmarks in doc.go: for itself, each tier it touches, each number and each sketch.
const (
	eventNS, tierNS, cellNS, sketchNS = 8, 10, 1.5, 60
	mostSketch                        = 2 << 10
	fewSketch                         = 64
)

// Estimate adds up what the set needs.
func (s *Set) Estimate() Estimate {
	x := Estimate{Features: len(s.features)}
	for i := range s.tiers {
		t := &s.tiers[i]
		tiles := int64(2)
		if t.clock == clockTile {
			tiles = max(1, t.keepMS/t.resMS) + 1
		}
		x.FewBytes += 48 + 8*t.stride() + (24+fewSketch)*len(t.sketches)
		x.MostBytes += 48 + int(tiles)*(8*t.stride()+(24+mostSketch)*len(t.sketches))
	}
	if len(s.orders) > 0 {
		x.MostBytes += keptOrders * (40 + 16*len(s.orders))
	}
	for typ := streams.PageViewed; typ < streams.NumTypes; typ++ {
		p := &s.on[typ]
		if len(p.tiers) == 0 {
			continue
		}
		ns := float64(eventNS)
		for _, u := range p.tiers {
			ns += tierNS + cellNS*float64(len(u.cells)) + sketchNS*float64(len(u.sketches))
		}
		if ns > x.Nanoseconds {
			x.Nanoseconds, x.Type = ns, typ.String()
		}
	}
	return x
}

// Types lists the event types that feature i counts; any is true for all of them.
func (s *Set) Types(i int) (types []string, any bool) {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	columns := t.cells
	if f.agg == aggSketch {
		columns = t.sketches
	}
	for _, col := range f.cols {
		x := s.sources[columns[col].source]
		any = any || x.any
		for typ := streams.PageViewed; typ < streams.Custom; typ++ {
			if x.builtin&(1<<typ) != 0 && !slices.Contains(types, typ.String()) {
				types = append(types, typ.String())
			}
		}
		for _, name := range x.custom {
			if !slices.Contains(types, name) {
				types = append(types, name)
			}
		}
	}
	return types, any
}
