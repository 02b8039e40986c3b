package simulate

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"nudge/streams"
)

// TestChancesComeTrue holds the chances that items are clicked and seen against what becomes of them.
func TestChancesComeTrue(t *testing.T) {
	inWorlds(t, testChancesComeTrue, "base", "satisficing")
}

func testChancesComeTrue(t *testing.T, nature Nature) {
	var truth bytes.Buffer
	s := small()
	s.Nature = nature
	s.Truth = &truth
	w := open(t, s)
	list := &streams.Decision{Kind: streams.KindRecommendation, Name: "home", Action: streams.ActionShow}
	for k := range 10 {
		list.Items = append(list.Items, streams.DecisionItem{ID: string(w.items[7*k].appendID(nil))})
	}
	said := map[string]map[string]float64{} // chance, by decision and item
	decoder := streams.NewDecoder(streams.Native)
	var e streams.Event
	for end := w.startMS + 30*dayMS; ; {
		r, ok := w.Until(end)
		if !ok {
			break
		}
		if decoder.Decode(&streams.Record{Value: r.Value}, &e) != nil || e.Type != streams.PageViewed {
			continue
		}
		list.ID, list.User, list.Anonymous = "shop."+e.ID+".home.0", e.User, false
		if e.User == "" {
			list.User, list.Anonymous = e.Anon, true
		}
		chances := map[string]float64{}
		for _, it := range list.Items {
			chances[it.ID] = w.Clicked(list.User, list.Anonymous, it.ID)
		}
		said[list.ID] = chances
		w.React(list, r.TimeMS)
	}
	n, want, got, spread, seen := 0., 0., 0., 0., make([]float64, 10)
	for dec := json.NewDecoder(&truth); ; {
		var x struct {
			Truth, Decision, Item string
			Seen, Click           bool
		}
		if dec.Decode(&x) != nil {
			break
		}
		if x.Truth != "shown" {
			continue
		}
		p := said[x.Decision][x.Item]
		if x.Seen {
			seen[int(n)%10]++
		}
		n++
		want, spread = want+p, spread+p*(1-p)
		if x.Click {
			got++
		}
	}
	if n < 1000 || math.Abs(got-want) > 6*math.Sqrt(spread) { // the items of a list share a threshold
		t.Errorf("of %v items %v are worth a click, %.0f were said to be (sd %.0f)", n, got, want, math.Sqrt(spread))
	}
	for k, x := range seen {
		if p := x / (n / 10); math.Abs(p-Seen(k+1)) > .08 {
			t.Errorf("place %d is seen in %v of the lists, said to be in %v", k+1, p, Seen(k+1))
		}
	}
}

// TestTurn asks for what a shopper likes before and after their taste turns.
func TestTurn(t *testing.T) {
	w := open(t, small())
	p := &w.people[0]
	id := string(p.appendUser(nil))
	no, turnedMS, ok := w.Shopper(id, false)
	now, before := w.Favourites(id, false, 3)
	if !ok || no != p.no || turnedMS != 0 || len(now) != 3 || now[0] != before[0] {
		t.Fatalf("shopper %s: number %d, turned at %d, likes %v, before %v", id, no, turnedMS, now, before)
	}
	w.now += hourMS
	p.taste[now[0]] = 9
	w.turn(p)
	if _, turnedMS, _ = w.Shopper(id, false); turnedMS != w.now {
		t.Errorf("turned at %d, is said to have at %d", w.now, turnedMS)
	}
	if _, was := w.Favourites(id, false, 1); was[0] != now[0] {
		t.Errorf("liked %d before, is said to have liked %d", now[0], was[0])
	}
	if _, _, ok := w.Shopper("u-999999", false); ok {
		t.Error("a shopper who is not there is known")
	}
}
