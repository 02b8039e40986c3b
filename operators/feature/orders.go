package feature

import (
	"errors"
	"math"
	"slices"

	"nudge/streams"
)

// What an order counted for is remembered with it, so that it can be taken back: counts and sums, which are subtracted again, and of everything else
// its own part (held.go).

// placed is an order that can still be taken back, and what it counted for.
type placed struct {
	id     uint64
	atMS   int64
	values []int64  // count and sum for each source of Set.orders
	held   [][]byte // for each of Set.held; none at all where it has nothing
}

const keptOrders = 8

// orders finds the sources that orders count for, and adds those that say how much of an order is left.
func (c *compiler) orders() {
	s := c.set
	s.declared = len(s.sources)
	for i, x := range s.sources {
		if x.ofOrders() {
			leaves := func(col column) bool {
				return col.source == i && (!s.shared || col.op == opCount || col.op == opSum)
			}
			if slices.ContainsFunc(s.tiers, func(t tier) bool {
				return slices.ContainsFunc(t.cells, leaves) || slices.ContainsFunc(t.sketches, leaves)
			}) {
				s.orders = append(s.orders, i)
			}
		}
	}
	if len(s.orders) == 0 {
		return
	}
	if !s.shared {
		c.hold()
	}
	hidden := func(field string) int {
		x, err := parseSource([]string{streams.OrderCompleted.String() + "." + field}, true, nil)
		if err != nil {
			panic(errors.Join(errors.New("feature: a field of orders that there is not"), err))
		}
		i := c.source(x)
		if at := slices.Index(s.orders, i); at >= 0 {
			return at
		}
		s.orders = append(s.orders, i)
		return len(s.orders) - 1
	}
	s.value, s.pieces = hidden("value"), hidden("quantity")
}

// ofOrders says whether orders may be of the source.
func (x *source) ofOrders() bool { return x.any || x.builtin&(1<<streams.OrderCompleted) != 0 }

// subtracts says whether what an order counts for in feature i can be subtracted again, from all of it or from some.
func (s *Set) subtracts(f *feature, t *tier) (all, some bool) {
	columns := f.columnsOf(t)
	all = true
	for _, col := range f.cols {
		subtracts := columns[col].op == opCount || columns[col].op == opSum
		all, some = all && subtracts, some || subtracts
	}
	return all, some
}

// KeepsOrders says whether an order that is sent back stays in feature i, or in a part of it: in rows that everybody shares it does, but for counts and
// sums.
func (s *Set) KeepsOrders(i int) bool {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	all, _ := s.subtracts(f, t)
	return s.shared && !all && slices.ContainsFunc(f.cols, func(col int) bool { return s.sources[f.columnsOf(t)[col].source].ofOrders() })
}

// counts says whether an order of these values counts for any feature.
func (s *Set) counts(values []int64) bool {
	for k, i := range s.orders {
		if i < s.declared && values[2*k] != 0 {
			return true
		}
	}
	return false
}

// OrderValues is what an order counts for in a row: what TakeBackOf subtracts. It is nil if the order counts for nothing that can be taken back.
func (s *Set) OrderValues(o *Observation) []int64 {
	if len(s.orders) == 0 || !s.measure(&s.on[o.Event.Type], o) {
		return nil
	}
	return s.measured(o)
}

func (s *Set) measured(o *Observation) []int64 {
	values := make([]int64, 0, 2*len(s.orders))
	for _, i := range s.orders {
		values = append(values, o.measures[i].n, o.measures[i].sum)
	}
	if !s.counts(values) {
		return nil
	}
	return values
}

// NumOrderValues is the length of OrderValues of a layout.
func (s *Set) NumOrderValues() int { return 2 * len(s.orders) }

// place remembers what an order counted for.
func (s *Set) place(r *Row, o *Observation) {
	id := OrderID(o.Event)
	if id == 0 {
		return
	}
	if values := s.measured(o); values != nil {
		s.insertOrder(r, placed{id, o.TimeMS, values, s.heldOf(o)})
	}
}

// insertOrder takes in what an order counted for. What is said of one order in parts adds up, so inserting is associative and commutative. Nothing of p
// may be used any more.
func (s *Set) insertOrder(r *Row, p placed) {
	at, found := slices.BinarySearchFunc(r.orders, p, func(a, b placed) int { return comparePlaced(&a, &b) })
	if found {
		into := &r.orders[at]
		AddOrderValues(into.values, p.values)
		if into.held == nil {
			into.held = p.held
		} else {
			for i := range p.held {
				into.held[i] = s.held[i].merge(into.held[i], p.held[i])
			}
		}
	} else {
		r.orders = slices.Insert(r.orders, at, p)
	}
	for i := range s.held {
		if x := &r.orders[at]; s.held[i].op == opSketch && x.values[2*s.held[i].order] > mostHeld {
			s.settle(r, x, i)
		}
	}
	for len(r.orders) > keptOrders {
		for i := range s.held {
			s.settle(r, &r.orders[0], i)
		}
		r.orders = slices.Delete(r.orders, 0, 1)
	}
}

// AddOrderValues adds what another part of an order counted for.
func AddOrderValues(into, values []int64) {
	for k, x := range values {
		into[k] = add(into[k], x)
	}
}

func comparePlaced(a, b *placed) int {
	switch {
	case a.atMS != b.atMS:
		return compareInt(a.atMS, b.atMS)
	case a.id < b.id:
		return -1
	case a.id > b.id:
		return 1
	}
	return 0
}

func compareInt(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// OrderID is the hash of an event's props.order, 0 if there is none.
func OrderID(e *streams.Event) uint64 {
	id, ok := e.Props.String("order")
	if !ok || id == "" {
		return 0
	}
	return hashText(id)
}

// Return is what a cancellation or a refund takes back of an order: all of it, or what it names.
type Return struct {
	Order    uint64
	All      bool
	HasValue bool
	Value    int64 // millionths; without HasValue what its lines cost, as far as they say
	HasLines bool
	Lines    []streams.Line // those of the row's item or category; of all other rows all
	OfLines  bool           // the row is about some lines of an order
}

// ReturnOf reads an event. A cancellation is of the whole order, a refund of its value and items; one that names neither is of the whole.
func ReturnOf(e *streams.Event) Return {
	b := Return{Order: OrderID(e), HasValue: e.HasValue, Value: e.Value, HasLines: len(e.Lines) > 0, Lines: e.Lines}
	b.All = e.Type == streams.OrderCancelled || !b.HasValue && !b.HasLines
	if !b.HasValue {
		for i := range e.Lines {
			if l := &e.Lines[i]; l.HasPrice {
				b.Value = add(b.Value, times(l.Price, int64(l.Quantity)))
			}
		}
	}
	return b
}

// times multiplies what is not negative, with saturation.
func times(a, b int64) int64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	if a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

// Pieces is the number of pieces that are sent back.
func (b *Return) Pieces() (n int64) {
	for i := range b.Lines {
		n += int64(b.Lines[i].Quantity)
	}
	return n
}

// All of an order is gone when its value is, or, of a refund without one, its pieces; of the row of an item or category when its pieces are.
func (s *Set) whole(values []int64, b *Return) bool {
	n, value, pieces := values[2*s.value], values[2*s.value+1], values[2*s.pieces+1]
	switch {
	case b.All:
		return true
	case b.HasLines && (b.OfLines || !b.HasValue || n == 0):
		return len(b.Lines) > 0 && times(b.Pieces(), streams.Micro) >= pieces
	}
	return times(b.Value, n) >= value
}

// Returned says what of an order's values is taken back, and leaves the rest in them. A part takes back value, pieces and what its lines come to, as far as
// they say a price: the order still counts as one, and what else was summed stays until all of it is gone.
func (s *Set) Returned(values []int64, b *Return, o *Observation) (back []int64, whole bool) {
	back = slices.Clone(values)
	if s.whole(values, b) {
		clear(values)
		return back, true
	}
	for k, i := range s.orders {
		x, sum := s.sources[i], int64(0)
		switch {
		case x.field == nil || values[2*k] == 0:
		case x.field.name == "value":
			sum = times(b.Value, values[2*k])
		case x.field.name == "quantity", x.field.name == "amount":
			for j := range b.Lines {
				if l := &b.Lines[j]; x.passesLine(o, l) {
					n, _ := x.field.number(o, l)
					sum = add(sum, n)
				}
			}
		}
		back[2*k], back[2*k+1] = 0, min(sum, max(values[2*k+1], 0))
		values[2*k+1] -= back[2*k+1]
	}
	return back, false
}

// passesLine says whether what the filter asks of lines holds: where and how the order was placed is not the refund's to say.
func (s *source) passesLine(o *Observation, l *streams.Line) bool {
	for i := range s.filter {
		if t := &s.filter[i]; t.field.ofLine && !t.holds(o, l) {
			return false
		}
	}
	return true
}

// TakeBack undoes what the row remembers of an order, as far as it is sent back.
func (s *Set) TakeBack(r *Row, b *Return, o *Observation) {
	if b.Order == 0 {
		return
	}
	for i := 0; i < len(r.orders); {
		p := &r.orders[i]
		if p.id != b.Order {
			i++
			continue
		}
		back, whole := s.Returned(p.values, b, o)
		s.TakeBackOf(r, p.atMS, back)
		if !whole {
			return
		}
		r.orders = slices.Delete(r.orders, i, i+1)
	}
}

// Remembers says whether an order can still be taken back.
func (r *Row) Remembers(order uint64) bool {
	return slices.ContainsFunc(r.orders, func(p placed) bool { return p.id == order })
}

// TakeBackOf subtracts values of an order from the tiles of its time, where they are kept.
func (s *Set) TakeBackOf(r *Row, atMS int64, values []int64) {
	if r.tiers == nil {
		return
	}
	for _, u := range s.on[streams.OrderCompleted].tiers {
		t, g := &s.tiers[u.tier], &r.tiers[u.tier]
		at := s.find(t, g, atMS)
		if at < 0 {
			continue
		}
		cells := g.cells[at*t.stride()+t.head():]
		for _, c := range u.cells {
			k := slices.Index(s.orders, c.source)
			switch {
			case k < 0 || 2*k+1 >= len(values):
			case c.op == opCount:
				cells[c.col] -= values[2*k]
			case c.op == opSum:
				cells[c.col] = add(cells[c.col], -values[2*k+1])
			}
		}
	}
}

// adoptValues makes values of an order out of those of another set.
func (s *Set) adoptValues(other *Set, from []int64) (values []int64) {
	for _, i := range s.orders {
		n, sum := int64(0), int64(0)
		for k, j := range other.orders {
			if other.sources[j].key == s.sources[i].key {
				n, sum = from[2*k], from[2*k+1]
			}
		}
		values = append(values, n, sum)
	}
	return values
}

// OrderCodec reads what OrderValues said in a row of another layout.
type OrderCodec struct {
	set, other *Set
}

// OrderCodec is that of values that were written under a layout.
func (s *Set) OrderCodec(layout Layout) (*OrderCodec, error) {
	if layout == s.layout {
		return &OrderCodec{s, s}, nil
	}
	other, err := parseLayout(layout)
	return &OrderCodec{s, other}, err
}

// Len is how many values there are.
func (x *OrderCodec) Len() int {
	if x.other == nil {
		return 0
	}
	return x.other.NumOrderValues()
}

// Adopt makes values of the set out of those that were written; nil if they count for nothing in it.
func (x *OrderCodec) Adopt(from []int64) []int64 {
	if x.set != x.other {
		from = x.set.adoptValues(x.other, from)
	}
	if !x.set.counts(from) {
		return nil
	}
	return from
}
