package operators

import (
	"slices"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// cancellation is one whose order is not known: it may come first, because it was sent from elsewhere or was held up on its way. The order then
// counts for nothing when it comes.
type cancellation struct {
	id   uint64 // hash of props.order
	atMS int64
}

const keptCancelled = 8 // of each customer the last ones

// What is counted of what is sent back.
const (
	countedUnknownOrder = "returns/unknown_order" // its order has not come yet, or is none of those that can be taken back: nothing was
	countedBeforeOrder  = "returns/before_order"  // an order that counts for nothing, as its cancellation had come before
)

// remembersOrders says whether anything is kept of orders that can be taken back.
func (p *Program) remembersOrders() bool {
	n := 0
	for _, entity := range entities {
		n += p.set(entity).NumOrderValues()
	}
	return !p.featuresOnly || n > 0
}

// remembersOrder says whether an order of the customer can be taken back, from anything that it counts for.
func (c *Customer) remembersOrder(id uint64) bool {
	if slices.ContainsFunc(c.orders, func(o order) bool { return o.id == id }) || slices.ContainsFunc(c.receipts, func(r receipt) bool { return r.id == id }) || c.features.Remembers(id) {
		return true
	}
	return c.parts != nil && (c.parts.session.row.Remembers(id) || slices.ContainsFunc(c.parts.categories, func(x part) bool { return x.row.Remembers(id) }))
}

// meetOrder looks, before an event is taken in, whether it is an order that is known to be cancelled, or takes back one that is not known. It says
// whether the event counts as an order.
func (p *Program) meetOrder(t *engine.Turn, c *Customer) (counts bool) {
	switch e := t.Event; {
	case e.Type == streams.OrderCompleted:
		if len(c.cancelled) > 0 && c.isCancelled(orderID(e)) {
			t.Count(countedBeforeOrder)
			return false
		}
	case sentBack(e) && p.remembers && !c.remembersOrder(orderID(e)):
		t.Count(countedUnknownOrder)
		if b := feature.ReturnOf(e); b.All && b.Order != 0 {
			c.addCancelled(cancellation{b.Order, t.NowMS})
		}
	}
	return true
}

func (c *Customer) isCancelled(id uint64) bool {
	return id != 0 && slices.ContainsFunc(c.cancelled, func(x cancellation) bool { return x.id == id })
}

// addCancelled takes one in; of one order the last, and of all the last keptCancelled stay.
func (c *Customer) addCancelled(x cancellation) {
	if i := slices.IndexFunc(c.cancelled, func(y cancellation) bool { return y.id == x.id }); i >= 0 {
		if c.cancelled[i].atMS >= x.atMS {
			return
		}
		c.cancelled = slices.Delete(c.cancelled, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(c.cancelled, x, compareCancelled)
	c.cancelled = slices.Insert(grow(c.cancelled), at, x)
	if len(c.cancelled) > keptCancelled {
		c.cancelled = slices.Delete(c.cancelled, 0, 1)
	}
}

func compareCancelled(a, b cancellation) int {
	if a.atMS != b.atMS {
		return compare(a.atMS, b.atMS)
	}
	return compare(a.id, b.id)
}

// appendCancelled writes them by time.
func (c *Customer) appendCancelled(w *writer) {
	w.uint(uint64(len(c.cancelled)))
	for _, x := range c.cancelled {
		w.fixed(x.id)
		w.time(x.atMS)
	}
}

// cancelled is the inverse of appendCancelled.
func (r *reader) cancelled() (list []cancellation) {
	for range r.limited(keptCancelled) {
		x := cancellation{id: r.fixed(), atMS: r.time()}
		if k := len(list); k > 0 && compareCancelled(list[k-1], x) >= 0 || slices.ContainsFunc(list, func(y cancellation) bool { return y.id == x.id }) {
			r.failf("the cancellations are out of order")
		}
		list = append(list, x)
	}
	if len(list) == 0 {
		r.failf("no cancellation where there should be one")
	}
	return list
}
