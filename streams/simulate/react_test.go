package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nudge/streams"
)

// quiet is a shop in which everybody is known by a plain id and nothing is noisy.
func quiet(truth *bytes.Buffer) Shop {
	s := Default().Clean()
	s.Shoppers, s.Items, s.OddIDShare, s.AnonymousShare, s.BotShare, s.StaffShare = 400, 120, 0, 0, 0, 0
	if truth != nil {
		s.Truth = truth
	}
	return s
}

// told is one line of the truth.
type told struct {
	Truth, User, Anon, Reason, Decision, Item string
	At                                        int64
	Items                                     []string
	Without, Seen, Click, Buy                 bool
	With10                                    bool `json:"with_10"`
	With20                                    bool `json:"with_20"`
}

// listen returns the lines of the truth since the last call.
func listen(t *testing.T, truth *bytes.Buffer) []told {
	t.Helper()
	var all []told
	for d := json.NewDecoder(truth); d.More(); {
		var one told
		if err := d.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	truth.Reset()
	return all
}

// bought is one order.
type bought struct {
	at    int64
	event *streams.Event
}

// shopping collects the orders of every user, and hands every event to see.
type shopping struct {
	t      *testing.T
	d      *streams.Decoder
	orders map[string][]bought
}

func newShopping(t *testing.T) *shopping {
	return &shopping{t, streams.NewDecoder(streams.Native), map[string][]bought{}}
}

func (s *shopping) take(r Record) *streams.Event {
	s.t.Helper()
	e := new(streams.Event)
	if f := s.d.Decode(&streams.Record{Value: r.Value}, e); f != nil {
		s.t.Fatalf("%v\n%s", f, r.Value)
	}
	if e.Type == streams.OrderCompleted {
		s.orders[e.User] = append(s.orders[e.User], bought{e.TimeMS, e})
	}
	return e
}

func itemsOf(e *streams.Event) []string {
	var ids []string
	for _, l := range e.Lines {
		ids = append(ids, l.ID)
	}
	return ids
}

// Left carts are paid for within a day as the truth says: without a coupon, and with one.
func TestCouponOutcomes(t *testing.T) {
	inWorlds(t, testCouponOutcomes, "base", "satisficing")
}

func testCouponOutcomes(t *testing.T, nature Nature) {
	for _, treated := range []bool{false, true} {
		var truth bytes.Buffer
		shop := quiet(&truth)
		shop.Nature = nature
		w := open(t, shop)
		s := newShopping(t)
		var carts []told
		var send []told
		shown, redeemed := 0, 0
		for at := w.startMS; at < w.startMS+40*dayMS; at += minuteMS {
			for {
				r, ok := w.Until(at)
				if !ok {
					break
				}
				switch e := s.take(r); e.Type {
				case streams.DecisionShown:
					shown++
				case streams.DecisionRedeemed:
					redeemed++
				}
			}
			for _, line := range listen(t, &truth) {
				if line.Truth == "abandoned" && at < w.startMS+38*dayMS {
					carts = append(carts, line)
					send = append(send, line)
				}
			}
			for len(send) > 0 && send[0].At+30*minuteMS <= at {
				c := send[0]
				send = send[1:]
				if treated {
					w.React(&streams.Decision{ID: fmt.Sprint("c.", c.User, c.At), Kind: streams.KindCoupon, Action: streams.ActionShow, User: c.User,
						Offer: &streams.Offer{ID: "ten", PercentOff: 10}}, at)
				}
			}
		}
		// A cart that was changed, or abandoned again, within the day is another story.
		last := map[string]int64{}
		wrong, paid, n := 0, 0, 0
		for i := len(carts) - 1; i >= 0; i-- {
			c := carts[i]
			if next, ok := last[c.User]; ok && next < c.At+2*dayMS {
				last[c.User] = c.At
				continue
			}
			last[c.User] = c.At
			n++
			pays := slices.ContainsFunc(s.orders[c.User], func(b bought) bool {
				return b.at > c.At && b.at < c.At+dayMS && slices.Equal(itemsOf(b.event), c.Items)
			})
			want := c.Without
			if treated && !want {
				want = c.With10
			}
			if pays {
				paid++
			}
			if pays != want {
				wrong++
			}
		}
		most := n / 25
		if nature.Choice == Satisficing { // what they do by mistake is no part of the truth
			most = n / 20
		}
		if n < 300 || wrong > most {
			t.Errorf("treated %v: %d of %d carts ended otherwise than told", treated, wrong, n)
		}
		if treated != (redeemed > 50) || shown < redeemed {
			t.Errorf("treated %v: %d shown, %d redeemed, %d paid", treated, shown, redeemed, paid)
		}
		if share := float64(paid) / float64(n); !treated && (share < 0.15 || share > 0.5) || treated && (share < 0.3 || share > 0.8) {
			t.Errorf("treated %v: %.2f of the carts were paid for", treated, share)
		}
	}
}

// Recommended items are seen, clicked and bought as the truth says, and what would have been bought in that visit without
// them is what is bought in the same world when nobody recommends anything.
func TestRecommendationOutcomes(t *testing.T) {
	inWorlds(t, testRecommendationOutcomes, "base", "satisficing")
}

func testRecommendationOutcomes(t *testing.T, nature Nature) {
	run := func(recommend bool) (*shopping, []told, map[string]*streams.Event, map[string]int) {
		var truth bytes.Buffer
		shop := quiet(&truth)
		shop.Nature = nature
		w := open(t, shop)
		for i := range w.items {
			w.items[i].stock = 1 << 30 // what one buys must not be gone for another
		}
		s := newShopping(t)
		var lines []told
		clicks := map[string]*streams.Event{}
		counts := map[string]int{}
		done := map[string]bool{}
		for {
			r, ok := w.Until(w.startMS + 30*dayMS)
			if !ok {
				break
			}
			e := s.take(r)
			counts[e.Name]++
			if e.Type == streams.DecisionClicked {
				clicks[e.Decision] = e
			}
			if e.Type != streams.PageViewed || e.TimeMS < w.startMS+20*dayMS || e.User == "" || done[e.User] || !recommend {
				continue
			}
			done[e.User] = true
			d := streams.Decision{ID: "home." + e.User, Kind: streams.KindRecommendation, Action: streams.ActionShow, User: e.User, ExpiresMS: e.TimeMS + 60_000}
			// Every other shopper gets what suits them, the rest what does not.
			type scored struct {
				id string
				u  float64
			}
			var all []scored
			for i := range w.items {
				id := string(w.items[i].appendID(nil))
				u, ok := w.Utility(e.User, id)
				if !ok {
					t.Fatalf("no utility of %s for %s", id, e.User)
				}
				all = append(all, scored{id, u})
			}
			slices.SortFunc(all, func(a, b scored) int {
				switch {
				case a.u > b.u:
					return -1
				case a.u < b.u:
					return 1
				}
				return 0
			})
			if len(done)%2 == 0 {
				slices.Reverse(all)
				d.ID += "-bad"
			}
			for _, sc := range all[:10] {
				d.Items = append(d.Items, streams.DecisionItem{ID: sc.id})
			}
			w.React(&d, r.TimeMS)
		}
		for _, l := range listen(t, &truth) {
			if l.Truth == "shown" {
				lines = append(lines, l)
			}
		}
		return s, lines, clicks, counts
	}
	control, _, _, counts := run(false)
	if counts["decision.shown"] != 0 {
		t.Fatal("decisions shown that nobody made")
	}
	treated, lines, clicks, counts := run(true)
	if counts["decision.shown"] < 150 || counts["decision.clicked"] < 50 || len(clicks) != counts["decision.clicked"] {
		t.Fatalf("too few reactions: %v", counts)
	}
	// in reports whether an item is bought within 40 minutes of a time: in the visit.
	in := func(s *shopping, l *told) bool {
		return slices.ContainsFunc(s.orders[l.User], func(b bought) bool {
			return b.at >= l.At && b.at < l.At+40*minuteMS && slices.Contains(itemsOf(b.event), l.Item)
		})
	}
	var good, bad, goodClicks, badClicks, buys, wrongBuy, wrongWithout, without int
	for i := range lines {
		l := &lines[i]
		clicked := clicks[l.Decision] != nil && clicks[l.Decision].Item() == l.Item
		if clicked && (!l.Seen || !l.Click) {
			t.Errorf("%s was clicked, and the truth says %+v", l.Item, l)
		}
		if l.Seen && l.Click && clicks[l.Decision] == nil {
			t.Errorf("nothing was clicked, and the truth says %+v", l)
		}
		if strings.HasSuffix(l.Decision, "-bad") {
			bad++
			if clicked {
				badClicks++
			}
		} else {
			good++
			if clicked {
				goodClicks++
			}
		}
		if clicked {
			if l.Buy {
				buys++
			}
			if l.Buy != in(treated, l) {
				wrongBuy++
			}
		}
		if l.Without {
			without++
		}
		if l.Without != in(control, l) {
			wrongWithout++
		}
	}
	if goodClicks < 3*badClicks || buys < 10 {
		t.Errorf("%d clicks on %d suitable items, %d on %d unsuitable ones, %d buys", goodClicks, good, badClicks, bad, buys)
	}
	if clicked := goodClicks + badClicks; wrongBuy > clicked/20 {
		t.Errorf("of %d clicked items %d were bought otherwise than told", clicked, wrongBuy)
	}
	mostWithout := without / 20
	if nature.Choice == Satisficing { // five of them, of whom a visit may last longer than what counts as it
		mostWithout = max(mostWithout, 1)
	}
	if without == 0 || wrongWithout > mostWithout {
		t.Errorf("%d items would have been bought anyway, %d were told wrongly", without, wrongWithout)
	}
	// Those who were shown nothing lived the same life.
	same, differ := 0, 0
	for user, orders := range control.orders {
		if slices.ContainsFunc(lines, func(l told) bool { return l.User == user }) {
			continue
		}
		if fmt.Sprint(times(orders)) == fmt.Sprint(times(treated.orders[user])) {
			same++
		} else {
			differ++
		}
	}
	if differ > 2 || same < 50 { // what the others bought may be sold out now
		t.Errorf("of those who were shown nothing %d ordered at the same times, %d at others", same, differ)
	}
}

func times(orders []bought) (at []int64) {
	for _, b := range orders {
		at = append(at, b.at)
	}
	return at
}

// Who has left does nothing any more, but for what an order of before brings with it.
func TestLeaversStayAway(t *testing.T) {
	var truth bytes.Buffer
	s := quiet(&truth)
	s.EraseShare = 0
	w := open(t, s)
	d := streams.NewDecoder(streams.Native)
	seen := map[string]int64{}
	for _, r := range days(t, w, 90) {
		e := new(streams.Event)
		if f := d.Decode(&streams.Record{Value: r.Value}, e); f != nil {
			t.Fatal(f)
		}
		switch e.Type {
		case streams.ReviewSubmitted, streams.OrderRefunded, streams.OrderCancelled, streams.ServiceContacted, streams.ConsentChanged:
		default:
			seen[e.User] = e.TimeMS
		}
	}
	reasons := map[string]int{}
	for _, l := range listen(t, &truth) {
		if l.Truth != "left" {
			continue
		}
		reasons[l.Reason]++
		if seen[l.User] > l.At {
			t.Errorf("%s left at %d for %s and was there at %d", l.User, l.At, l.Reason, seen[l.User])
		}
	}
	for _, why := range []string{leftMoved, leftBad, leftPrice, leftStockouts} {
		if reasons[why] == 0 {
			t.Errorf("nobody left for %s: %v", why, reasons)
		}
	}
}

// Decisions for nobody, about nothing, or too late change nothing.
func TestReactIgnores(t *testing.T) {
	plain := digest(days(t, open(t, quiet(nil)), 5))
	w := open(t, quiet(nil))
	all := days(t, w, 2)
	for _, d := range []streams.Decision{
		{},
		{Kind: streams.KindCoupon, Action: streams.ActionShow, User: "u-1", Offer: &streams.Offer{PercentOff: 90}},
		{Kind: streams.KindCoupon, Action: streams.ActionShow, User: "u-1"},
		{Kind: streams.KindCoupon, Action: streams.ActionNone, User: "u-1", Offer: &streams.Offer{PercentOff: 90}},
		{Kind: streams.KindCoupon, Action: streams.ActionShow, User: "u-1", Offer: &streams.Offer{PercentOff: 90}, ExpiresMS: 1},
		{Kind: streams.KindChurn, Action: streams.ActionShow, User: "u-1", Alert: &streams.Alert{Score: 1}},
		{Kind: streams.KindRecommendation, Action: streams.ActionShow, User: "nobody"},
		{Kind: streams.KindRecommendation, Action: streams.ActionShow, User: "a-zzz", Anonymous: true},
		{Kind: streams.KindRecommendation, Action: streams.ActionShow, User: "u-1", Items: []streams.DecisionItem{{ID: "no such"}}},
	} {
		if d.Offer == nil || d.Action != streams.ActionShow || d.ExpiresMS != 0 {
			d.ID = "some"
		}
		w.React(&d, w.NowMS())
	}
	all = append(all, days(t, w, 5)...)
	if got := digest(all); got != plain {
		t.Fatalf("digest %x, want %x", got, plain)
	}
}

// Reviews of the satisfied and the dissatisfied use other words: a reader of words alone can tell them apart.
func TestReviewsTell(t *testing.T) {
	s := quiet(nil)
	s.ReviewShare = 1
	d := streams.NewDecoder(streams.Native)
	words := map[string][2]int{}
	n := 0
	for _, r := range days(t, open(t, s), 60) {
		var e streams.Event
		if r.Topic != Reviews {
			continue
		}
		if f := d.Decode(&streams.Record{Value: r.Value}, &e); f != nil {
			t.Fatal(f)
		}
		rating, ok := e.Props.Number("rating")
		text, _ := e.Props.String("text")
		if !ok || rating == 3 {
			continue
		}
		n++
		side := 0
		if rating > 3 {
			side = 1
		}
		for _, sentence := range strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '。' }) {
			c := words[sentence]
			c[side]++
			words[sentence] = c
		}
	}
	plain, mixed := 0, 0
	for _, c := range words {
		if c[0]+c[1] >= 5 {
			if max(c[0], c[1]) > 4*min(c[0], c[1]) {
				plain++
			} else {
				mixed++
			}
		}
	}
	if n < 100 || plain < 20 || mixed == 0 {
		t.Errorf("%d rated reviews: %d sentences that tell, %d that don't", n, plain, mixed)
	}
}
