package operators

import (
	"bytes"
	"slices"
	"strconv"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// What is remembered of a customer, as FEATURES.md says: the audit takes nobody's word for it.
const (
	auditCategories = 16
	auditOrders     = 8
	auditLines      = 32
	auditCancelled  = 8
)

// past is what an audit keeps: every event as it was sent, by whom and of what it is. What customers share is kept apart until the epoch is over,
// as decisions see it.
type past struct {
	program   *Program
	customers map[*Customer]*pastCustomer
	items     map[uint64]*pastItem // by hash of the id
	all       feature.History
	watermark int64 // the least one, as of the last epoch

	noted    []*feature.Past // of this epoch
	sentBack []pastOrder     // whose own is what the shared one is to be
}

// pastCustomer is the events of one customer, of the present session, and of the categories that were met last.
type pastCustomer struct {
	events     feature.History
	lastMS     int64
	met        bool
	session    pastPart
	categories []pastPart
	orders     []pastOrder
	cancelled  map[uint64]bool // orders that were cancelled before they came, and whether that is sure
}

type pastPart struct {
	key  string
	atMS int64 // as of part
	feature.History
}

// pastOrder is an order as the customer's own features have it, and as those of what customers share do, which hear of what becomes of it when the
// epoch is over.
type pastOrder struct {
	id          uint64
	atMS        int64
	many        bool // lines
	own, shared *feature.PastOrder
}

type pastItem struct {
	feature.History
	place models.Item // in the catalogue
	lost  bool        // its place was given away, and what was known of it with it
}

func newPast(p *Program) *past {
	return &past{program: p, customers: map[*Customer]*pastCustomer{}, items: map[uint64]*pastItem{}, watermark: noWatermark}
}

func (x *past) customer(c *Customer) *pastCustomer {
	r := x.customers[c]
	if r == nil {
		r = &pastCustomer{}
		x.customers[c] = r
	}
	return r
}

// take keeps an event.
func (x *past) take(t *engine.Turn, c *Customer, o *feature.Observation) {
	e, r := t.Event, x.customer(c)
	p := feature.Keep(o)
	shared := *p
	never := false
	switch id := orderID(e); {
	case id == 0:
	case e.Type == streams.OrderCompleted:
		sure, cancelled := r.cancelled[id]
		if never = cancelled && sure && len(r.cancelled) <= auditCancelled; never {
			break
		}
		order := pastOrder{id, t.NowMS, len(e.Lines) > auditLines, &feature.PastOrder{Unsure: cancelled}, &feature.PastOrder{Unsure: cancelled}}
		r.orders = append(r.orders, order)
		p.Order, shared.Order = order.own, order.shared
	case sentBack(e):
		x.takeBack(r, id, feature.ReturnOf(e).All)
	}
	idle := int64(0)
	if r.met {
		idle = max(0, t.NowMS-r.lastMS)
	}
	if !never {
		r.events.Add(p)
	}
	if set := x.program.sets.session; set.Len() > 0 && (e.Type != streams.DecisionRequested || set.Wants(e.Type)) {
		r.session.take(p, e, t.NowMS, idle, never)
	}
	for i, name := range p.Categories {
		if never {
			break
		}
		if name = clipped(name); name != "" && x.program.sets.category.Wants(e.Type) {
			r.category(name, t.NowMS).Add(p.Of(i))
		}
	}
	if e.Type != streams.DecisionRequested {
		r.lastMS, r.met = max(r.lastMS, t.NowMS), true
	}
	if !never {
		x.noted = append(x.noted, &shared)
	}
}

// takeBack notes what becomes of an order that is sent back, all of it or a part: of the last that came it is taken back, and where none is known a
// cancellation waits for it.
func (x *past) takeBack(r *pastCustomer, id uint64, all bool) {
	known, sure := false, true
	for _, order := range r.orders {
		if order.id != id || order.own.Gone {
			continue
		}
		later := map[[2]int64]bool{}
		for _, o := range r.orders {
			if o.atMS > order.atMS || o.atMS == order.atMS && o.id > order.id {
				later[[2]int64{o.atMS, int64(o.id)}] = true
			}
		}
		switch known = true; {
		case len(later) >= auditOrders || order.many:
			order.own.Unsure, sure = true, false
		case all:
			order.own.Gone = true
		default:
			order.own.Part, sure = true, false
		}
		x.sentBack = append(x.sentBack, order)
	}
	if all && (!known || !sure) {
		if r.cancelled == nil {
			r.cancelled = map[uint64]bool{}
		}
		r.cancelled[id] = !known
	}
}

// take adds an event to the session that it is of: its own, the present one, or one that it begins. One of a session before is in none.
func (s *pastPart) take(p *feature.Past, e *streams.Event, nowMS, idleMS int64, never bool) {
	key := "~" + strconv.FormatInt(nowMS, 36)
	switch {
	case e.Session != "":
		key = clipped(e.Session)
	case s.key != "" && idleMS <= 30*60_000:
		key = s.key
	}
	switch {
	case s.key == "" || key != s.key && nowMS >= s.atMS:
		*s = pastPart{key: key, atMS: nowMS}
	case key != s.key:
		return
	}
	s.atMS = min(s.atMS, nowMS)
	if !never {
		s.Add(p)
	}
}

// category is that of a name; of more than are kept the one met longest ago makes room.
func (r *pastCustomer) category(name string, atMS int64) *pastPart {
	i := slices.IndexFunc(r.categories, func(c pastPart) bool { return c.key == name })
	if i < 0 {
		if len(r.categories) >= auditCategories {
			r.dropCategory()
		}
		i = len(r.categories)
		r.categories = append(r.categories, pastPart{key: name})
	}
	r.categories[i].atMS = max(r.categories[i].atMS, atMS)
	return &r.categories[i]
}

func (r *pastCustomer) dropCategory() {
	oldest := 0
	for k, c := range r.categories {
		if o := r.categories[oldest]; c.atMS < o.atMS || c.atMS == o.atMS && c.key < o.key {
			oldest = k
		}
	}
	r.categories = slices.Delete(r.categories, oldest, oldest+1)
}

// merge takes an anonymous customer into a known one.
func (x *past) merge(into, from *Customer) {
	from = x.original(from)
	a, o := x.customer(into), x.customer(from)
	delete(x.customers, from)
	a.events.Join(&o.events)
	if o.met {
		a.lastMS = max(a.lastMS, o.lastMS)
	}
	a.met = a.met || o.met
	a.orders = append(a.orders, o.orders...)
	for id, sure := range o.cancelled {
		if a.cancelled == nil {
			a.cancelled = map[uint64]bool{}
		}
		a.cancelled[id] = sure
	}
	for _, c := range o.categories {
		i := slices.IndexFunc(a.categories, func(y pastPart) bool { return y.key == c.key })
		if i < 0 {
			a.categories = append(a.categories, c)
			continue
		}
		a.categories[i].atMS = max(a.categories[i].atMS, c.atMS)
		a.categories[i].Join(&c.History)
	}
	for len(a.categories) > auditCategories {
		a.dropCategory()
	}
	switch s := &o.session; {
	case s.key == "":
	case s.key == a.session.key:
		a.session.atMS = min(a.session.atMS, s.atMS)
		a.session.Join(&s.History)
	case a.session.key == "" || s.atMS > a.session.atMS || s.atMS == a.session.atMS && s.key > a.session.key:
		a.session = *s
	}
}

// original is the customer that another shard has sent a copy of: the one that is written the same.
func (x *past) original(c *Customer) *Customer {
	if _, known := x.customers[c]; known {
		return c
	}
	text := c.AppendBinary(nil)
	for y := range x.customers {
		if y.firstMS == c.firstMS && y.lastMS == c.lastMS && bytes.Equal(y.AppendBinary(nil), text) {
			return y
		}
	}
	return c
}

// endEpoch gives what customers share the events of the epoch.
func (x *past) endEpoch(watermarkMS int64) {
	for _, p := range x.noted {
		x.all.Add(p)
		for i := range p.Event.Lines {
			hash := hashItem(p.Event.Lines[i].ID)
			y := x.items[hash]
			if y == nil {
				y = &pastItem{place: models.NoItem}
				x.items[hash] = y
			}
			place := x.program.catalog.find(hash)
			y.lost = y.lost || y.place != models.NoItem && y.place != place
			y.place = place
			y.Add(p.Of(i))
		}
	}
	for _, order := range x.sentBack {
		*order.shared = *order.own
	}
	x.noted, x.sentBack = x.noted[:0], x.sentBack[:0]
	x.watermark = max(x.watermark, watermarkMS)
}
