package simulate

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"nudge/streams"
)

// small is a shop that is quick to run.
func small() Shop {
	s := Default()
	s.Shoppers, s.Items = 300, 120
	s.Currency = "EUR"
	return s
}

func open(t testing.TB, s Shop) *World {
	t.Helper()
	w, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// days runs a world for so many days and returns what it wrote.
func days(t testing.TB, w *World, n float64) []Record {
	t.Helper()
	var all []Record
	until := w.startMS + int64(n*dayMS)
	for {
		r, ok := w.Until(until)
		if !ok {
			break
		}
		all = append(all, r)
	}
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func digest(all []Record) uint64 {
	h := fnv.New64a()
	for _, r := range all {
		fmt.Fprintf(h, "%d|%d|%s|%s\n", r.Topic, r.TimeMS, r.Key, r.Value)
	}
	return h.Sum64()
}

func TestSameSeedSameBytes(t *testing.T) {
	inWorlds(t, testSameSeedSameBytes, "base", "satisficing")
}

func testSameSeedSameBytes(t *testing.T, nature Nature) {
	var truths [2]bytes.Buffer
	var sums [2]uint64
	for i := range sums {
		s := small()
		s.Nature = nature
		s.Truth = &truths[i]
		s.Crowds = []Crowd{{From: s.Start.Add(12 * time.Hour), PerSecond: 1}, {From: s.Start.Add(13 * time.Hour)}}
		sums[i] = digest(days(t, open(t, s), 10))
	}
	if sums[0] != sums[1] || !bytes.Equal(truths[0].Bytes(), truths[1].Bytes()) {
		t.Fatalf("two worlds of one seed differ: records %x and %x, truth equal: %v", sums[0], sums[1], bytes.Equal(truths[0].Bytes(), truths[1].Bytes()))
	}
	s := small()
	s.Nature = nature
	s.Seed++
	s.Crowds = []Crowd{{From: s.Start.Add(12 * time.Hour), PerSecond: 1}, {From: s.Start.Add(13 * time.Hour)}}
	if digest(days(t, open(t, s), 10)) == sums[0] {
		t.Fatal("another seed gave the same records")
	}
}

// However the caller paces the world, and whether the truth is written, it is the same.
func TestPaceChangesNothing(t *testing.T) {
	whole := digest(days(t, open(t, small()), 5))
	w := open(t, small())
	var parts []Record
	for at := w.startMS; at <= w.startMS+5*dayMS; at += 7 * minuteMS {
		for {
			r, ok := w.Until(min(at, w.startMS+5*dayMS))
			if !ok {
				break
			}
			parts = append(parts, r)
		}
	}
	for {
		r, ok := w.Until(w.startMS + 5*dayMS)
		if !ok {
			break
		}
		parts = append(parts, r)
	}
	if got := digest(parts); got != whole {
		t.Fatalf("paced: %d records, digest %x, want %x", len(parts), got, whole)
	}
}

// Other rates of noise leave the world as it is: the valid events are the same.
func TestNoiseLeavesTheWorld(t *testing.T) {
	valid := func(s Shop) map[string]bool {
		ids := map[string]bool{}
		var e streams.Event
		d := streams.NewDecoder(streams.Native)
		for _, r := range days(t, open(t, s), 8) {
			if d.Decode(&streams.Record{Value: r.Value}, &e) == nil && e.TimeMS < s.Start.UnixMilli()+7*dayMS {
				ids[strings.Clone(e.ID)] = true
			}
		}
		return ids
	}
	noisy, clean := valid(small()), valid(small().Clean())
	if len(noisy) != len(clean) {
		t.Fatalf("%d events with noise, %d without", len(noisy), len(clean))
	}
	for id := range clean {
		if !noisy[id] {
			t.Fatalf("event %s is missing with noise", id)
		}
	}
}

// Every record but the broken ones is a valid event, in the order of arrival, under the right key; every broken one is not.
func TestRecordsAreEvents(t *testing.T) {
	s := small()
	s.Broken, s.OddIDShare, s.StaffShare, s.BotShare = 0.02, 0.2, 0.02, 0.01
	w := open(t, s)
	all := days(t, w, 40)
	var e streams.Event
	strict := streams.NewDecoder(streams.Native)
	strict.Strict = true
	types := map[streams.Type]int{}
	ids := map[string]bool{}
	anons := map[string]bool{}
	known := map[string]bool{}
	var broken, again, outOfOrder, late int64
	last := int64(0)
	for i, r := range all {
		if r.TimeMS < last {
			t.Fatalf("record %d arrives at %d, after one at %d", i, r.TimeMS, last)
		}
		last = r.TimeMS
		fault := strict.Decode(&streams.Record{Key: r.Key, Value: r.Value, AppendMS: r.TimeMS}, &e)
		if fault == nil {
			_, fault = streams.CheckTime(&e, r.TimeMS)
		}
		if fault != nil {
			broken++
			if broken > 3*w.counts.Broken {
				t.Fatalf("record %d: %v\n%s", i, fault, r.Value)
			}
			continue
		}
		if (r.Topic == Catalog) != (e.Type == streams.ItemUpserted || e.Type == streams.ItemRemoved) ||
			(r.Topic == Reviews) != (e.Type == streams.ReviewSubmitted) {
			t.Fatalf("record %d: %s in topic %v", i, e.Name, r.Topic)
		}
		if i < s.Items && r.Topic != Catalog {
			t.Fatalf("record %d is %s: want the catalogue first", i, e.Name)
		}
		id := strings.Clone(e.ID)
		if ids[id] {
			again++
			continue
		}
		ids[id] = true
		types[e.Type]++
		switch lag := r.TimeMS - e.TimeMS; {
		case lag >= hourMS:
			late++
		case lag > 0:
			outOfOrder++
		}
		key := e.User
		if r.Topic == Catalog {
			key = e.Item()
		} else if key == "" {
			key = e.Anon
		}
		if key != string(r.Key) {
			t.Fatalf("record %d is keyed %q: want %q\n%s", i, r.Key, key, r.Value)
		}
		if e.Type == streams.UserMerged {
			known[strings.Clone(e.Anon)] = true
		} else if e.User == "" {
			anons[strings.Clone(e.Anon)] = true
		}
		if e.Type == streams.OrderCompleted {
			var sum int64
			for _, l := range e.Lines {
				sum += l.Price * int64(l.Quantity)
			}
			if sum != e.Value || sum == 0 {
				t.Fatalf("record %d: lines are worth %d, the order %d\n%s", i, sum, e.Value, r.Value)
			}
		}
	}
	c := w.Counts()
	if broken != c.Broken || c.Records != int64(len(all)) {
		t.Errorf("%d broken of %d records: counted %d of %d", broken, len(all), c.Broken, c.Records)
	}
	// What was delayed past the end has not arrived yet.
	if float64(again) < 0.95*float64(c.Duplicates) || again > c.Duplicates || outOfOrder > c.OutOfOrder || late > c.Late {
		t.Errorf("duplicates %d, out of order %d, late %d: counted %+v", again, outOfOrder, late, c)
	}
	missing := 0
	for anon := range known {
		if !anons[anon] {
			missing++ // its only event may be late
		}
	}
	if missing > len(known)/100 || len(known) < 100 {
		t.Errorf("%d of %d merged anonymous ids were never seen", missing, len(known))
	}
	for _, typ := range []streams.Type{
		streams.PageViewed, streams.ListViewed, streams.ProductClicked, streams.ProductViewed, streams.SearchPerformed, streams.ProductAdded,
		streams.ProductRemoved, streams.CartViewed, streams.CheckoutStarted, streams.OrderCompleted, streams.OrderRefunded, streams.WishlistAdded,
		streams.ReviewSubmitted, streams.ServiceContacted, streams.UserUpdated, streams.UserMerged, streams.ConsentChanged, streams.ItemUpserted, streams.ItemRemoved,
	} {
		if types[typ] == 0 {
			t.Errorf("no event of type %v", typ)
		}
	}
}

// What a visit is like and how often shoppers come: the constants that rates follow from, and shares that a shop has.
func TestShopIsPlausible(t *testing.T) {
	inWorlds(t, testShopIsPlausible, "base", "satisficing")
}

func testShopIsPlausible(t *testing.T, nature Nature) {
	s := Default().Clean()
	s.Nature = nature
	s.Shoppers = 1000
	s.OddIDShare = 0
	w := open(t, s)
	all := days(t, w, 60)
	var e streams.Event
	d := streams.NewDecoder(streams.Native)
	visits := map[string]int{}
	counts := map[streams.Type]int{}
	items := map[string]int{}
	anonymous, bytes := 0, 0
	for _, r := range all {
		if f := d.Decode(&streams.Record{Value: r.Value}, &e); f != nil {
			t.Fatalf("%v\n%s", f, r.Value)
		}
		bytes += len(r.Value)
		counts[e.Type]++
		if e.Session != "" {
			visits[strings.Clone(e.Session)]++
		}
		if e.Type == streams.PageViewed && e.User == "" {
			anonymous++
		}
		if e.Type == streams.ProductViewed {
			items[strings.Clone(e.Item())]++
		}
	}
	n := 0
	for _, v := range visits {
		n += v
	}
	between := func(what string, got, low, high float64) {
		t.Helper()
		if !(got >= low && got <= high) {
			t.Errorf("%s: %.3f, want %.3f to %.3f", what, got, low, high)
		}
	}
	between("events of a visit", float64(n)/float64(len(visits)), 7, 9)
	between("events per shopper and day", float64(len(all)-s.Items)/60/float64(s.Shoppers), eventsPerShopperDay*0.85, eventsPerShopperDay*1.15)
	between("visits begun without a login", float64(anonymous)/float64(counts[streams.PageViewed]), 0.25, 0.5)
	between("orders by added items", float64(counts[streams.OrderCompleted])/float64(counts[streams.ProductAdded]), 0.3, 0.6)
	between("reviews by orders", float64(counts[streams.ReviewSubmitted])/float64(counts[streams.OrderCompleted]), 0.5*s.ReviewShare, 1.5*s.ReviewShare)
	between("refunds by orders", float64(counts[streams.OrderRefunded])/float64(counts[streams.OrderCompleted]), 0.01, 0.12)
	between("bytes of a record", float64(bytes)/float64(len(all)), 180, 330)
	views := make([]int, 0, len(items))
	for _, v := range items {
		views = append(views, v)
	}
	slices.Sort(views)
	top, sum := 0, 0
	for i, v := range views {
		sum += v
		if i >= len(views)*9/10 {
			top += v
		}
	}
	between("views that the first tenth of the items has", float64(top)/float64(sum), 0.25, 0.7)
	between("people kept", float64(len(w.people)), float64(s.Shoppers), float64(s.Shoppers)*1.05)
}

// inWorlds runs a test in some worlds.
func inWorlds(t *testing.T, test func(*testing.T, Nature), names ...string) {
	for _, name := range names {
		nature, err := NatureOf(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { test(t, nature) })
	}
}

func TestHistory(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var truth bytes.Buffer
	s := Default().History(now, 60*24*time.Hour, 80_000, 100)
	s.Truth = &truth
	w := open(t, s)
	past := 0
	for {
		if _, ok := w.Until(now.UnixMilli()); !ok {
			break
		}
		past++
	}
	due, left := 0, 0
	for _, l := range listen(t, &truth) {
		ago := now.UnixMilli() - l.At
		if l.Truth == "abandoned" && l.User != "" && ago < 30*minuteMS && ago > 28*minuteMS {
			due++
		}
		if l.Truth == "left" && ago < 14*dayMS {
			left++
		}
	}
	if due < 25 || left < 40 {
		t.Errorf("%d known shoppers' carts fall due in the first two live minutes, %d shoppers left in the last two weeks: want 25 and 40", due, left)
	}
	live := 0
	for {
		if _, ok := w.Until(now.UnixMilli() + minuteMS); !ok {
			break
		}
		live++
	}
	if past < 60_000 || past > 105_000 {
		t.Errorf("%d records of history: want about 80,000", past)
	}
	if rate := float64(live) / 60; rate < 70 || rate > 130 {
		t.Errorf("%.1f records a second in the first live minute: want about 100", rate)
	}
}

func TestLapsedFallDueInTime(t *testing.T) {
	inWorlds(t, testLapsedFallDueInTime, "base", "satisficing")
}

func testLapsedFallDueInTime(t *testing.T, nature Nature) {
	s := small().Clean()
	s.Nature = nature
	at := s.Start.Add(50 * 24 * time.Hour)
	s.Lapsed = Lapsed{Shoppers: 40, Every: 72 * time.Hour, Silence: 10 * 24 * time.Hour, At: at, Over: 10 * time.Minute}
	var e streams.Event
	d := streams.NewDecoder(streams.Native)
	orders := map[string][]int64{}
	for _, r := range days(t, open(t, s), 60) {
		if d.Decode(&streams.Record{Value: r.Value}, &e) == nil && e.Type == streams.OrderCompleted {
			u := strings.Clone(e.User)
			orders[u] = append(orders[u], e.TimeMS)
		}
	}
	for i := range s.Lapsed.Shoppers {
		times := orders[fmt.Sprintf("u-%d", i+1)]
		if len(times) == 0 {
			continue // an odd id
		}
		due := float64(times[len(times)-1]+s.Lapsed.Silence.Milliseconds()-at.UnixMilli()) / minuteMS
		if len(times) < 12 || due < 0 || due > 40 {
			t.Errorf("u-%d: %d orders, silence due %.1f minutes after At", i+1, len(times), due)
		}
		gaps := make([]float64, 0, len(times))
		for k := 1; k < len(times); k++ {
			gaps = append(gaps, float64(times[k]-times[k-1])/hourMS)
		}
		if low, high := slices.Min(gaps), slices.Max(gaps); low < 71 || high > 73 {
			t.Errorf("u-%d: gaps of %.2f to %.2f hours, want 72", i+1, low, high)
		}
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	s := Default()
	s.Shoppers, s.Items, s.Late, s.Currency = 0, 3, math.NaN(), "Euro"
	_, err := New(s)
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"shoppers: want 1 to", "items: want 12 to", "late: want a share, 0 to 1, got NaN", "currency: want three letters"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestQueueIsOrdered(t *testing.T) {
	w := open(t, small())
	var h tasks
	for i := range 5000 {
		h.push(task{at: int64(w.rand.IntN(300)), seq: uint64(i)})
		if i%3 == 0 {
			h.pop()
		}
	}
	last := h.pop()
	for len(h) > 0 {
		next := h.pop()
		if next.before(&last) {
			t.Fatalf("%+v after %+v", next, last)
		}
		last = next
	}
}

func TestIDsLeadBack(t *testing.T) {
	s := small()
	s.OddIDShare = 0.5
	w := open(t, s)
	days(t, w, 3)
	for i := range int(w.settled) {
		p := &w.people[i]
		if got := w.personNamed(string(p.appendUser(nil)), false); got != p {
			t.Fatalf("user %s leads to %v", p.appendUser(nil), got)
		}
		if got := w.personNamed(string(p.appendAnon(nil)), true); got != p {
			t.Fatalf("anon %s leads to %v", p.appendAnon(nil), got)
		}
	}
	for i := range w.items {
		if got, ok := w.itemNamed(string(w.items[i].appendID(nil))); !ok || got != uint32(i) {
			t.Fatalf("item %s leads to %d", w.items[i].appendID(nil), got)
		}
	}
	for _, id := range []string{"", "u-", "u-0", "u-999999", "u-x", "a-", "SKU-1"} {
		if p := w.personNamed(id, false); p != nil {
			t.Errorf("%q leads to %d", id, p.no)
		}
	}
}

func ExampleWorld_Until() {
	shop := Default()
	shop.Shoppers, shop.Items = 100, 50
	world, err := New(shop)
	if err != nil {
		fmt.Println(err)
		return
	}
	counts := map[Topic]int{}
	for {
		rec, ok := world.Until(shop.Start.Add(time.Hour).UnixMilli())
		if !ok {
			break
		}
		counts[rec.Topic]++
	}
	fmt.Println("catalogue first:", counts[Catalog], "records")
	fmt.Println("somebody came:", counts[Clickstream] > 0)
	// Output:
	// catalogue first: 50 records
	// somebody came: true
}
