package models

import (
	"math"
	"testing"
)

// TestDiversity holds what candidates are worth against the formula.
func TestDiversity(t *testing.T) {
	alike := map[[2]Item]float32{{2, 1}: .5, {2, 3}: .25, {3, 1}: 1}
	asked := 0
	d := Diversity{Strength: .5, Alike: func(a, b Item) float32 { asked++; return alike[[2]Item{a, b}] }, Share: func(i Item) float64 {
		return map[Item]float64{4: .3}[i]
	}}
	for _, x := range []struct {
		item  Item
		above []Item
		want  float64
	}{
		{2, nil, 1},
		{2, []Item{1}, .75},
		{2, []Item{3}, .875},
		{2, []Item{3, 1}, .75},
		{3, []Item{1}, .5},
		{4, []Item{1}, .5}, // 1 / √(1 + 10 · .3)
	} {
		if got := d.Worth(&Standing{}, x.item, 1, x.above, 0); math.Abs(got-x.want) > 1e-6 {
			t.Errorf("item %d below %v is worth %v, want %v", x.item, x.above, got, x.want)
		}
	}
	var s Standing
	asked = 0
	for n := range 3 {
		d.Worth(&s, 2, 1, []Item{3, 1, 4}[:n], 0)
	}
	if asked != 2 {
		t.Errorf("it was held %d times against the items of a list that grew by 2", asked)
	}
	if asked = 0; d.Worth(&Standing{}, 2, 1, []Item{3, 1}, 1) > 1 || asked > 0 {
		t.Errorf("a candidate that can't be worth enough was held against %d items", asked)
	}
	if got := (&Diversity{Alike: d.Alike, Share: d.Share}).Worth(&Standing{}, 4, .7, []Item{1, 2}, 0); got != .7 {
		t.Errorf("without strength an item of .7 is worth %v", got)
	}
}

// TestMetAlike asks how much items are met together.
func TestMetAlike(t *testing.T) {
	c := NewCoOccurrence(CoOccurrenceOptions{HalfLifeMS: 1000, Neighbours: 4, Gap: 1, Backward: .5, History: 1})
	c.Learn(1, nil, 0, 1)
	c.Learn(2, []Item{1}, 0, 1)
	c.Learn(3, nil, 0, 3)
	if got := c.Alike(1, 2); got != 1 || c.Alike(2, 1) != got {
		t.Errorf("items that are met together alone: %v, the other way round %v, want 1", got, c.Alike(2, 1))
	}
	c.Learn(1, nil, 5000, 1) // 1 was met 32 times less long ago: 1/32 of its events, and 1 of 2's
	want := 1.5 / math.Sqrt(33)
	if got := float64(c.Alike(1, 2)); math.Abs(got-want) > 1e-6 || math.Abs(float64(c.Alike(2, 1))-want) > 1e-6 {
		t.Errorf("after a while: %v, the other way round %v, want %v", got, c.Alike(2, 1), want)
	}
	for _, x := range [][2]Item{{1, 3}, {1, NoItem}, {NoItem, 1}, {1, 900}} {
		if got := c.Alike(x[0], x[1]); got != 0 {
			t.Errorf("%d and %d are alike by %v, and were never met together", x[0], x[1], got)
		}
	}
}
