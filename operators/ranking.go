package operators

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// The goals of a recommender that ranks.
const (
	goalClick  = "click"
	goalCart   = "cart"
	goalOrder  = "order"
	goalMargin = "margin"
	goalKept   = "kept"
)

// The kinds of features of a candidate, each with how many values it has. What was learned is kept under their numbers: a new kind comes last.
const (
	kindRank     = 12 * numSources                        // where a source ranks it
	kindBlend    = kindRank + 20                          // all sources together
	kindTired    = kindBlend + 16                         // how often it was seen and not clicked, and how long ago
	kindLooked   = kindTired + 16                         // when it was looked at
	kindCategory = kindLooked + 24                        // how much the customer likes its category, of how much is known
	kindBrand    = kindCategory + 4                       // likewise its brand
	kindPrice    = kindBrand + 12                         // its price beside those that the customer looks at
	kindAge      = kindPrice + 8                          // how long the catalogue has it
	kindStock    = kindAge + 4                            // how little is left
	kindMargin   = kindStock + 8                          // what the shop keeps of its price
	kindHour     = kindMargin + 8                         // of the day
	kindChannel  = kindHour + 8                           // where the customer is
	kindPage     = kindChannel + 4                        // whether the page's item is of its category
	kindKnown    = kindPage + numSources*4                // the source that ranks it best, and how much is known of the customer
	numFeatures  = (kindKnown + 63) / 64 * 64             // with room
	_            = uint(1<<16 - 1 - numFeatures)          // they are numbers of 16 bits
	_            = uint(models.MaxItems - numFeatures/64) // rows of a table
)

// taste is what a customer's last items have in common, made once for a list.
type taste struct {
	items  []*item
	halves int // sum of the prices' steps
	priced int
	hour   int
	page   *item
}

// gather asks all sources for their candidates.
func (r *recommender) gather(p *Program, c *Customer, s *scratch, a *asked) {
	for _, source := range r.sources {
		best := float32(0)
		r.ask(p, c, s, a, source, max(perRankedSource, a.size), func(i models.Item, score float32, x said) {
			if best == 0 {
				best = score
			}
			if best > 0 {
				x.part = score / best
			}
			s.say(i, source, x)
		})
	}
}

// rank scores the candidates by the chance that the goal is reached, and puts the best first.
func (r *recommender) rank(p *Program, c *Customer, s *scratch, a *asked) {
	r.readTaste(p, c, s, a)
	for k := range s.list {
		l := &s.list[k]
		r.describe(p, c, s, a, l)
		l.score = models.Chance(r.clicks.Logit(&l.offered))
		switch r.Rank.Goal {
		case goalMargin:
			l.score *= p.marginOf(l.item)
		case goalKept:
			l.score *= p.marginOf(l.item) * (1 - p.returns.Rate(l.item, p.catalog.rows[l.item.Row()].leaf))
		}
	}
	s.sort()
}

// usualReturns is how often something is sent back of which nothing is known.
const usualReturns = 0.1

// marginOf is what the shop keeps of an item, in units of currency, as little as it may be; 1 where nothing is known of it.
func (p *Program) marginOf(i models.Item) float64 {
	x := &p.catalog.rows[i.Row()]
	if p.catalog.marks[i.Row()]&itemCosted == 0 {
		return 1
	}
	return max(micros(x.price-x.cost), 0.01)
}

func (r *recommender) readTaste(p *Program, c *Customer, s *scratch, a *asked) {
	t := &s.taste
	*t = taste{items: t.items[:0], hour: s.facts.now().Hour()}
	for k := len(c.recent) - 1; k >= 0 && len(t.items) < nextHistory; k-- {
		if i := p.catalog.resolve(c.recent[k].hash, c.recent[k].item); i != models.NoItem {
			x := &p.catalog.rows[i.Row()]
			t.items = append(t.items, x)
			if x.price > 0 {
				t.halves += halves(x.price)
				t.priced++
			}
		}
	}
	if page := p.catalog.find(a.page); page != models.NoItem {
		t.page = &p.catalog.rows[page.Row()]
	}
}

// describe fills in what is offered: the base of the sources' blend, of which each weighs half of the one before, and the features.
func (r *recommender) describe(p *Program, c *Customer, s *scratch, a *asked, l *listed) {
	x, t, o := &p.catalog.rows[l.item.Row()], &s.taste, &l.offered
	o.Item, o.Features = l.item, o.Features[:0]
	from := 0
	add := func(n, end int) {
		o.Features = append(o.Features, uint16(from+n))
		from = end
	}
	blend, weight, loudest := 0.0, 1.0, -1
	for _, source := range r.sources {
		said := &l.says[source]
		blend += weight * float64(said.part)
		weight /= 2
		if said.rank > 0 && (loudest < 0 || said.rank < l.says[loudest].rank) {
			loudest = source
		}
		from = 12 * source
		add(models.RankBucket(said.rank), kindRank)
	}
	from = kindRank
	o.Base = float32(models.Log(blend + 1e-3))
	add(models.ScoreBucket(float32(blend/2)), kindBlend)
	add(c.tiredBucket(p.catalog.hashes[l.item.Row()], a.nowMS), kindTired)
	add(c.lookedBucket(p.catalog.hashes[l.item.Row()], a.nowMS), kindLooked)
	alike, brands := 0, 0
	for _, y := range t.items {
		alike += int(bit(x.leaf != 0 && y.leaf == x.leaf))
		brands += int(bit(x.brand != "" && y.brand == x.brand))
	}
	known := min(bits.Len(uint(len(t.items))), 3)
	add(6*known+min(bits.Len(uint(alike)), 5), kindCategory)
	add(min(brands, 3), kindBrand)
	price := 0
	if t.priced > 0 && x.price > 0 {
		price = 1 + min(max(halves(x.price)-t.halves/t.priced+5, 0), 10)
	}
	add(price, kindPrice)
	add(ageBucket(x.bornMS, a.nowMS), kindAge)
	m, stock, margin := p.catalog.marks[l.item.Row()], 0, 0
	if m&itemCounted != 0 && x.stock <= 10 {
		stock = 1 + int(bit(x.stock <= 3))
	}
	add(stock, kindStock)
	if m&itemCosted != 0 && x.price > 0 {
		margin = 1 + int(min(max(5*(x.price-x.cost)/x.price, 0), 4))
	}
	add(margin, kindMargin)
	add(t.hour/3, kindHour)
	channel := 0
	if s.facts.event.Context.Channel != "" {
		channel = 1 + int(xxhash.Sum64String(s.facts.event.Context.Channel)%7)
	}
	add(channel, kindChannel)
	page := 0
	if t.page != nil {
		page = 1 + int(bit(t.page.leaf != 0 && t.page.leaf == x.leaf))
	}
	add(page, kindPage)
	add(4*max(loudest, 0)+known, kindKnown)
}

// ageBucket buckets how long the catalogue has an item; 0: unknown.
func ageBucket(bornMS, nowMS int64) int {
	if bornMS == 0 {
		return 0
	}
	const dayMS = 24 * 3600_000
	return min(1+bits.Len64(uint64(max(nowMS-bornMS, 0)/dayMS)), 7)
}

// outcome is what became of an item that was shown, noted for Learn.
type outcome struct {
	by       *recommender
	hash     uint64
	base     float32
	features []uint16
	position int
	won      bool
}

// learnOutcomes takes in what became of the lists.
func (p *Program) learnOutcomes(s *scratch) {
	for k := range s.outcomes {
		x := &s.outcomes[k]
		x.by.matched.outcome(x.won)
		x.by.clicks.Learn(&models.Offered{Item: p.catalog.find(x.hash), Base: x.base, Features: x.features}, x.position, x.won, 1)
	}
	clear(s.outcomes)
	s.outcomes = s.outcomes[:0]
}

// letters writes a key as the names of tables may be.
func letters(key uint32) string {
	var b []byte
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, 'a'+byte(key>>shift&15))
	}
	return string(b)
}

// clicksTable is the shared state of what a recommender has learned: the rows of the features, then those of the items.
func (r *recommender) clicksTable() *engine.Table {
	features := uint32(r.clicks.Rows())
	t := &engine.Table{Name: "clicks_" + letters(r.key),
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			key = binary.BigEndian.AppendUint32(key, i)
			if i < features {
				return key, orNil(r.clicks.AppendRow(value, i))
			}
			return key, orNil(r.clicks.AppendItem(value, i-features))
		},
		Load: func(key, value []byte) error {
			return loadRow(key, value, func(row uint32, b []byte) error {
				if row < features {
					return r.clicks.LoadRow(row, b)
				}
				return r.clicks.LoadItem(row-features, b)
			})
		}}
	r.clicks.Touch = t.Touch
	r.clicks.TouchItem = func(row uint32) { t.Touch(features + row) }
	return t
}

// remember keeps what was shown until it is known what became of it.
func (r *recommender) remember(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	size := 0
	for _, x := range s.picks {
		if x.at >= 0 {
			size += len(s.list[x.at].offered.Features)
		}
	}
	all := make([]uint16, 0, size)
	m := impression{id: xxhash.Sum64String(s.decision.ID), decider: r.key, atMS: t.NowMS, items: make([]impressed, 0, len(s.picks))}
	for k, x := range s.picks {
		if x.at < 0 {
			continue // it says nothing of the ranking
		}
		o := &s.list[x.at].offered
		from := len(all)
		all = append(all, o.Features...)
		m.items = append(m.items, impressed{hash: p.catalog.hashes[x.item.Row()], base: o.Base, place: uint8(k + 1), features: all[from:len(all):len(all)]})
	}
	for c.addImpression(m) {
		p.settle(c, s, c.leastTelling())
	}
	r.await(t, c)
}

// settlesAt is when it is known what became of a list: when its time is over, or, where clicks are the goal and one came, a while after the last
// reaction. Who clicks an item may come back to the list for another.
func (r *recommender) settlesAt(x *impression) int64 {
	at := x.atMS + r.within
	if x.won && r.Rank.Goal == goalClick {
		at = min(at, x.reactedMS+comesBackMS)
	}
	return at
}

// await arms the timer for the first list of which it will be known what became of it.
func (r *recommender) await(t *engine.Turn, c *Customer) {
	first := int64(math.MaxInt64)
	for k := range c.impressions {
		if x := &c.impressions[k]; x.decider == r.key {
			first = min(first, r.settlesAt(x))
		}
	}
	if at, armed := t.TimerAt(r.settles); first < math.MaxInt64 && (!armed || at > first) {
		t.SetTimer(r.settles, first)
	}
}

// onSettle learns from the lists whose time is over.
func (r *recommender) onSettle(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	for k := 0; k < len(c.impressions); {
		if x := &c.impressions[k]; x.decider == r.key && r.settlesAt(x) <= t.NowMS {
			p.settle(c, s, k)
			continue
		}
		k++
	}
	r.await(t, c)
}

// settle notes what a list teaches, and forgets it. One that nobody saw teaches nothing.
func (p *Program) settle(c *Customer, s *scratch, k int) {
	x := c.impressions[k]
	c.dropImpression(k)
	r := p.ranked[x.decider]
	if r == nil || !x.seen && !x.won {
		return
	}
	for i := range x.items {
		y := &x.items[i]
		if y.seenAt == 0 && x.seen {
			continue
		}
		position := y.seenAt
		if position == 0 { // only a click was told: all of it was seen
			position = y.place
		}
		s.outcomes = append(s.outcomes, outcome{by: r, hash: y.hash, base: y.base, features: y.features, position: int(position), won: y.won})
	}
}

// react takes in what the customer did with what was shown.
func (p *Program) react(t *engine.Turn, c *Customer) {
	e := t.Event
	switch e.Type {
	case streams.DecisionShown:
		p.seeList(t, c)
	case streams.DecisionClicked:
		p.clickList(t, c)
	case streams.ProductViewed, streams.ProductClicked, streams.ProductAdded:
		if e.Decision != "" { // that led to it
			p.clickList(t, c)
		}
	}
	if e.Type == streams.ProductAdded || e.Type == streams.OrderCompleted {
		p.winLists(t, c)
	}
}

// winLists takes in that items were put into the cart or ordered, for the lists of which that is the goal.
func (p *Program) winLists(t *engine.Turn, c *Customer) {
	for k := range c.impressions {
		x := &c.impressions[k]
		r := p.ranked[x.decider]
		if r == nil || r.Rank.Goal == goalClick || (r.Rank.Goal == goalCart) != (t.Event.Type == streams.ProductAdded) || t.NowMS > x.atMS+r.within {
			continue
		}
		for i := range t.Event.Lines {
			x.win(hashItem(t.Event.Lines[i].ID))
		}
	}
}

// listOf is the list that the event's decision showed, with who made it; nil if it is not kept, which is counted.
func (p *Program) listOf(t *engine.Turn, c *Customer) (r *recommender, k int) {
	k = c.impressionOf(xxhash.Sum64String(t.Event.Decision))
	if k < 0 {
		if len(p.ranked) > 0 {
			t.Count(countedUnknownList)
		}
		return nil, k
	}
	return p.ranked[c.impressions[k].decider], k
}

// seeList takes in that items of a list were seen: those that the event names, else all of it.
func (p *Program) seeList(t *engine.Turn, c *Customer) {
	e := t.Event
	for i := range e.Lines {
		if p.remembersSeen {
			c.tire(hashItem(e.Lines[i].ID), t.NowMS)
		}
	}
	r, k := p.listOf(t, c)
	if k < 0 {
		return
	}
	t.Count(countedShown)
	x := &c.impressions[k]
	if len(e.Lines) == 0 {
		for i := range x.items {
			y := &x.items[i]
			y.seenAt, x.seen = y.place, true
			if p.remembersSeen {
				c.tire(y.hash, t.NowMS)
			}
		}
		return
	}
	for i := range e.Lines {
		position := e.Lines[i].Position
		if position <= 0 {
			position = int32(i + 1)
		}
		if !x.see(hashItem(e.Lines[i].ID), uint8(min(position, 255))) && r != nil {
			t.Count(countedUnknownItem)
		}
	}
}

// clickList takes in that items of a list were clicked. Of a list of several a click that names none says too little: nothing is learned from it.
func (p *Program) clickList(t *engine.Turn, c *Customer) {
	e := t.Event
	for i := range e.Lines {
		if p.remembersSeen {
			c.refresh(hashItem(e.Lines[i].ID))
		}
	}
	r, k := p.listOf(t, c)
	if k < 0 {
		return
	}
	x := &c.impressions[k]
	if len(e.Lines) == 0 && len(x.items) > 1 {
		t.Count(countedUnnamedClick)
		if r != nil && r.Rank.Goal == goalClick {
			c.dropImpression(k)
		}
		return
	}
	t.Count(countedClicked)
	if r == nil || r.Rank.Goal != goalClick {
		return
	}
	if len(e.Lines) == 0 && len(x.items) == 1 { // none where all of it was pinned
		x.win(x.items[0].hash)
	}
	for i := range e.Lines {
		if !x.win(hashItem(e.Lines[i].ID)) {
			t.Count(countedUnknownItem)
		}
	}
	x.reactedMS = max(x.reactedMS, t.NowMS)
	r.await(t, c)
}
