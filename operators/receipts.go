package operators

import (
	"slices"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// receipt is what an order counted for in the features of items and of all together. Their rows are everybody's and remember no orders; the customer
// whose order it was does, and what is sent back is noted for Learn.
type receipt struct {
	id     uint64 // hash of props.order
	atMS   int64
	global []int64       // nil: nothing
	lines  []receiptLine // by item ascending
}

type receiptLine struct {
	item   uint64 // hash of the id
	values []int64
}

const keptLines = 32 // items of an order that it can be taken back from

// returned is what Learn takes back of an order.
type returned receipt

// keepReceipt remembers what an order counts for.
func (p *Program) keepReceipt(t *engine.Turn, c *Customer, s *scratch) {
	r := receipt{id: orderID(t.Event), atMS: t.NowMS}
	if r.id == 0 {
		return
	}
	o := &s.observation
	o.Event, o.TimeMS, o.Items = t.Event, t.NowMS, p
	o.Line = -1
	r.global = p.global.set.OrderValues(o)
	if p.items.set.NumOrderValues() > 0 {
		for i := range t.Event.Lines {
			o.Line = i
			if values := p.items.set.OrderValues(o); values != nil {
				r.addLine(receiptLine{hashItem(t.Event.Lines[i].ID), values})
			}
		}
	}
	if r.global != nil || len(r.lines) > 0 {
		c.addReceipt(r)
	}
}

// addLine takes in a line; of more than keptLines items those with the least hashes stay, so that it does not matter in what order they come.
func (r *receipt) addLine(l receiptLine) {
	at, found := slices.BinarySearchFunc(r.lines, l.item, func(x receiptLine, item uint64) int { return compare(x.item, item) })
	if found {
		feature.AddOrderValues(r.lines[at].values, l.values)
		return
	}
	r.lines = slices.Insert(r.lines, at, l)
	r.lines = r.lines[:min(len(r.lines), keptLines)]
}

// addReceipt takes in a receipt, or another part of one; the last keptOrders stay.
func (c *Customer) addReceipt(r receipt) {
	at, found := slices.BinarySearchFunc(c.receipts, &r, func(a receipt, b *receipt) int { return compareReceipts(&a, b) })
	if !found {
		c.receipts = slices.Insert(grow(c.receipts), at, r)
		if len(c.receipts) > keptOrders {
			c.receipts = slices.Delete(c.receipts, 0, len(c.receipts)-keptOrders)
		}
		return
	}
	into := &c.receipts[at]
	if into.global == nil {
		into.global = r.global
	} else {
		feature.AddOrderValues(into.global, r.global)
	}
	for _, l := range r.lines {
		into.addLine(l)
	}
}

func compareReceipts(a, b *receipt) int {
	if a.atMS != b.atMS {
		return compare(a.atMS, b.atMS)
	}
	return compare(a.id, b.id)
}

// mergeReceipts takes in those of another customer.
func (c *Customer) mergeReceipts(o *Customer) {
	for _, r := range o.receipts {
		own := receipt{id: r.id, atMS: r.atMS, global: slices.Clone(r.global)}
		for _, l := range r.lines {
			own.lines = append(own.lines, receiptLine{l.item, slices.Clone(l.values)})
		}
		c.addReceipt(own)
	}
}

// takeReceipts says what a cancellation or refund takes back of the features of items and of all together, order by order; a sender may have told
// one twice.
func (p *Program) takeReceipts(t *engine.Turn, c *Customer, s *scratch) (out []returned) {
	b := feature.ReturnOf(t.Event)
	o := &s.observation
	o.Event, o.Line, o.TimeMS, o.Items = t.Event, -1, t.NowMS, p
	for i := 0; i < len(c.receipts); {
		r := &c.receipts[i]
		if r.id != b.Order || r.id == 0 {
			i++
			continue
		}
		x, left := returned{id: r.id, atMS: r.atMS}, false
		if r.global != nil {
			var whole bool
			x.global, whole = p.global.set.Returned(r.global, &b, o)
			if left = !whole; whole {
				r.global = nil
			}
		}
		kept := r.lines[:0]
		for _, l := range r.lines {
			own := b
			own.OfLines = true
			own.Lines = linesOf(t.Event, func(x *streams.Line) bool { return hashItem(x.ID) == l.item })
			back, whole := p.items.set.Returned(l.values, &own, o)
			x.lines = append(x.lines, receiptLine{l.item, back})
			if !whole {
				kept = append(kept, l)
			}
		}
		clear(r.lines[len(kept):])
		r.lines = kept
		if out = append(out, x); left || len(r.lines) > 0 {
			i++
			continue
		}
		c.receipts = slices.Delete(c.receipts, i, i+1)
	}
	return out
}

// linesOf are the lines of an event for which is holds.
func linesOf(e *streams.Event, is func(l *streams.Line) bool) (lines []streams.Line) {
	for i := range e.Lines {
		if is(&e.Lines[i]) {
			lines = append(lines, e.Lines[i])
		}
	}
	return lines
}

// takeBack subtracts what is sent back of an order from the rows of its items and of all together.
func (p *Program) takeBack(x *returned) {
	if x.global != nil {
		p.global.takeBack(0, x.atMS, x.global)
	}
	for _, l := range x.lines {
		if item := p.catalog.find(l.item); p.catalog.valid(item) {
			p.items.takeBack(item.Row(), x.atMS, l.values)
		}
	}
}

func (x *sharedFeatures) takeBack(i uint32, atMS int64, values []int64) {
	if int(i) < len(x.rows) {
		x.table.Touch(i)
		x.set.TakeBackOf(&x.rows[i], atMS, values)
	}
}

// appendReceipts writes the receipts: by the layouts of the rows that their values are of.
func (c *Customer) appendReceipts(w *writer) {
	global, item := c.sets.global.orderValues(), c.sets.item.orderValues()
	w.uint(bit(global > 0) | bit(item > 0)<<1)
	if global > 0 {
		w.fixed(c.sets.global.layout)
	}
	if item > 0 {
		w.fixed(c.sets.item.layout)
	}
	w.uint(uint64(len(c.receipts)))
	values := func(x []int64, n int) {
		for k := range n {
			if x == nil {
				w.int(0)
			} else {
				w.int(x[k])
			}
		}
	}
	for i := range c.receipts {
		r := &c.receipts[i]
		w.fixed(r.id)
		w.time(r.atMS)
		values(r.global, global)
		if item > 0 {
			w.uint(uint64(len(r.lines)))
			for _, l := range r.lines {
				w.fixed(l.item)
				values(l.values, item)
			}
		}
	}
}

// orderValues is how many values an order has in a row of the set.
func (x ownSet) orderValues() int {
	if x.Set == nil {
		return 0
	}
	return x.NumOrderValues()
}

// receipts is the inverse of appendReceipts. What the pipeline has no features for is left out.
func (r *reader) receipts(c *Customer, all *layouts) {
	which := r.limited(3)
	codec := func(there bool, set ownSet) *feature.OrderCodec {
		if !there {
			return nil
		}
		x, err := set.OrderCodec(r.layout(all))
		if err != nil {
			r.failf("%v", err)
		}
		return x
	}
	global, item := codec(which&1 != 0, c.sets.global), codec(which&2 != 0, c.sets.item)
	values := func(x *feature.OrderCodec) []int64 {
		if x == nil || r.err != nil {
			return nil
		}
		from := make([]int64, x.Len())
		for k := range from {
			from[k] = r.int()
		}
		return x.Adopt(from)
	}
	var before receipt
	for i := range r.limited(keptOrders) {
		x := receipt{id: r.fixed(), atMS: r.time()}
		if i > 0 && compareReceipts(&before, &x) >= 0 {
			r.failf("the receipts are out of order")
		}
		before = receipt{id: x.id, atMS: x.atMS}
		x.global = values(global)
		if item != nil {
			last := uint64(0)
			for k := range r.limited(keptLines) {
				l := receiptLine{item: r.fixed()}
				if k > 0 && l.item <= last {
					r.failf("the items of an order are out of order")
				}
				last = l.item
				if l.values = values(item); l.values != nil {
					x.lines = append(x.lines, l)
				}
			}
		}
		if x.global != nil || len(x.lines) > 0 {
			c.receipts = append(c.receipts, x)
		}
	}
}

// receiptsSize estimates the bytes that the receipts take in memory.
func (c *Customer) receiptsSize() int {
	n := 64 * cap(c.receipts)
	for i := range c.receipts {
		n += 8 * len(c.receipts[i].global)
		for _, l := range c.receipts[i].lines {
			n += 32 + 8*len(l.values)
		}
	}
	return n
}
