package closedloop

import (
	"slices"
	"testing"
	"time"

	"nudge/streams"
	"nudge/streams/simulate"
)

func shop(t *testing.T, nature string) simulate.Shop {
	t.Helper()
	s := simulate.Default().Clean()
	s.Seed, s.Shoppers, s.Items = 3, 200, 120
	var err error
	if s.Nature, err = simulate.NatureOf(nature); err != nil {
		t.Fatal(err)
	}
	return s
}

// fixed shows the same items to everybody, wherever they are.
type fixed struct{ items []streams.DecisionItem }

func (f fixed) Feed(_ *simulate.Record, e *streams.Event, decided func(*streams.Decision)) error {
	id, anonymous := who(e)
	if e.Type == streams.ProductViewed {
		decided(&streams.Decision{ID: "fixed." + e.ID + ".home.0", Kind: streams.KindRecommendation, Name: "home", Action: streams.ActionShow, User: id, Anonymous: anonymous, Items: f.items})
	}
	return nil
}

func (fixed) Close() error { return nil }

func play(t *testing.T, s simulate.Shop, days int, p func(*simulate.World) (Policy, error)) Result {
	t.Helper()
	ticks := time.Duration(0)
	clock := func() time.Duration { // between two looks at it the policy has taken one
		ticks++
		return ticks
	}
	r, err := Play(s, time.Duration(days)*24*time.Hour, clock, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Took.Learned + int64(len(r.Took.Answers)); got != r.Events || r.Took.All() != time.Duration(got) {
		t.Errorf("%d events were answered or learned in %d, of %d", got, r.Took.All(), r.Events)
	}
	return r
}

// Arrivals are the same whatever is decided, and count where they were shown.
func TestArrivals(t *testing.T) {
	s := shop(t, "seasons")
	none, best := play(t, s, 20, Nobody), play(t, s, 20, Oracle(10))
	if len(none.Arrivals) == 0 || len(none.Arrivals) != len(best.Arrivals) {
		t.Fatalf("%d arrivals where nothing is shown, %d where the best is", len(none.Arrivals), len(best.Arrivals))
	}
	first, last := s.Start.Add(5*24*time.Hour).UnixMilli(), s.Start.Add(19*24*time.Hour).UnixMilli()
	clicked := 0
	for k := range best.Arrivals {
		a, b := &none.Arrivals[k], &best.Arrivals[k]
		if a.Item != b.Item || a.fromMS != b.fromMS || a.fromMS < first || a.fromMS > last {
			t.Errorf("arrival %d is %s at %d, and %s at %d with the oracle; want the same from %d to %d", k, a.Item, a.fromMS, b.Item, b.fromMS, first, last)
		}
		if a.ClickRate() != 0 || a.Shown != 0 {
			t.Errorf("%s was shown %v times by nobody", a.Item, a.Shown)
		}
		if r := b.ClickRate(); r > 0 && r < 1 {
			clicked++
		} else if b.Shown > 0 && r != 0 {
			t.Errorf("%s: %v clicks of %v lists", b.Item, b.Clicks, b.Shown)
		}
	}
	if clicked == 0 {
		t.Error("the oracle shows no arrival to anybody who would click it")
	}
}

// An item's place counts by the chance that it is seen.
func TestPlaces(t *testing.T) {
	s := shop(t, "seasons")
	at := func(place int) Arrival {
		arrivals := play(t, s, 20, Nobody).Arrivals
		list := make([]streams.DecisionItem, 9)
		for k := range list {
			list[k].ID = "SKU-00001"
		}
		list[place-1].ID = arrivals[0].Item
		return play(t, s, 20, func(*simulate.World) (Policy, error) { return fixed{list}, nil }).Arrivals[0]
	}
	first, sixth, ninth := at(1), at(6), at(9)
	if first.Shown == 0 || ninth.Shown != 0 || ninth.ClickRate() != 0 {
		t.Errorf("at the first place shown %v times, at the ninth %v", first.Shown, ninth.Shown)
	}
	if r := sixth.Shown / first.Shown; r < .4 || r > .8 { // the sixth is seen in 3 of 5 lists; visits differ a little
		t.Errorf("at the sixth place seen %v times as often as at the first, want .6", r)
	}
}

// The oracle holds a turned taste at once, and who shows one category alone only for those who turned to it.
func TestTurnedTastes(t *testing.T) {
	s := shop(t, "turning")
	s.Shoppers = 400
	soon := func(r Result) (share float64) {
		if !slices.IsSorted(r.Turned) || len(r.Turned) < 50 {
			t.Fatalf("events until turned tastes were held: %v", r.Turned)
		}
		for _, n := range r.Turned {
			if n <= tasteEvents {
				share += 1 / float64(len(r.Turned))
			}
		}
		return share
	}
	best := play(t, s, 40, Oracle(10))
	if x := soon(best); x < .7 {
		t.Errorf("the oracle holds %v of the turned tastes within %d events: %v", x, tasteEvents, best.Turned)
	}
	if x := best.Late.Own / best.Late.Best; x < .7 || x > 1.3 {
		t.Errorf("the oracle's later lists hold %v of the best items' share", x)
	}
	none := play(t, s, 40, Nobody)
	if none.Turned[0] != Never || none.Late != (Shares{}) {
		t.Errorf("without lists a turned taste is held after %d events, later shares %v", none.Turned[0], none.Late)
	}
	one := play(t, s, 40, func(*simulate.World) (Policy, error) {
		return fixed{[]streams.DecisionItem{{ID: "SKU-00001"}}}, nil
	})
	if x := soon(one); x == 0 || x > .3 {
		t.Errorf("lists of one category hold %v of the turned tastes", x)
	}
}
