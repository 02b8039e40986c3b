package operators

import (
	"slices"
	"strconv"
	"strings"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// ownSet is the compiled features of one entity, and the hash of the layout of its rows.
type ownSet struct {
	*feature.Set
	layout uint64
}

func newOwnSet(s *feature.Set) ownSet {
	x := ownSet{Set: s}
	if s.Len() > 0 {
		x.layout = hashLayout(s.Layout())
	}
	return x
}

// ownSets are the features of customers and of their parts, and those of what they share, of which customers keep receipts.
type ownSets struct{ user, category, session, item, global ownSet }

// parts are the features of parts of a customer.
type parts struct {
	categories []part // by key ascending: those that the customer met last
	session    part   // the present one; no key: none
}

// part is a category or a session of one customer.
type part struct {
	key  string
	atMS int64 // of a category the last event, of a session the first
	row  feature.Row
}

const keptCategories = 16

// observeParts takes the event into the features of the customer's session and of the categories of its items.
func (p *Program) observeParts(t *engine.Turn, c *Customer, s *scratch) {
	if p.sets.session.Len()+p.sets.category.Len() == 0 {
		return
	}
	if c.parts == nil {
		c.parts = &parts{}
	}
	e, o := t.Event, &s.observation
	x := &c.parts.session
	reached := false
	if p.sets.session.Len() > 0 && (e.Type != streams.DecisionRequested || p.sets.session.Wants(e.Type)) {
		id := x.sessionOf(e, t.NowMS, s.idleMS)
		if x.key != id && (x.key == "" || t.NowMS >= x.atMS) {
			*x = part{key: strings.Clone(id), atMS: t.NowMS}
		}
		if reached = x.key == id; reached {
			x.atMS = min(x.atMS, t.NowMS)
			if o.Line = -1; !s.noOrder {
				p.sets.session.Observe(&x.row, o)
			}
		}
	}
	if p.sets.category.Wants(e.Type) && !s.noOrder {
		for i := range e.Lines {
			if name := clipped(p.Category(e.Lines[i].ID)); name != "" {
				o.Line = i
				row := &c.parts.category(name, t.NowMS).row
				if sentBack(e) {
					p.sets.category.Add(row, o)
				} else {
					p.sets.category.Observe(row, o)
				}
			}
		}
	}
	if o.Line = -1; sentBack(e) {
		p.takeBackParts(c.parts, o, reached)
	}
	p.countLate(t, o)
}

// sessionGapMS is the silence that ends a session where senders do not say which it is.
const sessionGapMS = 30 * 60_000

// sessionOf is the session of an event: its own, else the present one, or another where there is none or the customer had been silent too long.
func (x *part) sessionOf(e *streams.Event, nowMS, idleMS int64) string {
	switch {
	case e.Session != "":
		return clipped(e.Session)
	case x.key != "" && idleMS <= sessionGapMS:
		return x.key
	}
	return "~" + strconv.FormatInt(nowMS, 36)
}

// sentBack says whether an event takes back an order or a part of it.
func sentBack(e *streams.Event) bool {
	return e.Type == streams.OrderCancelled || e.Type == streams.OrderRefunded
}

// takeBackParts takes an order out of the categories that it had, whether or not the event names its items, and out of the session, unless the event
// is of it and has done so already.
func (p *Program) takeBackParts(x *parts, o *feature.Observation, reached bool) {
	b := feature.ReturnOf(o.Event)
	if !reached {
		p.sets.session.TakeBack(&x.session.row, &b, o)
	}
	b.OfLines = true
	for i := range x.categories {
		c := &x.categories[i]
		b.Lines = linesOf(o.Event, func(l *streams.Line) bool { return clipped(p.Category(l.ID)) == c.key })
		p.sets.category.TakeBack(&c.row, &b, o)
	}
}

// category returns a category's part, made if need be; the one that was met longest ago makes room.
func (x *parts) category(name string, atMS int64) *part {
	i, found := x.find(name)
	if !found {
		if len(x.categories) >= keptCategories {
			oldest := x.oldest()
			x.categories = slices.Delete(x.categories, oldest, oldest+1)
			if oldest < i {
				i--
			}
		}
		x.categories = slices.Insert(grow(x.categories), i, part{key: strings.Clone(name)})
	}
	c := &x.categories[i]
	c.atMS = max(c.atMS, atMS)
	return c
}

func (x *parts) find(name string) (i int, found bool) {
	return slices.BinarySearchFunc(x.categories, name, func(c part, key string) int { return compare(c.key, key) })
}

// oldest is the number of the category that was met longest ago; of the same time the first by name.
func (x *parts) oldest() int {
	oldest := 0
	for i := range x.categories {
		if x.categories[i].atMS < x.categories[oldest].atMS {
			oldest = i
		}
	}
	return oldest
}

// mergeParts takes in the parts of an anonymous customer: of categories the union, of sessions the later one.
func (p *Program) mergeParts(c, o *Customer) {
	if o.parts == nil {
		return
	}
	if c.parts == nil {
		c.parts = &parts{}
	}
	into, from := c.parts, o.parts
	for i := range from.categories {
		x := &from.categories[i]
		at, found := into.find(x.key)
		if !found {
			into.categories = slices.Insert(into.categories, at, part{key: x.key})
		}
		into.categories[at].atMS = max(into.categories[at].atMS, x.atMS)
		p.sets.category.Merge(&into.categories[at].row, &x.row, &feature.Observation{})
	}
	for len(into.categories) > keptCategories {
		oldest := into.oldest()
		into.categories = slices.Delete(into.categories, oldest, oldest+1)
	}
	a, b := &into.session, &from.session
	switch {
	case b.key == "":
	case a.key == b.key:
		a.atMS = min(a.atMS, b.atMS)
		p.sets.session.Merge(&a.row, &b.row, &feature.Observation{})
	case a.key == "" || b.atMS > a.atMS || b.atMS == a.atMS && b.key > a.key:
		*a = part{key: b.key, atMS: b.atMS}
		p.sets.session.Merge(&a.row, &b.row, &feature.Observation{})
	}
}

func (x *parts) empty() bool {
	return x == nil || len(x.categories) == 0 && x.session.key == ""
}

// append writes the parts: the categories by the layout of their rows, then the session likewise.
func (x *parts) append(w *writer, sets *ownSets) {
	w.uint(uint64(len(x.categories)))
	if len(x.categories) > 0 {
		w.fixed(sets.category.layout)
	}
	for i := range x.categories {
		x.categories[i].append(w, sets.category)
	}
	w.uint(bit(x.session.key != ""))
	if x.session.key != "" {
		w.fixed(sets.session.layout)
		x.session.append(w, sets.session)
	}
}

func (x *part) append(w *writer, set ownSet) {
	w.text(x.key)
	w.time(x.atMS)
	row := set.AppendBinary(nil, &x.row)
	w.uint(uint64(len(row)))
	w.b = append(w.b, row...)
}

// parts is the inverse of append. Of entities that the pipeline has no features of nothing is kept.
func (r *reader) parts(sets *ownSets, all *layouts) *parts {
	x := &parts{}
	if n := int(r.limited(keptCategories)); n > 0 {
		layout := r.layout(all)
		for range n {
			c := r.part(sets.category, layout)
			if k := len(x.categories); k > 0 && x.categories[k-1].key >= c.key || c.key == "" {
				r.failf("the categories are out of order")
			}
			x.categories = append(x.categories, c)
		}
		if sets.category.Len() == 0 {
			x.categories = nil
		}
	}
	if r.limited(1) == 1 {
		layout := r.layout(all)
		if x.session = r.part(sets.session, layout); x.session.key == "" {
			r.failf("a session without an id")
		}
		if sets.session.Len() == 0 {
			x.session = part{}
		}
	}
	if x.empty() {
		return nil
	}
	return x
}

func (r *reader) part(set ownSet, layout feature.Layout) part {
	x := part{key: r.text(), atMS: r.time()}
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.failf("a row of %d bytes in %d", n, len(r.b))
	}
	if r.err == nil {
		var err error
		if x.row, err = set.Decode(r.b[:n], layout); err != nil {
			r.failf("%v", err)
		} else {
			r.b = r.b[n:]
		}
	}
	return x
}

// layout reads the hash of a layout.
func (r *reader) layout(all *layouts) feature.Layout {
	x, ok := all.find(r.fixed())
	if !ok {
		r.failf("features of an unknown layout")
	}
	return x
}

// size estimates the bytes that the parts take in memory.
func (x *parts) size() int {
	if x == nil {
		return 0
	}
	n := 128 + len(x.session.key) + x.session.row.Size()
	for i := range x.categories {
		n += 72 + len(x.categories[i].key) + x.categories[i].row.Size()
	}
	return n
}

// clipped is what is kept of a text, not copied.
func clipped(s string) string {
	if len(s) <= maxText {
		return s
	}
	return clip(s)
}

var emptyRow feature.Row

// sessionRow is the row of the present session.
func (x *parts) sessionRow() *feature.Row {
	if x == nil {
		return &emptyRow
	}
	return &x.session.row
}

// categoryRow is the row of a category; an empty one if the customer has none of it.
func (x *parts) categoryRow(name string) *feature.Row {
	if x != nil {
		if i, found := x.find(clipped(name)); found {
			return &x.categories[i].row
		}
	}
	return &emptyRow
}
