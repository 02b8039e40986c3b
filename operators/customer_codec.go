package operators

import (
	"slices"

	"nudge/models"
)

// order of fields in the encoding; a section that is empty is left out.
const (
	hasFlood = 1 << iota
	hasRecent
	hasBought
	hasCart
	hasOrders
	hasPurchases
	hasReviews
	hasMarks
	hasConsents
	hasTraits
	hasMembers
	hasFeatures
	hasParts
	hasImpressions
	hasTired
	hasForecasts
	hasSearched
	hasReceipts
	hasPieces
	hasTaught
	hasLatest
	hasCancelled
	hasChooser
	allSections = 1<<iota - 1
)

const customerVersion = 1

// AppendBinary appends the canonical encoding: a version, the sections that follow, then those sections. Times are
// differences to the last activity, money is in millionths.
func (c *Customer) AppendBinary(b []byte) []byte {
	var sections uint64
	for bit, there := range [...]bool{c.flood != flood{}, len(c.recent) > 0, len(c.bought) > 0, len(c.cart) > 0, len(c.orders) > 0,
		c.purchases.Count > 0 || c.spent > 0, c.reviews > 0, len(c.marks) > 0, len(c.consents) > 0, len(c.traits) > 0, len(c.members) > 0, !c.features.Empty(), !c.parts.empty(), len(c.impressions) > 0, len(c.tired) > 0, len(c.forecasts) > 0, len(c.searched.terms) > 0, len(c.receipts) > 0,
		slices.ContainsFunc(c.orders, func(o order) bool { return o.pieces > 0 }), c.daily.Items > 0, !c.latest.empty(), len(c.cancelled) > 0, c.chooser != nil} {
		if there {
			sections |= 1 << bit
		}
	}
	w := writer{b: append(b, customerVersion), base: c.lastMS}
	w.uint(sections)
	w.int(c.lastMS)
	w.time(c.firstMS)
	if sections&hasFlood != 0 {
		w.time(c.flood.startMS)
		w.uint(uint64(c.flood.n))
	}
	if sections&hasRecent != 0 {
		w.seen(c.recent)
	}
	if sections&hasBought != 0 {
		w.seen(c.bought)
	}
	if sections&hasCart != 0 {
		w.uint(uint64(len(c.cart)))
		for _, l := range c.cart {
			w.fixed(l.hash)
			w.time(l.atMS)
			w.uint(uint64(l.price))
			w.uint(uint64(l.quantity))
		}
	}
	if sections&hasOrders != 0 {
		w.uint(uint64(len(c.orders)))
		for _, o := range c.orders {
			w.fixed(o.id)
			w.time(o.atMS)
			w.uint(uint64(o.value)<<1 | bit(o.counted))
		}
	}
	if sections&hasPurchases != 0 {
		w.uint(uint64(c.purchases.Count))
		w.time(c.purchases.FirstMS)
		w.time(c.purchases.LastMS)
		w.uint(uint64(c.spent))
	}
	if sections&hasReviews != 0 {
		w.uint(uint64(c.reviews))
		w.uint(uint64(c.ratings))
	}
	if sections&hasMarks != 0 {
		w.uint(uint64(len(c.marks)))
		for _, m := range c.marks {
			w.fixed32(m.decider)
			w.time(m.atMS)
			w.uint(uint64(m.n)<<1 | bit(m.alerted))
		}
	}
	if sections&hasConsents != 0 {
		w.uint(uint64(len(c.consents)))
		for _, x := range c.consents {
			w.text(x.purpose)
			w.time(x.atMS)
			w.uint(bit(x.granted))
		}
	}
	if sections&hasTraits != 0 {
		w.uint(uint64(len(c.traits)))
		for _, x := range c.traits {
			w.text(x.name)
			w.text(x.value)
			w.time(x.atMS)
		}
	}
	if sections&hasMembers != 0 {
		w.uint(uint64(len(c.members)))
		for _, m := range c.members {
			w.fixed32(m.key)
			w.time(m.sinceMS)
		}
	}
	if sections&hasParts != 0 {
		c.parts.append(&w, c.sets)
	}
	if sections&hasImpressions != 0 {
		c.appendImpressions(&w)
	}
	if sections&hasTired != 0 {
		c.appendTired(&w)
	}
	if sections&hasForecasts != 0 {
		c.appendForecasts(&w)
	}
	if sections&hasSearched != 0 {
		w.time(c.searched.atMS)
		w.uint(uint64(len(c.searched.terms)))
		for _, t := range c.searched.terms {
			w.fixed32(t)
		}
	}
	if sections&hasReceipts != 0 {
		c.appendReceipts(&w)
	}
	if sections&hasPieces != 0 { // of each of the orders
		for _, o := range c.orders {
			w.uint(uint64(o.pieces))
		}
	}
	if sections&hasTaught != 0 {
		c.appendTaught(&w)
	}
	if sections&hasLatest != 0 {
		c.latest.append(&w)
	}
	if sections&hasCancelled != 0 {
		c.appendCancelled(&w)
	}
	if sections&hasChooser != 0 {
		c.chooser.append(&w)
	}
	if sections&hasFeatures != 0 { // last: it takes the rest
		w.fixed(c.sets.user.layout)
		return c.sets.user.AppendBinary(w.b, &c.features)
	}
	return w.b
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// decodeCustomer is the inverse of AppendBinary. It refuses what AppendBinary never writes.
func decodeCustomer(b []byte, sets *ownSets, all *layouts) (*Customer, error) {
	r := reader{b: b}
	if v := r.byte(); v != customerVersion {
		r.failf("version %d, this build reads %d", v, customerVersion)
	}
	sections := r.uint()
	if sections > allSections {
		r.failf("unknown sections %b", sections)
	}
	c := newCustomer(sets)
	c.lastMS = r.int()
	r.base = c.lastMS
	c.firstMS = r.time()
	if sections&hasFlood != 0 {
		c.flood = flood{startMS: r.time(), n: uint32(r.limited(1<<32 - 1))}
	}
	if sections&hasRecent != 0 {
		c.recent = r.seen()
	}
	if sections&hasBought != 0 {
		c.bought = r.seen()
	}
	if sections&hasCart != 0 {
		n := r.count(11)
		c.cart = make([]cartLine, 0, n)
		for range n {
			l := cartLine{hash: r.fixed(), atMS: r.time(), price: int64(r.limited(1 << 62)), quantity: int32(r.limited(1 << 30))}
			if k := len(c.cart); k > 0 && compareLines(&c.cart[k-1], &l) >= 0 {
				r.failf("the cart is out of order")
			}
			c.cart = append(c.cart, l)
		}
	}
	if sections&hasOrders != 0 {
		n := r.count(10)
		c.orders = make([]order, 0, n)
		for range n {
			o := order{id: r.fixed(), atMS: r.time()}
			v := r.limited(1<<63 - 1)
			o.value, o.counted = int64(v>>1), v&1 == 1
			if k := len(c.orders); k > 0 && compareOrders(&c.orders[k-1], &o) >= 0 {
				r.failf("the orders are out of order")
			}
			c.orders = append(c.orders, o)
		}
	}
	if sections&hasPurchases != 0 {
		c.purchases = models.Purchases{Count: int(r.limited(1 << 40)), FirstMS: r.time(), LastMS: r.time()}
		c.spent = int64(r.limited(1 << 62))
	}
	if sections&hasReviews != 0 {
		c.reviews = uint32(r.limited(1<<32 - 1))
		c.ratings = int64(r.limited(1 << 62))
	}
	if sections&hasMarks != 0 {
		n := r.count(6)
		c.marks = make([]mark, 0, n)
		for range n {
			m := mark{decider: r.fixed32(), atMS: r.time()}
			v := r.limited(511)
			m.n, m.alerted = uint8(v>>1), v&1 == 1
			if k := len(c.marks); k > 0 && c.marks[k-1].decider >= m.decider {
				r.failf("the marks are out of order")
			}
			c.marks = append(c.marks, m)
		}
	}
	if sections&hasConsents != 0 {
		n := r.count(3)
		c.consents = make([]consent, 0, n)
		for range n {
			x := consent{purpose: r.text(), atMS: r.time(), granted: r.limited(1) == 1}
			if k := len(c.consents); k > 0 && c.consents[k-1].purpose >= x.purpose {
				r.failf("the consents are out of order")
			}
			c.consents = append(c.consents, x)
		}
	}
	if sections&hasTraits != 0 {
		n := r.count(3)
		c.traits = make([]trait, 0, n)
		for range n {
			x := trait{name: r.text(), value: r.text(), atMS: r.time()}
			if k := len(c.traits); k > 0 && c.traits[k-1].name >= x.name {
				r.failf("the traits are out of order")
			}
			c.traits = append(c.traits, x)
		}
	}
	if sections&hasMembers != 0 {
		n := r.count(5)
		c.members = make([]member, 0, n)
		for range n {
			m := member{key: r.fixed32(), sinceMS: r.time()}
			if k := len(c.members); k > 0 && c.members[k-1].key >= m.key {
				r.failf("the audiences are out of order")
			}
			c.members = append(c.members, m)
		}
	}
	if sections&hasParts != 0 {
		c.parts = r.parts(sets, all)
	}
	if sections&hasImpressions != 0 {
		c.impressions = r.impressions()
	}
	if sections&hasTired != 0 {
		c.tired = r.tired()
	}
	if sections&hasForecasts != 0 {
		c.forecasts = r.forecasts()
	}
	if sections&hasSearched != 0 {
		c.searched.atMS = r.time()
		for range r.count(4) {
			t := r.fixed32()
			if k := len(c.searched.terms); k > 0 && c.searched.terms[k-1] >= t {
				r.failf("what was searched for is out of order")
			}
			c.searched.terms = append(c.searched.terms, t)
		}
	}
	if sections&hasReceipts != 0 {
		r.receipts(c, all)
	}
	if sections&hasPieces != 0 {
		for i := range c.orders {
			c.orders[i].pieces = int64(r.limited(1 << 62))
		}
	}
	if sections&hasTaught != 0 {
		r.taught(c)
	}
	if sections&hasLatest != 0 {
		c.latest = r.latest()
	}
	if sections&hasCancelled != 0 {
		c.cancelled = r.cancelled()
	}
	if sections&hasChooser != 0 {
		c.chooser = r.chooser()
	}
	if sections&hasFeatures != 0 {
		if layout := r.layout(all); r.err == nil {
			row, err := sets.user.Decode(r.b, layout)
			if err != nil {
				r.failf("%v", err)
			}
			c.features, r.b = row, nil
		}
	}
	if len(r.b) > 0 {
		r.failf("%d bytes too many", len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

// appendTaught writes what was taught on the latest day: how many events, and of each recent item that was met on it the weight of those that counted.
func (c *Customer) appendTaught(w *writer) {
	w.int(int64(c.daily.Day))
	w.uint(uint64(c.daily.Items))
	for k := range c.recent {
		if c.ofToday(&c.recent[k]) {
			w.b = append(w.b, c.recent[k].taught)
		}
	}
}

func (r *reader) taught(c *Customer) {
	day := r.int()
	if day != int64(int32(day)) {
		r.failf("day %d", day)
	}
	c.daily = models.Daily{Day: int32(day), Items: uint16(r.limited(models.DailyItems))}
	if c.daily.Items == 0 {
		r.failf("a day on which nothing was taught")
	}
	for k := range c.recent {
		if c.ofToday(&c.recent[k]) {
			c.recent[k].taught = r.byte()
		}
	}
}

// Size estimates the bytes it takes in memory.
func (c *Customer) Size() int {
	n := 480 + c.chooser.size() + 16*cap(c.cancelled) + 24*(cap(c.recent)+cap(c.bought)) + 32*cap(c.cart) + 40*cap(c.orders) + 16*cap(c.marks) + 32*cap(c.consents) + 40*cap(c.traits) + 16*cap(c.members) + c.features.Size() + c.parts.size() + c.impressionsSize() + c.forecastsSize() + c.receiptsSize() + 4*cap(c.searched.terms)
	for i := range c.consents {
		n += len(c.consents[i].purpose)
	}
	for i := range c.traits {
		n += len(c.traits[i].value)
	}
	return n
}
