package operators

import (
	"math/bits"
	"slices"

	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// Customer is what is remembered of one customer. Every list is a set with one entry per key, of which the latest are
// kept; that is what makes merging two customers associative.
type Customer struct {
	firstMS, lastMS int64 // event times of the first and the last event; 0: none
	flood           flood
	daily           models.Daily
	latest          latest
	recent          []seen // items met, by (time, item) ascending
	bought          []seen // items bought, likewise
	cart            []cartLine
	orders          []order          // the last few, by (time, id) ascending: what a cancellation can take back
	purchases       models.Purchases // of each part that was merged as it had them: see occasions
	spent           int64            // value of all orders, millionths
	ratings         int64            // sum of the ratings given, millionths
	reviews         uint32
	marks           []mark    // by decider ascending
	consents        []consent // by purpose ascending
	traits          []trait   // by name ascending: those that the pipeline names
	features        feature.Row
	parts           *parts         // nil: nothing
	sets            *ownSets       // of the features
	members         []member       // by key ascending: the audiences that the customer belongs to
	impressions     []impression   // by (time, id) ascending
	searched        searched       // the last search
	forecasts       []forecast     // by prediction ascending
	tired           []tired        // items seen and not clicked, by (time, item) ascending
	receipts        []receipt      // by (time, id) ascending: what a cancellation takes back of features that are not the customer's own
	chooser         *chooser       // nil: nothing is known
	cancelled       []cancellation // by (time, id) ascending: those that came without their order
}

// newCustomer is one of whom nothing is known, with features of the sets.
func newCustomer(sets *ownSets) *Customer { return &Customer{sets: sets} }

// seen is an item and when it was last met. item caches its row in the catalogue; the hash is what counts.
type seen struct {
	hash uint64
	atMS int64
	item models.Item
	// taught is the weight of the events of it that counted on the day of atMS, in views. It is of use on the day of the customer's daily only.
	taught uint8
}

// searched is a search: what it asked for, as terms of items.
type searched struct {
	atMS  int64
	terms []uint32 // ascending
}

// words are those of the last search, while they say what the customer looks for.
func (x *searched) words(nowMS int64) []uint32 {
	const lookingForMS = 30 * 60_000
	if nowMS < x.atMS || nowMS-x.atMS > lookingForMS {
		return nil
	}
	return x.terms
}

type cartLine struct {
	hash     uint64
	atMS     int64
	price    int64 // millionths, as sent; 0: not sent
	quantity int32
}

type order struct {
	id      uint64 // hash of props.order
	atMS    int64
	value   int64
	pieces  int64
	counted bool // in purchases, as one of its own and not one split in two; a merge leaves it as it was, see occasions
}

// mark is what a decider remembers of a customer.
type mark struct {
	decider uint32 // hash of its name
	n       uint8  // decisions since atMS
	alerted bool
	atMS    int64 // start of the span of at_most; the last coupon; the last change of alerted
}

type flood struct {
	startMS int64
	n       uint32
}

type consent struct {
	purpose string
	atMS    int64
	granted bool
}

type trait struct {
	name, value string
	atMS        int64
}

const (
	keptOrders   = 8
	keptMarks    = 64
	keptConsents = 16
	maxText      = 64 // bytes of a trait or purpose that are kept
)

// meet puts an item at its time into a list of at most limit.
func meet(list []seen, s seen, limit int) []seen {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].hash != s.hash {
			continue
		}
		if list[i].atMS >= s.atMS {
			if list[i].atMS == s.atMS {
				list[i].taught = max(list[i].taught, s.taught)
			}
			return list
		}
		copy(list[i:], list[i+1:])
		list = list[:len(list)-1]
		break
	}
	at := len(list)
	for at > 0 && (list[at-1].atMS > s.atMS || list[at-1].atMS == s.atMS && list[at-1].hash > s.hash) {
		at--
	}
	if len(list) >= limit {
		if at == 0 {
			return list
		}
		drop := len(list) - limit + 1
		if drop > at { // the limit was lowered
			drop = at
		}
		copy(list, list[drop:at])
		list[at-drop] = s
		if drop > 1 {
			list = slices.Delete(list, at-drop+1, at)
		}
		return list
	}
	return slices.Insert(grow(list), at, s)
}

// teach takes in an event of an item, of some weight in views, and says whether it is heard, and counts; taught is the weight of what has counted
// for the item today.
func (c *Customer) teach(hash uint64, weight uint8, nowMS int64) (taught uint8, heard, counts bool) {
	c.daily.Turn(nowMS)
	var x *seen
	if at := slices.IndexFunc(c.recent, func(x seen) bool { return x.hash == hash }); at >= 0 && c.ofToday(&c.recent[at]) {
		x, taught = &c.recent[at], c.recent[at].taught
	}
	if heard, counts = c.daily.Teach(float32(taught), float32(weight)); counts {
		if taught += weight; x != nil {
			x.taught = taught
		}
	}
	return taught, heard, counts
}

// ofToday says whether what is said of an item's teaching is of the customer's latest day.
func (c *Customer) ofToday(x *seen) bool { return models.DayOf(x.atMS) == c.daily.Day }

// grow makes room for one more by little: most customers keep few of anything.
func grow[T any](list []T) []T {
	if len(list) < cap(list) {
		return list
	}
	grown := make([]T, len(list), max(2, len(list)+len(list)/2))
	copy(grown, list)
	return grown
}

// put adds a line to the cart.
func (c *Customer) put(l cartLine, limit int) {
	for i := range c.cart {
		if old := &c.cart[i]; old.hash == l.hash {
			l.quantity = int32(min(int64(old.quantity)+int64(l.quantity), 1<<30))
			l.atMS = max(l.atMS, old.atMS)
			if l.price == 0 {
				l.price = old.price
			}
			c.cart = slices.Delete(c.cart, i, i+1)
			break
		}
	}
	c.cart = insertLine(c.cart, l, limit)
}

func insertLine(cart []cartLine, l cartLine, limit int) []cartLine {
	at := len(cart)
	for at > 0 && compareLines(&cart[at-1], &l) > 0 {
		at--
	}
	cart = slices.Insert(grow(cart), at, l)
	if len(cart) > limit {
		cart = slices.Delete(cart, 0, len(cart)-limit)
	}
	return cart
}

func compareLines(a, b *cartLine) int {
	switch {
	case a.atMS != b.atMS:
		return compare(a.atMS, b.atMS)
	case a.hash != b.hash:
		return compare(a.hash, b.hash)
	case a.quantity != b.quantity:
		return compare(a.quantity, b.quantity)
	}
	return compare(a.price, b.price)
}

// take removes a quantity of an item from the cart.
func (c *Customer) take(hash uint64, quantity int32) {
	for i := range c.cart {
		if c.cart[i].hash == hash {
			if c.cart[i].quantity -= quantity; c.cart[i].quantity <= 0 {
				c.cart = slices.Delete(c.cart, i, i+1)
			}
			return
		}
	}
}

// checkOut takes what is ordered from the cart, and leaves what is not. An order that is told twice is taken once.
func (c *Customer) checkOut(e *streams.Event) {
	if id := orderID(e); id != 0 && slices.ContainsFunc(c.orders, func(o order) bool { return o.id == id }) {
		return
	}
	for i := range e.Lines {
		c.take(hashItem(e.Lines[i].ID), e.Lines[i].Quantity)
	}
}

// addOrder takes in an order and returns the time since the purchase before it, 0 if it teaches no rhythm.
func (c *Customer) addOrder(o order) (gapMS int64) {
	if slices.ContainsFunc(c.orders, func(x order) bool { return x.id == o.id }) {
		return 0 // the sender told us twice
	}
	c.settle()
	p := &c.purchases
	switch {
	case p.Count == 0:
		o.counted = true
		p.FirstMS, p.LastMS = o.atMS, o.atMS
	case o.atMS-p.LastMS >= models.SameOccasionMS:
		o.counted = true
		gapMS = o.atMS - p.LastMS
		p.LastMS = o.atMS
	case p.FirstMS-o.atMS >= models.SameOccasionMS: // came late
		o.counted = true
		p.FirstMS = o.atMS
	}
	if o.counted {
		p.Count++
	}
	c.spent = saturate(c.spent, o.value)
	if o.id != 0 { // without an id nothing can take it back
		c.orders = insertOrder(c.orders, o)
	}
	return gapMS
}

// occasions are the purchases, orders within models.SameOccasionMS of one that counts taken as one with it. What parts of a customer have counted adds up
// when they are merged, whatever the order of merging; that an order of one part and an order of another are one purchase is seen here. While all that was
// counted is remembered, the remembered orders say it as one stream would have. Beyond that what is forgotten counts as its part had it, and the orders
// from the first remembered one on that counted.
func (c *Customer) occasions() models.Purchases {
	p, _ := c.count()
	return p
}

// count is occasions, and which of the remembered orders count: a bit each.
func (c *Customer) count() (p models.Purchases, counted uint32) {
	p = c.purchases
	had := 0
	for i := range c.orders {
		had += int(bit(c.orders[i].counted))
	}
	all := had == p.Count // nothing that counts is forgotten
	begun, lastMS := all, int64(0)
	for i := range c.orders {
		o := &c.orders[i]
		begun = begun || o.counted
		if begun && (lastMS == 0 || o.atMS-lastMS >= models.SameOccasionMS) {
			counted |= 1 << i
			lastMS = o.atMS
		}
	}
	if p.Count = max(0, p.Count-had) + bits.OnesCount32(counted); p.Count == 0 {
		return models.Purchases{}, 0
	}
	if all {
		p.FirstMS = c.orders[0].atMS
	}
	if lastMS != 0 {
		p.LastMS = lastMS
	}
	return p, counted
}

// settle keeps what occasions says.
func (c *Customer) settle() {
	p, counted := c.count()
	c.purchases = p
	for i := range c.orders {
		c.orders[i].counted = counted>>i&1 == 1
	}
}

func insertOrder(orders []order, o order) []order {
	at := len(orders)
	for at > 0 && compareOrders(&orders[at-1], &o) > 0 {
		at--
	}
	orders = slices.Insert(grow(orders), at, o)
	if len(orders) > keptOrders {
		orders = slices.Delete(orders, 0, len(orders)-keptOrders)
	}
	return orders
}

func compareOrders(a, b *order) int {
	switch {
	case a.atMS != b.atMS:
		return compare(a.atMS, b.atMS)
	case a.id != b.id:
		return compare(a.id, b.id)
	case a.value != b.value:
		return compare(a.value, b.value)
	case a.counted != b.counted:
		return compare(bit(a.counted), bit(b.counted))
	}
	return compare(a.pieces, b.pieces)
}

// takeBack undoes an order that is still remembered, or what is sent back of it.
func (c *Customer) takeBack(b feature.Return) {
	for i, o := range c.orders {
		if o.id != b.Order || o.id == 0 {
			continue
		}
		if !o.whole(&b) {
			c.takeBackPart(i, &b)
			return
		}
		c.orders = slices.Delete(c.orders, i, i+1)
		c.bought = slices.DeleteFunc(c.bought, func(b seen) bool { return b.atMS == o.atMS })
		c.spent = max(0, c.spent-o.value)
		switch p := &c.purchases; {
		case !o.counted:
		case i < len(c.orders) && !c.orders[i].counted: // was one with it, and counts in its place
			c.orders[i].counted = true
		default:
			if p.Count--; o.atMS == p.LastMS {
				p.LastMS = p.FirstMS
			}
		}
		c.settle()
		return
	}
}

// whole says whether all that is left of an order is sent back: its value or, of a refund that says no value, its pieces.
func (o *order) whole(b *feature.Return) bool {
	switch {
	case b.All:
		return true
	case b.HasLines && (!b.HasValue || o.value == 0):
		return b.Pieces() >= o.pieces
	}
	return b.Value >= o.value
}

// takeBackPart takes the value and the items of a refund out of an order, which stays one.
func (c *Customer) takeBackPart(i int, b *feature.Return) {
	o := &c.orders[i]
	value := min(b.Value, o.value)
	o.value -= value
	o.pieces = max(0, o.pieces-b.Pieces())
	c.spent = max(0, c.spent-value)
	c.bought = slices.DeleteFunc(c.bought, func(x seen) bool {
		return x.atMS == o.atMS && slices.ContainsFunc(b.Lines, func(l streams.Line) bool { return hashItem(l.ID) == x.hash })
	})
}

// mark returns what a decider remembers, made if need be. The pointer holds until the next call.
func (c *Customer) mark(decider uint32) *mark {
	i, found := slices.BinarySearchFunc(c.marks, decider, func(m mark, d uint32) int { return compare(m.decider, d) })
	if !found {
		if len(c.marks) >= keptMarks { // deciders that are gone from the pipeline: the one silent for longest makes room
			oldest := 0
			for k := range c.marks {
				if c.marks[k].atMS < c.marks[oldest].atMS {
					oldest = k
				}
			}
			c.marks = slices.Delete(c.marks, oldest, oldest+1)
			if oldest < i {
				i--
			}
		}
		c.marks = slices.Insert(grow(c.marks), i, mark{decider: decider})
	}
	return &c.marks[i]
}

// marked returns what a decider remembers; nothing is made.
func (c *Customer) marked(decider uint32) mark {
	for i := range c.marks {
		if c.marks[i].decider == decider {
			return c.marks[i]
		}
	}
	return mark{decider: decider}
}

func (c *Customer) setConsent(purpose string, atMS int64, granted bool) {
	purpose = clip(purpose)
	i, found := slices.BinarySearchFunc(c.consents, purpose, func(x consent, p string) int { return compare(x.purpose, p) })
	if found {
		c.consents[i] = laterConsent(c.consents[i], consent{c.consents[i].purpose, atMS, granted})
		return
	}
	c.consents = slices.Insert(grow(c.consents), i, consent{purpose, atMS, granted})
	if len(c.consents) > keptConsents {
		c.consents = slices.DeleteFunc(c.consents, oldestOf(c.consents, func(x consent) int64 { return x.atMS }))
	}
}

// laterConsent is the one of two that holds. Of the same time a refusal goes before a grant.
func laterConsent(a, b consent) consent {
	if b.atMS > a.atMS || b.atMS == a.atMS && !b.granted {
		return b
	}
	return a
}

func (c *Customer) consented(purpose string) bool {
	for i := range c.consents {
		if c.consents[i].purpose == purpose {
			return c.consents[i].granted
		}
	}
	return false
}

// setTrait keeps a trait; names are the pipeline's own strings.
func (c *Customer) setTrait(name, value string, atMS int64) {
	i, found := slices.BinarySearchFunc(c.traits, name, func(x trait, n string) int { return compare(x.name, n) })
	t := trait{name, clip(value), atMS}
	if found {
		c.traits[i] = laterTrait(c.traits[i], t)
		return
	}
	c.traits = slices.Insert(grow(c.traits), i, t)
	if len(c.traits) > MaxTraits {
		c.traits = slices.DeleteFunc(c.traits, oldestOf(c.traits, func(x trait) int64 { return x.atMS }))
	}
}

func laterTrait(a, b trait) trait {
	if b.atMS > a.atMS || b.atMS == a.atMS && b.value > a.value {
		return b
	}
	return a
}

func (c *Customer) trait(name string) string {
	for i := range c.traits {
		if c.traits[i].name == name {
			return c.traits[i].value
		}
	}
	return ""
}

// oldestOf returns a function that is true for the first of the oldest elements only.
func oldestOf[T any](list []T, at func(T) int64) func(T) bool {
	least := at(list[0])
	for _, x := range list {
		least = min(least, at(x))
	}
	done := false
	return func(x T) bool {
		if done || at(x) != least {
			return false
		}
		done = true
		return true
	}
}

func saturate(a, b int64) int64 {
	const most = 1 << 62
	return min(a+b, most)
}

func compare[T int32 | int64 | uint32 | uint64 | string](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// micros is an amount in units of currency, for what is published.
func micros(m int64) float64 { return float64(m) / streams.Micro }

// Satisfaction is the mean of the ratings given, 1 to 5, and their number.
func (c *Customer) Satisfaction() (mean float64, reviews int) {
	if c.reviews == 0 {
		return 0, 0
	}
	return float64(c.ratings) / streams.Micro / float64(c.reviews), int(c.reviews)
}
