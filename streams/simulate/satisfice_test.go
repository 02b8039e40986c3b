package simulate

import (
	"bytes"
	"math"
	"testing"

	"nudge/streams"
)

func satisficing(t *testing.T) Shop {
	t.Helper()
	s := quiet(nil)
	var err error
	if s.Nature, err = NatureOf("satisficing"); err != nil {
		t.Fatal(err)
	}
	return s
}

// Nothing makes up for a hurdle that is missed, and a list is not needed to miss it.
func TestHurdles(t *testing.T) {
	p := person{likes: likes{style: [dims]float32{1, -1}, sensitive: 1}}
	p.taste[0], p.taste[1] = 3, -3
	good := item{style: [dims]float32{2, -2}, quality: 2}
	if at := p.standing(&good); at < p.aspiration()+unasked+closer {
		t.Fatalf("an item without a fault stands at %v", at)
	}
	for what, spoil := range map[string]func(*item){
		"one side of its style": func(it *item) { it.style[1] = 2 },
		"its price":             func(it *item) { it.price = 2 },
		"its quality":           func(it *item) { it.quality = -2 },
		"its category":          func(it *item) { it.cat = 1 },
	} {
		bad := good
		spoil(&bad)
		at := p.unsought(&bad)
		for d, x := range p.style { // all else could not be better
			if p.style[d]*bad.style[d] >= 0 {
				bad.style[d] = 100 * x
			}
		}
		if bad.quality > 0 {
			bad.quality = 100
		}
		if better := p.unsought(&bad); better != at || takes(better, p.aspiration()+unasked) != mistaken {
			t.Errorf("%s is bad: it stands at %v, and at %v where all else is better", what, at, better)
		}
	}
	// A trembling hand errs as often just below the hurdle as far below.
	if takes(-1.01, -1) != takes(-9, -1) || takes(-1, -1) != takes(9, -1) {
		t.Error("how far from good enough an item is tells in how often it is taken")
	}
	eager, weary := p, p
	eager.urgent, weary.passed = true, 10
	if a := p.aspiration(); eager.aspiration() >= a || weary.aspiration() >= a {
		t.Errorf("aspirations: %v, with a need %v, after ten items %v", a, eager.aspiration(), weary.aspiration())
	}
}

// What is clicked is the first that is good enough of what is seen, so that an item below a good one is hardly ever clicked.
func TestCascade(t *testing.T) {
	for _, nature := range []string{"satisficing", "base"} {
		var truth bytes.Buffer
		s := satisficing(t)
		s.Truth = &truth
		s.Nature, _ = NatureOf(nature)
		w := open(t, s)
		list := &streams.Decision{Kind: streams.KindRecommendation, Name: "home", Action: streams.ActionShow}
		for k := range 10 {
			list.Items = append(list.Items, streams.DecisionItem{ID: string(w.items[7*k].appendID(nil))})
		}
		s2 := newShopping(t)
		clicked := map[string]string{}
		for end := w.startMS + 30*dayMS; ; {
			r, ok := w.Until(end)
			if !ok {
				break
			}
			switch e := s2.take(r); e.Type {
			case streams.PageViewed:
				list.ID, list.User = "shop."+e.ID+".home.0", e.User
				w.React(list, r.TimeMS)
			case streams.DecisionClicked:
				clicked[e.Decision] = e.Item()
			}
		}
		first := map[string]string{}
		for _, l := range listen(t, &truth) {
			if l.Truth == "shown" && l.Seen && l.Click && first[l.Decision] == "" {
				first[l.Decision] = l.Item
			}
		}
		other := 0
		for decision, item := range clicked {
			if first[decision] != item {
				other++
			}
		}
		if len(clicked) < 500 || len(clicked) != len(first) || (nature == "satisficing") != (other == 0) {
			t.Errorf("%s: of %d clicks, where %d lists hold something worth one, %d are on another than the first such item", nature, len(clicked), len(first), other)
		}
	}
}

// The chances by which beliefs weigh are those of a law: of all that may happen they sum to 1, and they are met.
func TestLikelyFirst(t *testing.T) {
	w := open(t, satisficing(t))
	p := &w.people[0]
	n, took := 0, map[int]float64{}
	o := observation{act: chose, passed: 3}
	for k := range 6 {
		o.options = append(o.options, w.items[12*k])
	}
	list := make([]uint32, 6)
	for k := range list {
		list[k] = uint32(12 * k)
	}
	w.as(p)
	for range 40_000 {
		x := *p
		x.passed, x.urgent = 3, n%2 == 0
		slot := w.takeFirst(&x, list)
		n++
		if slot < 0 {
			took[-1]++
		} else {
			took[slot/12]++
		}
	}
	sum := 0.0
	for o.chosen = -1; o.chosen < len(o.options); o.chosen++ {
		chance := p.likelyFirst(&o)
		sum += chance
		if sd := math.Sqrt(chance * (1 - chance) / float64(n)); math.Abs(took[o.chosen]/float64(n)-chance) > 5*sd {
			t.Errorf("%d is taken in %v of all cases, said to be in %v", o.chosen, took[o.chosen]/float64(n), chance)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the chances sum to %v", sum)
	}
	sum = 0
	wants := make([]float64, len(categories))
	for range n {
		wants[w.wantAny(p)]++
	}
	for c := range categories {
		chance := w.likelyWanted(&p.likes, c, straying)
		sum += chance
		if sd := math.Sqrt(chance * (1 - chance) / float64(n)); math.Abs(wants[c]/float64(n)-chance) > 5*sd {
			t.Errorf("category %d is wanted in %v of all cases, said to be in %v", c, wants[c]/float64(n), chance)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the chances of categories sum to %v", sum)
	}
}
