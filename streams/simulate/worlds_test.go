package simulate

import (
	"math"
	"testing"
)

// spread is the standard deviation of what the items are worth to a shopper, within the first category.
func spread(w *World, p *person) float64 {
	n, sum, squares := 0.0, 0.0, 0.0
	for i := range w.items {
		if it := &w.items[i]; it.cat == 0 {
			u := float64(p.appeal(it))
			n, sum, squares = n+1, sum+u, squares+u*u
		}
	}
	return math.Sqrt(max(squares/n-sum/n*sum/n, 0))
}

// TestWorlds holds each nature against what its name says.
func TestWorlds(t *testing.T) {
	names, what := Worlds()
	if len(names) != 6 || len(what) != 6 || names[0] != "base" {
		t.Fatalf("the worlds are %v", names)
	}
	made := map[string]*World{}
	for _, name := range names {
		s := small()
		var err error
		if s.Nature, err = NatureOf(name); err != nil {
			t.Fatal(err)
		}
		made[name] = open(t, s)
		days(t, made[name], 40)
	}
	alike := func(w *World) (d float64) { // how far items are from the style of their shelf and brand
		for i := range w.items {
			it := &w.items[i]
			for k, x := range it.style {
				d += math.Abs(float64(x) - 0.5*w.subStyle[it.cat][it.sub][k] - 0.3*w.brandStyle[it.brand][k])
			}
		}
		return d
	}
	base := made["base"]
	if s := spread(base, &base.people[0]); s < 0.5 {
		t.Errorf("base: items are worth nearly the same, %v apart", s)
	}
	if s := spread(made["null"], &made["null"].people[0]); s != 0 {
		t.Errorf("null: items are worth something else, %v apart", s)
	}
	if a, b := alike(made["latent"]), alike(base); a < 1.3*b {
		t.Errorf("latent: items resemble their shelf and brand as much as in base: %v, %v", a, b)
	}
	if a, b := arrivals(made["seasons"].items), arrivals(base.items); a < 3*b {
		t.Errorf("seasons: %d new items, in base %d", a, b)
	}
	turned := 0
	for i := range base.people[:base.settled] {
		if a, b := &made["turning"].people[i], &base.people[i]; a.no == b.no && a.taste != b.taste {
			turned++
		}
	}
	if turned < int(base.settled)/3 {
		t.Errorf("turning: %d of %d tastes are not those of base", turned, base.settled)
	}
	if _, err := NatureOf("moon"); err == nil {
		t.Error("there is a world moon")
	}
	s := small()
	s.Nature = Nature{Taste: -1, Hidden: 2, Seasons: 11, Arrivals: 101}
	if err := s.Validate(); err == nil {
		t.Error("a nature without sense is valid")
	}
	s = small()
	s.Nature.Choice = 9
	if err := s.Validate(); err == nil {
		t.Error("people choose by a law that there is not")
	}
}

// arrivals counts the items that came after the first catalogue.
func arrivals(items []item) (n int) {
	for i := range items {
		n += (int(items[i].no) - 1) / len(items)
	}
	return n
}
