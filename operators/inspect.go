package operators

import (
	"math"
	"strings"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// Description is what is remembered of a customer, for people.
type Description struct {
	First        string                    `json:"first,omitempty"`
	Last         string                    `json:"last,omitempty"`
	Events       []EventTime               `json:"events,omitempty"` // the last eight, the latest first
	Recent       []ItemTime                `json:"recent,omitempty"` // the latest first
	Cart         []CartItem                `json:"cart,omitempty"`
	Bought       []ItemTime                `json:"bought,omitempty"`                  // the latest first
	Orders       []OrderTime               `json:"orders,omitempty"`                  // those that can still be taken back, the latest first
	Cancelled    []string                  `json:"cancelled_without_order,omitempty"` // when orders were cancelled that are not known, the latest first
	Purchases    int                       `json:"purchases,omitempty"`
	Spent        float64                   `json:"spent,omitempty"`
	FirstOrder   string                    `json:"first_order,omitempty"`
	LastOrder    string                    `json:"last_order,omitempty"`
	UsualGap     float64                   `json:"usual_gap_days,omitempty"`
	Left         float64                   `json:"probability_left,omitempty"` // as of the last event
	Satisfaction float64                   `json:"satisfaction,omitempty"`
	Reviews      int                       `json:"reviews,omitempty"`
	Consents     map[string]string         `json:"consents,omitempty"`
	Traits       map[string]string         `json:"traits,omitempty"`
	Features     map[string]any            `json:"features,omitempty"`
	Warming      map[string]string         `json:"warming,omitempty"`    // features that see less than their window: until when or, of a lifetime, since when they have counted
	Session      map[string]any            `json:"session,omitempty"`    // of the present one
	Categories   map[string]map[string]any `json:"categories,omitempty"` // features by category
	Audiences    map[string]string         `json:"audiences,omitempty"`  // since when the customer belongs to them
	Deciders     []DeciderState            `json:"deciders,omitempty"`
	Seen         []SeenItem                `json:"seen,omitempty"`    // recommended and not clicked, the latest first
	Pending      int                       `json:"pending,omitempty"` // recommendations of which it is not yet known what became of them
}

// ItemTime is an item and when it was last met. Items that have no row are named by their hash.
type ItemTime struct {
	Item string `json:"item"`
	At   string `json:"at"`
}

// SeenItem is an item that was seen and not clicked.
type SeenItem struct {
	Item  string `json:"item"`
	Times int    `json:"times"`
	At    string `json:"at"`
}

// CartItem is a line of the cart.
type CartItem struct {
	Item     string  `json:"item"`
	Quantity int32   `json:"quantity"`
	Price    float64 `json:"price,omitempty"`
	At       string  `json:"at"`
}

// OrderTime is an order.
type OrderTime struct {
	At    string  `json:"at"`
	Value float64 `json:"value"`
}

// DeciderState is what a decider remembers of a customer.
type DeciderState struct {
	Name    string `json:"name"`
	At      string `json:"at"`
	Count   int    `json:"count,omitempty"`
	Alerted bool   `json:"alerted,omitempty"`
}

// Describe tells what is remembered of a customer as a document that encoding/json can write; features as of the last event.
func (p *Program) Describe(state engine.State) any {
	return p.DescribeAt(state, state.(*Customer).lastMS)
}

// DescribeGlobal tells what the features of all together say as of a time.
func (p *Program) DescribeGlobal(nowMS int64) map[string]any {
	if len(p.global.rows) == 0 {
		return describeFeatures(entityGlobal, p.global.set, &emptyRow, nowMS)
	}
	return describeFeatures(entityGlobal, p.global.set, &p.global.rows[0], nowMS)
}

// DescribeAt is Describe with features as of a time.
func (p *Program) DescribeAt(state engine.State, nowMS int64) *Description {
	c := state.(*Customer)
	orders := c.occasions()
	d := &Description{
		First: timeText(c.firstMS), Last: timeText(c.lastMS), Events: c.latest.times(), Recent: p.itemTimes(c.recent), Bought: p.itemTimes(c.bought),
		Purchases: orders.Count, Spent: micros(c.spent), FirstOrder: timeText(orders.FirstMS), LastOrder: timeText(orders.LastMS),
	}
	for i := len(c.cart) - 1; i >= 0; i-- {
		l := &c.cart[i]
		d.Cart = append(d.Cart, CartItem{Item: p.itemName(l.hash), Quantity: l.quantity, Price: micros(l.price), At: timeText(l.atMS)})
	}
	for i := len(c.orders) - 1; i >= 0; i-- {
		d.Orders = append(d.Orders, OrderTime{At: timeText(c.orders[i].atMS), Value: micros(c.orders[i].value)})
	}
	for i := len(c.cancelled) - 1; i >= 0; i-- {
		d.Cancelled = append(d.Cancelled, timeText(c.cancelled[i].atMS))
	}
	if n := orders.Count; n > 0 {
		d.Left = math.Floor(float64(p.rhythm.Left(orders, c.lastMS)*1e4)+0.5) / 1e4
		if n > 1 {
			d.UsualGap = tenth(float64(orders.LastMS-orders.FirstMS) / (24 * 3600 * 1000) / float64(n-1))
		}
	}
	d.Satisfaction, d.Reviews = c.Satisfaction()
	for _, x := range c.consents {
		if d.Consents == nil {
			d.Consents = map[string]string{}
		}
		d.Consents[x.purpose] = "refused"
		if x.granted {
			d.Consents[x.purpose] = "granted"
		}
	}
	for _, x := range c.traits {
		if d.Traits == nil {
			d.Traits = map[string]string{}
		}
		d.Traits[x.name] = x.value
	}
	d.Features = describeFeatures(entityUser, p.features, &c.features, nowMS)
	d.Warming = p.warming(nowMS, "")
	if c.parts != nil {
		if nowMS-c.lastMS <= sessionGapMS { // else it is over
			d.Session = describeFeatures(entitySession, p.sets.session.Set, &c.parts.session.row, nowMS)
		}
		for i := range c.parts.categories {
			x := &c.parts.categories[i]
			if f := describeFeatures(entityCategory, p.sets.category.Set, &x.row, nowMS); f != nil {
				if d.Categories == nil {
					d.Categories = map[string]map[string]any{}
				}
				d.Categories[x.key] = f
			}
		}
	}
	for _, a := range p.audiences {
		if i, in := c.member(a.key); in {
			if d.Audiences == nil {
				d.Audiences = map[string]string{}
			}
			d.Audiences[a.name] = timeText(c.members[i].sinceMS)
		}
	}
	d.Pending = len(c.impressions)
	for i := len(c.tired) - 1; i >= 0; i-- {
		d.Seen = append(d.Seen, SeenItem{Item: p.itemName(c.tired[i].hash), Times: int(c.tired[i].n), At: timeText(c.tired[i].atMS)})
	}
	for _, name := range p.deciders() {
		if m := c.marked(nameHash(name)); m.atMS != 0 {
			d.Deciders = append(d.Deciders, DeciderState{Name: name, At: timeText(m.atMS), Count: int(m.n), Alerted: m.alerted})
		}
	}
	return d
}

func (p *Program) itemTimes(list []seen) []ItemTime {
	var out []ItemTime
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, ItemTime{Item: p.itemName(list[i].hash), At: timeText(list[i].atMS)})
	}
	return out
}

func (p *Program) itemName(hash uint64) string {
	if i := p.catalog.find(hash); i != models.NoItem {
		return p.catalog.id(i)
	}
	const digits = "0123456789abcdef"
	b := []byte("#")
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[hash>>shift&15])
	}
	return string(b)
}

// ItemDescription is what is known of an item, for people.
type ItemDescription struct {
	ID         string            `json:"id"`
	Catalogued bool              `json:"catalogued"` // false: only customers spoke of it
	Removed    bool              `json:"removed,omitempty"`
	Price      float64           `json:"price,omitempty"`
	Cost       *float64          `json:"cost,omitempty"`
	Stock      *int64            `json:"stock,omitempty"`
	Categories []string          `json:"categories,omitempty"`
	Brand      string            `json:"brand,omitempty"`
	Since      string            `json:"since,omitempty"` // when the catalogue first had it
	From       string            `json:"available_from,omitempty"`
	Until      string            `json:"available_until,omitempty"`
	LastDay    string            `json:"last_day,omitempty"` // of an event or catalogue record
	Popularity float64           `json:"popularity,omitempty"`
	Together   []Neighbor        `json:"viewed_together,omitempty"`
	Features   map[string]any    `json:"features,omitempty"`
	Warming    map[string]string `json:"warming,omitempty"` // as a customer's, of features of items
}

// Neighbor is an item that is met together with another.
type Neighbor struct {
	Item   string  `json:"item"`
	Weight float64 `json:"weight"`
}

// DescribeItem tells what is known of an item as a document that encoding/json can write; false if nothing is. Features are as of a time,
// such as the event clock's: the watermark, up to which windows are closed, lies before the last event. Decayed numbers are as of the end
// of the item's last day.
func (p *Program) DescribeItem(id string, nowMS int64) (any, bool) {
	i := p.catalog.find(hashItem(id))
	if i == models.NoItem {
		return nil, false
	}
	r, m := &p.catalog.rows[i.Row()], p.catalog.marks[i.Row()]
	const dayMS = 24 * 3600 * 1000
	day := int64(p.catalog.days[i.Row()])
	asOf := (day + 1) * dayMS
	d := &ItemDescription{ID: r.id, Catalogued: r.fromCatalogue, Removed: m&itemRemoved != 0, Price: micros(r.price),
		From: timeText(r.from), Until: timeText(r.until), LastDay: timeText(day * dayMS), Popularity: round(float32(p.trends.Value(i, asOf)))}
	if len(d.LastDay) > 10 {
		d.LastDay = d.LastDay[:10]
	}
	if m&itemCosted != 0 {
		cost := micros(r.cost)
		d.Cost = &cost
	}
	if m&itemCounted != 0 {
		stock := r.stock
		d.Stock = &stock
	}
	d.Brand, d.Since = r.brand, timeText(r.bornMS)
	if r.categories != "" {
		d.Categories = strings.Split(r.categories, "\n")
	}
	nowMS = max(nowMS, p.closedMS) // which idle shards may have left behind
	if n := int(i.Row()); n < len(p.items.rows) && nowMS != math.MinInt64 {
		d.Features = describeFeatures(entityItem, p.items.set, &p.items.rows[n], nowMS)
		d.Warming = p.warming(nowMS, entityItem)
	}
	p.together.Neighbours(i, asOf, func(n models.Item, weight float64) {
		if p.catalog.valid(n) {
			d.Together = append(d.Together, Neighbor{Item: p.catalog.id(n), Weight: round(float32(weight))})
		}
	})
	return d, true
}

func timeText(ms int64) string {
	if ms == 0 {
		return ""
	}
	return string(streams.AppendTime(nil, ms))
}
