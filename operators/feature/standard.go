package feature

import (
	"fmt"
	"math"

	"nudge/models"
)

// Standardised lists the features with a step that standardises, and a key for each under which its moments are kept: it changes with what the
// feature is, so that a changed one starts with none.
func (s *Set) Standardised() (features []int, keys []string) {
	for i := range s.features {
		f := &s.features[i]
		if k := f.standardises(); k >= 0 {
			features = append(features, i)
			steps := ""
			for _, x := range f.def.Transform[:k] {
				steps += x.text()
			}
			keys = append(keys, f.name+"\n"+s.Identity(i)+"\n"+steps)
		}
	}
	return features, keys
}

// Identity says in words what feature i is, its name and transforms aside: it stays while what the feature holds means the same.
func (s *Set) Identity(i int) string {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	columns := t.cells
	if f.agg == aggSketch {
		columns = t.sketches
	}
	text := fmt.Sprintf("%d %d %s %d %d", f.agg, f.span.kind, f.span.label, t.clock, t.resMS)
	for _, col := range f.cols {
		text += "\n" + columns[col].key
	}
	return text
}

// Moments gives feature i the moments that it is standardised by. They may change between two uses of the set, not during one.
func (s *Set) Moments(i int, m *models.Moments) { s.features[i].moments = m }

// Sample is the value of feature i before it is standardised; false if it is not known.
func (s *Set) Sample(r *Row, i int, nowMS int64) (x float64, known bool) {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	g, from, to := &noRing, 0, 0
	if r.tiers != nil {
		g = &r.tiers[f.tier]
		from, to = s.within(f, t, g, nowMS)
	}
	v := s.raw(r, f, t, g, from, to, nowMS)
	if f.agg == aggTrend {
		before, until := s.before(f, t, g, from, nowMS)
		v.Number = (v.Number + 1) / (float64(s.sum(f, t, g, before, until)) + 1)
	}
	v = transform(f, f.def.Transform[:f.standardises()], v)
	return v.Number, !math.IsNaN(v.Number)
}

// standardises is the number of the step that does, -1 for none.
func (f *feature) standardises() int {
	for i := range f.def.Transform {
		if f.def.Transform[i].Standardise {
			return i
		}
	}
	return -1
}

// text tells a step from another.
func (x *Transform) text() string {
	fill := math.NaN()
	if x.Fill != nil {
		fill = *x.Fill
	}
	return fmt.Sprintf("%v %v %v %v %q %d;", fill, x.Clip, x.Log, x.Bucket, x.OneHot, x.Hash)
}
