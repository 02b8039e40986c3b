package simulate

import (
	"math"
	"slices"
	"testing"

	"nudge/streams"
)

// watched plays a shop whose events somebody watches.
func watched(t *testing.T, nature string, n int) (*World, *Beliefs) {
	t.Helper()
	s := small()
	var err error
	if s.Nature, err = NatureOf(nature); err != nil {
		t.Fatal(err)
	}
	w := open(t, s)
	b := w.Believe(1)
	decoder := streams.NewDecoder(streams.Native)
	var e streams.Event
	for end := w.startMS + int64(n)*dayMS; ; {
		r, ok := w.Until(end)
		if !ok {
			return w, b
		}
		if decoder.Decode(&streams.Record{Value: r.Value}, &e) == nil {
			b.Observe(&e)
		}
	}
}

// TestBeliefs holds what is concluded of tastes against the tastes.
func TestBeliefs(t *testing.T) {
	for _, nature := range []string{"base", "satisficing"} {
		t.Run(nature, func(t *testing.T) { testBeliefs(t, nature) })
	}
}

func testBeliefs(t *testing.T, nature string) {
	w, b := watched(t, nature, 30)
	people, near, far := 0, 0.0, 0.0
	for i := range w.people[:w.settled] {
		p := &w.people[i]
		x := b.all[string(p.appendUser(nil))]
		if !p.alive || x == nil || len(x.seen) < 20 {
			continue
		}
		people++
		for c, u := range p.taste {
			mean := 0.0
			for k := range x.tastes {
				mean += x.weights[k] * float64(x.tastes[k].taste[c])
			}
			near, far = near+math.Pow(float64(u)-mean, 2), far+math.Pow(float64(u), 2)
		}
		for d, u := range p.style {
			mean := 0.0
			for k := range x.tastes {
				mean += x.weights[k] * float64(x.tastes[k].style[d])
			}
			near, far = near+math.Pow(float64(u)-mean, 2), far+math.Pow(float64(u), 2)
		}
	}
	if people < 20 || near > .9*far {
		t.Errorf("of %d shoppers' tastes %.2f of the variance is unknown after 20 observations", people, near/far)
	}
}

// TestBeliefsAreOfTheStream asks twice, and of somebody of whom there is nothing to know.
func TestBeliefsAreOfTheStream(t *testing.T) {
	w, b := watched(t, "turning", 6)
	_, again := watched(t, "turning", 6)
	for i := range w.people[:20] {
		id := string(w.people[i].appendUser(nil))
		one, two := b.Best(id, w.now, 10), again.Best(id, w.now, 10)
		if len(one) != 10 || !slices.Equal(one, two) {
			t.Errorf("%s: the best are %v, and in another run %v", id, one, two)
		}
	}
	a, b2 := b.Best("nobody", w.now, 10), b.Best("nobody else", w.now, 10)
	common := 0
	for _, i := range a {
		if slices.Contains(b2, i) {
			common++
		}
	}
	if common < 3 { // clouds are draws of the same distribution
		t.Errorf("strangers are shown %v and %v", a, b2)
	}
	for id, x := range b.all {
		sum := 0.0
		for _, w := range x.weights {
			sum += w
		}
		if math.Abs(sum-1) > 1e-9 || len(x.seen) > kept {
			t.Fatalf("%s: weights sum to %v, %d observations", id, sum, len(x.seen))
		}
	}
	if _, null := watched(t, "null", 3); len(null.Best("u-1", w.now, 10)) != 10 {
		t.Error("without tastes nothing is best")
	}
}
