package feature

import (
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Never says that a feature counts from the change on only: it has no window that time would fill.
const Never = math.MaxInt64

// Origin says what feature i finds in rows that another set has written. kept: all that it needs is there. warmMS is how much event time
// passes until it covers its whole window: 0 at once, Never for one of a lifetime.
func (s *Set) Origin(i int, old *Set) (kept bool, warmMS int64) {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	for k := range old.tiers {
		o := &old.tiers[k]
		if o.clock != t.clock || o.resMS != t.resMS {
			continue
		}
		ours, theirs := t.cells, o.cells
		if f.agg == aggSketch {
			ours, theirs = t.sketches, o.sketches
		}
		known := same(ours, theirs)
		for _, col := range f.cols {
			if known[col] < 0 {
				return false, f.fills()
			}
		}
		return true, max(0, f.reach()-o.keepMS)
	}
	return false, f.fills()
}

// Differs says in what feature i makes another value of the same columns than feature j of another set: each key with what it was and is.
func (s *Set) Differs(i int, old *Set, j int) (keys []string) {
	a, b := old.features[j].def, s.features[i].def
	note := func(key string, was, is any) {
		if !reflect.DeepEqual(was, is) {
			keys = append(keys, fmt.Sprintf("%s %v to %v", key, was, is))
		}
	}
	aggregate := func(d *Definition) string { return strings.Join(d.given(), ", ") + strings.TrimRight(" "+d.RFM, " ") }
	if was, is := aggregate(a), aggregate(b); was != is {
		keys = append(keys, was+" to "+is)
	}
	note("window", old.features[j].span.label, s.features[i].span.label)
	note("per", a.Per, b.Per)
	note("unit", a.Unit, b.Unit)
	note("k", a.K, b.K)
	note("q", a.Q, b.Q)
	note("prior", a.Prior, b.Prior)
	if !reflect.DeepEqual(a.Transform, b.Transform) {
		keys = append(keys, "transform")
	}
	return keys
}
