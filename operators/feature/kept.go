package feature

import (
	"fmt"
	"math"
)

// Kept is one thing that rows of a set hold since it was first asked for: a column of a tier, which features of several windows may share, or what orders
// have of their own.
type Kept struct {
	Key    string // says the same in the same words
	KeepMS int64  // for how long tiles of it are kept after their end; 0: it has none, or they are over with their end
	tier   int    // -1: of orders
}

// Kept lists what rows hold, in an order of the set.
func (s *Set) Kept() (all []Kept) {
	for i := range s.tiers {
		t := &s.tiers[i]
		for _, c := range t.cells {
			all = append(all, Kept{t.keyOf("cell", c.key), t.keepMS, i})
		}
		for _, c := range t.sketches {
			all = append(all, Kept{t.keyOf("sketch", c.key), t.keepMS, i})
		}
	}
	for _, i := range s.orders {
		all = append(all, Kept{Key: "order " + s.sources[i].key, tier: -1})
	}
	for i := range s.held {
		all = append(all, Kept{Key: s.held[i].words(), tier: -1})
	}
	return all
}

func (t *tier) keyOf(what, key string) string {
	return fmt.Sprintf("tier %d %d %s %s", t.clock, t.resMS, what, key)
}

func (h *heldColumn) words() string {
	if h.op == opSketch {
		return "held sketch " + h.key
	}
	return "held cell " + h.key
}

// Reads lists the keys of what feature i is made of.
func (s *Set) Reads(i int) (keys []string) {
	f := &s.features[i]
	t, what := &s.tiers[f.tier], "cell"
	if f.agg == aggSketch {
		what = "sketch"
	}
	for _, col := range f.cols {
		keys = append(keys, t.keyOf(what, f.columnsOf(t)[col].key))
	}
	return keys
}

// WholeSince is the beginning of the first tile that is still there, as of a time, where tiles are kept for so long after their end. Where time takes
// none away it is before all time.
func (s *Set) WholeSince(k *Kept, keptMS, nowMS int64) int64 {
	if s.Lasts(k) || s.tiers[k.tier].clock == clockSession {
		return math.MinInt64
	}
	t := &s.tiers[k.tier]
	return s.startOf(t, s.index(t, nowMS-keptMS))
}

// Lasts says whether nothing of it goes as time passes.
func (s *Set) Lasts(k *Kept) bool { return k.tier < 0 || s.tiers[k.tier].clock == clockLife }

// Covers is from when feature i covers its whole window, if what it is made of has been kept since a time; Never for one of a lifetime.
func (s *Set) Covers(i int, sinceMS int64) int64 {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	switch f.span.kind {
	case lifetime:
		return Never
	case tumbling, calendar: // the first whole tile
		first := s.index(t, sinceMS)
		if s.startOf(t, first) < sinceMS {
			first++
		}
		if f.agg == aggTrend {
			first++
		}
		return s.startOf(t, first)
	}
	return sinceMS + f.fills()
}

// Reach is how long ago the tiles of feature i may have ended that it is made of; 0 where they are those of the present time.
func (s *Set) Reach(i int) int64 { return s.features[i].reach() }

func (f *feature) reach() int64 {
	switch {
	case f.span.kind == sliding && f.agg == aggTrend:
		return 2 * f.span.sizeMS
	case f.span.kind == sliding, f.span.kind == tumbling && f.agg == aggTrend:
		return f.span.sizeMS
	case f.span.kind == calendar && f.agg == aggTrend:
		return f.days()
	}
	return 0
}

// fills is how much time passes until a feature that begins empty covers its window, and of a trend the one before it.
func (f *feature) fills() int64 {
	switch f.span.kind {
	case lifetime:
		return Never
	case sliding:
		return f.reach()
	case calendar:
		return f.days() + f.reach()
	}
	return f.span.sizeMS + f.reach()
}

// days is the length of a calendar window.
func (f *feature) days() int64 {
	const day = 24 * 3600_000
	if f.span.label == "week" {
		return 7 * day
	}
	return day
}
