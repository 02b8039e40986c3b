package operators

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

var smallLimits = Limits{History: 4, Cart: 3, Bought: 3}

// customers draws a customer by what happens to customers.
func customers(t *rapid.T, label string) *Customer {
	c := &Customer{}
	rapid.SliceOfN(rapid.Custom(func(t *rapid.T) int {
		now := int64(1_772_359_200_000) + rapid.Int64Range(0, 30).Draw(t, "hours")*3600_000
		hash := uint64(rapid.IntRange(1, 7).Draw(t, "item"))
		n := rapid.IntRange(0, 18).Draw(t, "what")
		c.lastMS, c.firstMS = max(c.lastMS, now), earliest(c.firstMS, now)
		switch n {
		case 0:
			c.recent = meet(c.recent, seen{hash: hash, atMS: now}, smallLimits.History)
		case 1:
			c.put(cartLine{hash: hash, atMS: now, price: int64(hash), quantity: int32(hash)}, smallLimits.Cart)
		case 2:
			c.take(hash, 2)
		case 3:
			c.addOrder(order{id: uint64(rapid.IntRange(1, 100).Draw(t, "order")), atMS: now, value: int64(hash) * 1e6, pieces: int64(hash % 3)})
			c.bought = meet(c.bought, seen{hash: hash, atMS: now}, smallLimits.Bought)
		case 4:
			m := c.mark(uint32(hash))
			m.atMS, m.n, m.alerted = now, m.n+1, hash%2 == 0
		case 5:
			c.setConsent(fmt.Sprint("purpose", hash%3), now, rapid.Bool().Draw(t, "granted"))
		case 6:
			c.setTrait(fmt.Sprint("trait", hash%3), fmt.Sprint(hash), now)
		case 7:
			c.flooded(&ignoreRule{moreThan: 200, perMS: 3600_000}, now)
		case 8:
			c.reviews++
			c.ratings += int64(hash) * 1e6
		case 10:
			c.tire(hash, now)
		case 17:
			c.addCancelled(cancellation{id: uint64(rapid.IntRange(1, 12).Draw(t, "cancelled")), atMS: now})
		case 11:
			c.refresh(hash)
		case 12:
			x := impression{id: uint64(rapid.IntRange(1, 100).Draw(t, "list")), decider: uint32(hash), atMS: now, items: []impressed{
				{hash: hash, base: -1, place: 1, features: []uint16{uint16(hash), 700}}, {hash: hash + 1, place: 2}}}
			x.see(hash, 3)
			if c.impressionOf(x.id) >= 0 {
				break // a list is of one customer, once
			}
			for c.addImpression(x) {
				c.dropImpression(0)
			}
		case 18:
			x := c.choosing()
			x.leaning[hash%9] += int32(hash) - 4
			x.daily.Turn(now)
			x.daily.Teach(0, 1)
			x.other = options{kind: models.Kind(hash % 3), atMS: now, hashes: []uint64{hash, 77}}
		case 14:
			c.searched = searched{now, []uint32{uint32(hash), 900}}
		case 13:
			f := forecast{prediction: uint32(hash), atMS: now, made: hash%2 == 0}
			if f.made {
				f.came, f.logit, f.features = now%2 == 0, -float32(hash), []uint16{0, uint16(hash), 900}
			}
			c.insertForecast(f)
		case 16:
			c.latest.note(happened(streams.Type(1+hash%5), now))
		case 15:
			taught, _, _ := c.teach(hash, uint8(1+hash%2), now)
			c.recent = meet(c.recent, seen{hash: hash, atMS: now, taught: taught}, smallLimits.History)
		case 9:
			b := feature.Return{Order: uint64(rapid.IntRange(1, 100).Draw(t, "order"))}
			if b.All = hash%2 == 0; !b.All {
				b.Value, b.HasValue = int64(hash)*3e5, true
			}
			c.takeBack(b)
		}
		return n
	}), 0, 30).Draw(t, label)
	return c
}

// noFeatures is the set of a pipeline that declares none.
var noFeatures = func() *ownSets {
	s, err := newFeatures(entityUser, nil, nil, time.UTC)
	if err != nil {
		panic(err)
	}
	x := newOwnSet(s)
	return &ownSets{x, x, x, x, x}
}()

func (c *Customer) text() string { return fmt.Sprintf("%x", c.AppendBinary(nil)) }

func clone(t *rapid.T, c *Customer) *Customer {
	d, err := decodeCustomer(c.AppendBinary(nil), noFeatures, newLayouts(""))
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return d
}

func TestCustomerRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := customers(t, "customer")
		if d := clone(t, c); d.text() != c.text() {
			t.Fatalf("%+v\nwas decoded as\n%+v", c, d)
		}
	})
}

func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := customers(t, "a"), customers(t, "b"), customers(t, "c")
		merged := func(x, y *Customer) *Customer {
			into := clone(t, x)
			into.merge(y, &smallLimits)
			return into
		}
		if got, want := merged(merged(a, b), c).text(), merged(a, merged(b, c)).text(); got != want {
			t.Fatalf("not associative:\n%s\n%s", got, want)
		}
		if got, want := merged(a, b).text(), merged(b, a).text(); got != want {
			t.Fatalf("not commutative:\n%s\n%s", got, want)
		}
		if got := merged(a, &Customer{}).text(); got != a.text() {
			t.Fatalf("the empty customer changes another:\n%s\n%s", got, a.text())
		}
		if got := merged(&Customer{}, a).text(); got != a.text() {
			t.Fatalf("the empty customer does not become the other:\n%s\n%s", got, a.text())
		}
		all := merged(merged(a, b), c)
		if len(all.recent) > smallLimits.History || len(all.cart) > smallLimits.Cart || len(all.bought) > smallLimits.Bought || len(all.orders) > keptOrders || len(all.cancelled) > keptCancelled || len(all.impressions) > keptImpressions || len(all.tired) > keptTired || len(all.forecasts) > keptForecasts {
			t.Fatalf("not bounded: %+v", all)
		}
	})
}

// Orders within half a day of one that counts are one purchase with it. That holds of those that are left where some are taken back while they are remembered,
// however many came before; and where they were split among parts that are merged in whatever order, of as many as are remembered.
func TestOrdersThatAreOnePurchase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, now := rapid.IntRange(1, 3*keptOrders).Draw(t, "orders"), int64(1_772_359_200_000)
		var told []order
		var whole Customer
		parts := make([]Customer, 3)
		of := map[uint64]int{}
		for i := range n {
			now += rapid.Int64Range(1, 20).Draw(t, "hours") * 3600_000
			o := order{id: uint64(i + 1), atMS: now, value: 1}
			part := rapid.IntRange(0, 2).Draw(t, "part")
			of[o.id] = part
			whole.addOrder(o)
			parts[part].addOrder(o)
			told = append(told, o)
			if rapid.IntRange(0, 2).Draw(t, "cancelled") == 0 {
				k := rapid.IntRange(max(0, len(told)-keptOrders), len(told)-1).Draw(t, "which")
				b := feature.Return{Order: told[k].id, All: true}
				if slices.ContainsFunc(whole.orders, func(x order) bool { return x.id == b.Order }) {
					whole.takeBack(b)
					parts[of[b.Order]].takeBack(b)
					told = slices.Delete(told, k, k+1)
				}
			}
		}
		var want models.Purchases
		for _, o := range told {
			if want.Count == 0 {
				want = models.Purchases{Count: 1, FirstMS: o.atMS, LastMS: o.atMS}
			} else if o.atMS-want.LastMS >= models.SameOccasionMS {
				want.Count, want.LastMS = want.Count+1, o.atMS
			}
		}
		if got := whole.occasions(); got.Count != want.Count || n <= keptOrders && got != want {
			t.Fatalf("%v in one stream, want %v", got, want)
		}
		if n > keptOrders {
			return
		}
		for _, of := range rapid.Permutation([]int{1, 2}).Draw(t, "merged") {
			parts[0].merge(&parts[of], &smallLimits)
		}
		if got := parts[0].occasions(); got != want {
			t.Fatalf("%v in parts, want %v", got, want)
		}
		next := order{id: 99, atMS: now + 6*3600_000, value: 1}
		parts[0].addOrder(next)
		whole.addOrder(next)
		if got, want := parts[0].occasions(), whole.occasions(); got != want {
			t.Fatalf("after one more %v in parts, %v in one stream", got, want)
		}
	})
}

// A list holds each item once at its latest time, the latest items of all that were met: as a map would, cut to its size.
func TestMeetIsASetOfTheLatest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var list []seen
		for _, s := range rapid.SliceOf(rapid.Custom(func(t *rapid.T) seen {
			return seen{hash: rapid.Uint64Range(1, 8).Draw(t, "item"), atMS: rapid.Int64Range(1, 50).Draw(t, "at"), item: models.NoItem}
		})).Draw(t, "met") {
			before := append([]seen(nil), list...)
			list = meet(list, s, limit)
			if len(list) > limit {
				t.Fatalf("%d of at most %d", len(list), limit)
			}
			items := map[uint64]bool{}
			for i, x := range list {
				if items[x.hash] || i > 0 && list[i-1].atMS > x.atMS {
					t.Fatalf("%v and %v make %v", before, s, list)
				}
				items[x.hash] = true
			}
			if oldest := before; !items[s.hash] && (len(oldest) < limit || oldest[0].atMS < s.atMS) {
				t.Fatalf("%v and %v make %v: it was not kept", before, s, list)
			}
		}
	})
}

func FuzzDecodeCustomer(f *testing.F) {
	c := &Customer{firstMS: 1, lastMS: 1e12}
	c.recent = meet(c.recent, seen{hash: 7, atMS: 1e12}, 4)
	c.put(cartLine{hash: 9, atMS: 1e12, price: 5, quantity: 2}, 4)
	c.addOrder(order{id: 3, atMS: 1e12, value: 5})
	c.mark(4).atMS = 1e12
	c.setConsent("marketing", 1e12, true)
	c.setTrait("staff", "true", 1e12)
	c.tire(8, 1e12)
	c.addImpression(impression{id: 3, decider: 4, atMS: 1e12, seen: true, items: []impressed{{hash: 5, base: 1, place: 1, seenAt: 2, won: true, features: []uint16{3, 500}}}})
	c.insertForecast(forecast{prediction: 5, atMS: 1e12, made: true, came: true, logit: -2, features: []uint16{0, 7, 900}})
	c.searched = searched{1e12, []uint32{3, 9}}
	c.choosing().leaning[2] = -70000
	c.choosing().slate = options{kind: models.ChoiceOfSlate, atMS: 1e12, hashes: []uint64{5, 6}}
	c.teach(7, 4, 1e12)
	c.latest.note(happened(streams.ProductViewed, 1e12))
	f.Add(c.AppendBinary(nil))
	f.Add((&Customer{}).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCustomer(b, noFeatures, newLayouts(""))
		if err != nil {
			return
		}
		c.Size()
		again, err := decodeCustomer(c.AppendBinary(nil), noFeatures, newLayouts(""))
		if err != nil {
			t.Fatalf("%x was decoded, its encoding can't be: %v", b, err)
		}
		if !bytes.Equal(again.AppendBinary(nil), c.AppendBinary(nil)) {
			t.Fatalf("%x is not encoded the same twice", b)
		}
		again.merge(c, &smallLimits)
		if _, err := decodeCustomer(again.AppendBinary(nil), noFeatures, newLayouts("")); err != nil {
			t.Fatalf("%x merged with itself can't be decoded: %v", b, err)
		}
	})
}

func TestFloodsAreOfOneTime(t *testing.T) {
	rule := ignoreRule{moreThan: 2, perMS: 60_000}
	c := Customer{flood: flood{startMS: 3_600_000, n: 2}} // as a merge with a shard that is far ahead leaves it
	for ms := int64(0); ms < 600_000; ms += 100_000 {
		if c.flooded(&rule, ms) {
			t.Fatalf("an event of %d ms is counted with those of %d ms", ms, c.flood.startMS)
		}
	}
	if !c.flooded(&rule, 3_599_000) || !c.flooded(&rule, 3_601_000) {
		t.Error("one too many in a minute, and no flood")
	}
}
