package operators

import (
	"slices"
	"strings"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// How much an event says about an item, in views.
const (
	weightViewed   = 1
	weightWished   = 2
	weightAdded    = 2
	weightAnOrder  = 4
	featuredLines  = 32 // of a list of items, how many are taken into carts and lessons
	redeemedOffers = "redeemed"
)

// scratch is what a shard notes within an epoch: buffers, and the lessons for Learn.
type scratch struct {
	lessons  []lesson
	before   []models.Item    // of all lessons
	beforeMS []int64          // when each was met last
	fresh    []string         // ids of items that have no row yet
	samples  []models.Moments // of what is standardised
	night    night
	notes    []note   // events for the features of what customers share
	gaps     []int64  // between purchases, ms
	redeemed []int    // numbers of budgets
	erased   []uint64 // keys of customers

	idleMS      int64 // how long the customer had been away before the event
	between     bool  // the customer is looked at between two events
	noOrder     bool  // the event is an order that counts for nothing: it was cancelled before it came
	facts       facts // of the condition being asked
	observation feature.Observation
	closer      closer
	moved       []moved // audiences entered and left
	candidates  *models.Scratch
	next        *models.NextItemScratch
	query       models.Query
	apart       []models.Item // before, without the lesson's item
	history     []models.Item
	asking      []models.Item
	content     models.ContentScratch
	union       *models.Scratch // of list
	list        []listed
	order       []int32 // of list, the best first
	picks       []pick
	pins        []pinning
	above       []models.Item   // of the picks
	left        [leftCauses]int // candidates, of the list being made
	out         *models.Scratch // those candidates
	taste       taste
	outcomes    []outcome
	foretold    []foretold
	knows       []uint16
	likely      foreseer
	pairs       []pairLesson
	partners    []uint64 // of all pairs
	repeats     []repeat
	sold        []sold
	decision    streams.Decision
	reasons     []streams.Reason
	choices     []models.Choice
	options     []models.Item // of the choices
}

// lesson is one interaction with an item.
type lesson struct {
	hash     uint64
	key      uint64 // of the customer
	atMS     int64
	item     models.Item
	weight   float32
	counts   bool  // for sums
	from, to int32 // of before: the items met before it, the latest first; itself may be one of them
	fresh    int32 // index of the id if the item has no row
}

// NewScratch returns the scratch of a shard.
func (p *Program) NewScratch(int) any {
	s := &scratch{candidates: models.NewScratch(), union: models.NewScratch(), out: models.NewScratch()}
	s.facts.scratch = s
	return s
}

// Fold takes one event into the customer's state, and lets the deciders that wait for its type decide.
func (p *Program) Fold(t *engine.Turn) {
	c, s, e := t.State.(*Customer), t.Scratch.(*scratch), t.Event
	if len(p.ignore) > 0 && p.ignored(t, c) {
		t.Why("a rule of the pipeline's `ignore` keeps the customer out")
		return
	}
	s.idleMS = 0
	if c.lastMS != 0 {
		s.idleMS = max(0, t.NowMS-c.lastMS)
	}
	if e.Type == streams.DecisionRequested {
		p.answer(t, c, s)
		return
	}
	c.lastMS = max(c.lastMS, t.NowMS)
	c.firstMS = earliest(c.firstMS, t.NowMS)
	if !p.featuresOnly {
		c.latest.note(happened(e.Type, t.NowMS))
	}
	s.noOrder = !p.meetOrder(t, c)
	p.take(t, c, s)
	p.react(t, c)
	if p.choices != nil {
		p.choose(t, c, s)
	}
	p.observe(t, c, s)
	p.observeParts(t, c, s)
	p.foretell(t, c, s)
	p.sampleStandards(t, c, s)
	p.lookNightly(t, s)
	p.lookSoon(t)
	p.noteShared(t, c, s)
	p.arm(t, c)
	for _, d := range p.daily {
		if _, armed := t.TimerAt(d.name); !armed {
			t.SetTimer(d.name, d.nextAt(p.zone, t.NowMS))
		}
	}
	p.review(t, c, s)
	for _, d := range p.on[e.Type].decide {
		if d.events.match(e) {
			d.consider(p, t, c, s)
		}
	}
}

// arm sees to the timers that wait for the event's type.
func (p *Program) arm(t *engine.Turn, c *Customer) {
	e := t.Event
	on := &p.on[e.Type]
	for _, d := range on.unless {
		if d.unless.match(e) {
			t.ClearTimer(d.name)
		}
	}
	for _, d := range on.after {
		if d.after.match(e) {
			d.onAfter(t)
		}
	}
	for _, x := range on.churn {
		if x.after.match(e) {
			x.onAfter(p, t, c)
		}
	}
}

// take changes the customer's state by the event and notes what it teaches.
func (p *Program) take(t *engine.Turn, c *Customer, s *scratch) {
	e, now := t.Event, t.NowMS
	if p.featuresOnly && e.Type < streams.DecisionRedeemed {
		return
	}
	lines := e.Lines[:min(len(e.Lines), featuredLines)]
	switch e.Type {
	case streams.ProductViewed:
		p.interact(t, c, s, lines, weightViewed)
	case streams.WishlistAdded:
		p.interact(t, c, s, lines, weightWished)
	case streams.ProductAdded:
		count := p.interact(t, c, s, lines, weightAdded)
		if p.learnsPairs {
			s.pairCart(c, lines, count, now)
		}
		for i := range lines {
			c.put(lineOf(&lines[i], now), p.config.Limits.Cart)
		}
	case streams.ProductRemoved:
		for i := range lines {
			c.take(hashItem(lines[i].ID), lines[i].Quantity)
		}
	case streams.CartViewed, streams.CheckoutStarted: // they tell the whole cart
		c.cart = c.cart[:0]
		for i := range lines {
			c.put(lineOf(&lines[i], now), p.config.Limits.Cart)
		}
	case streams.OrderCompleted:
		count := p.interact(t, c, s, lines, weightAnOrder)
		c.checkOut(e)
		if p.learnsPairs {
			s.pairOrder(lines, count, now)
		}
		if p.learnsReturns {
			s.noteSold(lines, count, true)
		}
		if p.learnsAgain {
			s.noteRepeats(c, lines, count, now)
		}
		for i := range lines {
			if s.noOrder {
				break
			}
			c.bought = meet(c.bought, seen{hash: hashItem(lines[i].ID), atMS: now, item: models.NoItem}, p.config.Limits.Bought)
		}
		if s.noOrder {
			break
		}
		if gap := c.addOrder(order{id: orderID(e), atMS: now, value: e.Value, pieces: piecesOf(e)}); gap > 0 {
			s.gaps = append(s.gaps, gap)
		}
	case streams.OrderCancelled, streams.OrderRefunded:
		if e.Type == streams.OrderRefunded && p.learnsReturns {
			var count lineSet
			for i := range lines {
				_, _, counts := c.teach(hashItem(lines[i].ID), weightAnOrder, now)
				count |= lineSet(bit(counts)) << i
			}
			s.noteSold(lines, count, false)
		}
		c.takeBack(feature.ReturnOf(e))
	case streams.SearchPerformed:
		if query, ok := e.Props.String("query"); ok && p.learnsContent && now >= c.searched.atMS {
			c.searched = searched{now, wordsOf(query)}
		}
	case streams.ReviewSubmitted:
		if v, ok := e.Props.Get("rating"); ok {
			if rating, ok := v.Micro(); ok && rating >= streams.Micro && rating <= 5*streams.Micro {
				c.reviews++
				c.ratings = saturate(c.ratings, rating)
			}
		}
	case streams.DecisionRedeemed:
		if i := slices.IndexFunc(p.offers, func(o *offer) bool { return o.name == deciderOf(e.Decision) }); i >= 0 {
			t.Count(redeemedOffers + "/" + p.offers[i].name)
			s.redeemed = append(s.redeemed, p.offers[i].budget)
		}
	case streams.UserUpdated:
		p.hear(e, c, now)
	case streams.ConsentChanged:
		purpose, ok := e.Props.String("purpose")
		status, known := e.Props.String("status")
		if ok && known && purpose != "" {
			c.setConsent(purpose, now, status == "granted")
		}
	}
}

// interact notes that the customer met items: in their history, and as lessons, as far as a recommender asks for either and the customer
// may still teach. It returns the lines that count.
func (p *Program) interact(t *engine.Turn, c *Customer, s *scratch, lines []streams.Line, weight uint8) (count lineSet) {
	if len(p.recommenders)+len(p.predictions) == 0 {
		return 0
	}
	key, nowMS := customerKey(t.CustomerHash()), t.NowMS
	for i := range lines {
		hash := hashItem(lines[i].ID)
		item := p.catalog.find(hash)
		if len(p.recommenders) == 0 {
			c.recent = meet(c.recent, seen{hash: hash, atMS: nowMS, item: item}, p.config.Limits.History)
			continue
		}
		taught, heard, counts := c.teach(hash, weight, nowMS)
		if !heard {
			c.recent = meet(c.recent, seen{hash: hash, atMS: nowMS, item: item, taught: taught}, p.config.Limits.History)
			continue
		}
		count |= lineSet(bit(counts)) << i
		l := lesson{hash: hash, key: key, atMS: nowMS, item: item, weight: float32(weight), counts: counts, from: int32(len(s.before)), fresh: -1}
		if item == models.NoItem {
			l.fresh = int32(len(s.fresh))
			s.fresh = append(s.fresh, strings.Clone(lines[i].ID))
		}
		for k, n := len(c.recent)-1, p.lessonHistory; k >= 0 && n > 0; k-- {
			x := &c.recent[k]
			if x.hash == hash && !p.learnsNext {
				continue
			}
			x.item = p.catalog.resolve(x.hash, x.item)
			s.before, s.beforeMS = append(s.before, x.item), append(s.beforeMS, x.atMS)
			n--
		}
		l.to = int32(len(s.before))
		s.lessons = append(s.lessons, l)
		c.recent = meet(c.recent, seen{hash: hash, atMS: nowMS, item: item, taught: taught}, p.config.Limits.History)
	}
	return count
}

// lineSet is a set of an event's first featuredLines lines, a bit each.
type lineSet uint32

func (x lineSet) has(line int) bool { return x>>line&1 == 1 }

// customerKey names a customer to the models; it is never 0.
func customerKey(hash uint64) uint64 { return hash | 1 }

func lineOf(l *streams.Line, atMS int64) cartLine {
	return cartLine{hash: hashItem(l.ID), atMS: atMS, price: l.Price, quantity: l.Quantity}
}

// orderID is the hash of props.order, 0 if there is none.
func orderID(e *streams.Event) uint64 { return feature.OrderID(e) }

// piecesOf is the number of pieces of an order.
func piecesOf(e *streams.Event) int64 {
	n := int64(0)
	for i := range e.Lines {
		n += int64(e.Lines[i].Quantity)
	}
	return n
}

// deciderOf is the name of the decider in a decision's id: the part before the last.
func deciderOf(id string) string {
	end := strings.LastIndexByte(id, '.')
	if end < 0 {
		return ""
	}
	return id[strings.LastIndexByte(id[:end], '.')+1 : end]
}

// Item takes in one catalogue record.
func (p *Program) Item(e *streams.Event, _ int64) {
	switch {
	case len(e.Lines) == 0:
	case e.Type == streams.ItemUpserted:
		if p.openedMS == 0 {
			p.shared.Touch(rowOpened)
			p.openedMS = e.TimeMS
		}
		p.catalog.upsert(e)
		p.trends.Settle() // the item may have taken the row of a popular one
	case e.Type == streams.ItemRemoved:
		p.catalog.remove(e)
	}
}

// Learn takes in what the shards noted, in their order.
func (p *Program) Learn(scratches []any, t *engine.Turn) {
	before, evictions := p.learned, p.catalog.evictions
	for _, x := range scratches {
		s := x.(*scratch)
		if len(s.lessons) > 0 {
			p.shared.Touch(rowLearned)
		}
		for i := range s.lessons {
			p.learn(s, &s.lessons[i], p.catalog.evictions == evictions)
		}
		p.learnPairs(s)
		p.learnOutcomes(s)
		p.learnChoices(s)
		p.learnForetold(s)
		p.learnStandards(s)
		for _, gap := range s.gaps {
			p.rhythm.Learn(gap)
		}
		for _, key := range s.erased { // after the lessons: they may be the customer's
			p.next.Near.Erase(key)
		}
		s.erased = s.erased[:0]
		for _, budget := range s.redeemed {
			p.budgets.redeem(budget)
		}
		clear(s.fresh)
		s.lessons, s.before, s.beforeMS, s.fresh, s.gaps, s.redeemed = s.lessons[:0], s.before[:0], s.beforeMS[:0], s.fresh[:0], s.gaps[:0], s.redeemed[:0]
	}
	p.next.Train(t.Beside)
	p.learnShared(t, scratches)
	if p.audit != nil {
		p.audit.endEpoch(t)
	}
	p.begun.note(t.ClockMS)
	p.seenMS = max(p.seenMS, t.WatermarkMS)
	t.CountMany(itemsEvicted, int64(p.catalog.evictions-p.catalog.told))
	p.catalog.told = p.catalog.evictions
	p.trends.Settle()
	p.content.Settle()
	if p.learned != before {
		p.newVersion()
	}
}

// learn takes in one lesson. fresh says that no row was emptied since the items were found.
func (p *Program) learn(s *scratch, l *lesson, fresh bool) {
	item, evictions := l.item, p.catalog.evictions
	if item == models.NoItem || !fresh && !p.catalog.valid(item) {
		id := ""
		if l.fresh >= 0 {
			id = s.fresh[l.fresh]
		}
		if item = p.catalog.find(l.hash); item == models.NoItem {
			if id == "" {
				return // its row was given away within this epoch
			}
			item = p.catalog.ensure(l.hash, id)
		}
	}
	before := s.before[l.from:l.to]
	if !fresh || p.catalog.evictions != evictions {
		for k := range before {
			if !p.catalog.valid(before[k]) {
				before[k] = models.NoItem
			}
		}
	}
	p.catalog.met(item, l.atMS)
	if p.learnsTogether && l.counts {
		s.apart = s.apart[:0]
		for _, b := range before {
			if b != item && len(s.apart) < learnedHistory {
				s.apart = append(s.apart, b)
			}
		}
		p.together.Learn(item, s.apart, l.atMS, l.weight)
	}
	switch {
	case p.learnsNext:
		p.learnNext(s, l, item, before)
	case p.learnsTrends && l.counts:
		p.trends.Learn(item, l.atMS, l.weight)
	}
	p.learned++
}
