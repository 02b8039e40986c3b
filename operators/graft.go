package operators

import (
	"reflect"
	"slices"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
)

// Graft gives a state that was kept under an older pipeline what it lacks under a new one, out of a state that was folded from the log under the
// new one up to the same offsets: features, members of audiences, forecasts, timers, what models have learned. What was known stays as it is, and so
// does what was given: budgets, cool-downs, what was shown. It implements engine.Grafter.
type Graft struct {
	now, from   *Program
	features    map[string]*feature.Graft // by entity; nil: nothing is lacking
	audiences   []uint32                  // keys
	predictions []uint32                  // keys
	timers      map[string]bool
	lacks       []bool // by begun.parts
	whole       []string
	unlearned   []string
	choices     bool // what customers like: the older pipeline learned no choices
	cancelled   bool // cancellations without their order: the older pipeline remembered no orders
	facts       bool // carts, orders and what was looked at: the older pipeline asked for none of it
	longer      bool // more of what was looked at and bought
}

// NewGraft compares the program that the state was kept under with the new one, which has it loaded; its event clock stands at a time; from is the new one with what was
// folded from the log.
func NewGraft(old, now, from *Program, clockMS int64) *Graft {
	g := &Graft{now: now, from: from, features: map[string]*feature.Graft{}, timers: map[string]bool{}}
	g.lacks = now.begun.lacks(old.begun, from.begun, clockMS)
	rest := g.lacks
	for _, entity := range entities {
		n := len(now.set(entity).Kept())
		g.features[entity] = now.set(entity).NewGraft(rest[:n])
		rest = rest[n:]
	}
	for _, a := range now.audiences {
		if _, there := old.config.Audiences[a.name]; !there {
			g.audiences = append(g.audiences, a.key)
		}
	}
	for name := range now.timers {
		if _, there := old.timers[name]; !there {
			g.timers[name] = true
		}
	}
	for _, x := range now.predictions {
		if before, there := old.config.Predictions[x.name]; !there || !reflect.DeepEqual(before, now.config.Predictions[x.name]) {
			g.predictions = append(g.predictions, x.key)
			g.whole = append(g.whole, x.tableName())
		}
	}
	g.models(old)
	g.choices = now.choices != nil && old.choices == nil && g.sameItems()
	g.cancelled = !old.remembers && now.remembers
	g.facts = old.featuresOnly && !now.featuresOnly
	a, b := old.config.Limits, now.config.Limits
	g.longer = b.History > a.History || b.Bought > a.Bought
	return g
}

// models lists the tables of models that the older pipeline did not have. Their rows name items by their rows in the catalogue: where those are not
// the same, the models have to learn afresh.
func (g *Graft) models(old *Program) {
	h, same := old.halfLives, g.sameItems()
	for _, m := range []struct {
		name   string
		isNew  bool
		tables []string
	}{
		{"viewed_together", g.now.learnsTogether && (!old.learnsTogether || h.together != g.now.halfLives.together), []string{"viewed_together"}},
		{"trending", (g.now.learnsTrends || g.now.learnsNext) && (!old.learnsTrends && !old.learnsNext || h.trends != g.now.halfLives.trends), []string{"trending"}},
		{"next_item", g.now.learnsNext && (!old.learnsNext || h.together != g.now.halfLives.together),
			[]string{"next_together", "next_again", "next_items", "next_sessions", "next_ranker", "next_heads"}},
		{sequence, g.now.learnsSequence && !old.learnsSequence, []string{"sequence", "sequence_heads"}},
		{choices, g.now.choices != nil && old.choices == nil, []string{choices}},
		{goesWith, g.now.learnsPairs && !old.learnsPairs, []string{"goes_with"}},
		{buyAgain, g.now.learnsAgain && !old.learnsAgain, []string{"bought_again"}},
		{"sent_back", g.now.learnsReturns && !old.learnsReturns, []string{"sent_back"}},
	} {
		switch {
		case !m.isNew:
		case same:
			g.whole = append(g.whole, m.tables...)
		default:
			g.unlearned = append(g.unlearned, m.name)
		}
	}
}

// sameItems says whether every row of the two catalogues has the same item.
func (g *Graft) sameItems() bool {
	a, b := g.now.catalog, g.from.catalog
	return slices.Equal(a.hashes, b.hashes) && slices.Equal(a.gens, b.gens)
}

// Unlearned lists the models that have to learn afresh, because the log had other items in the catalogue than the state.
func (g *Graft) Unlearned() []string { return g.unlearned }

// Filled names the features that the state lacks, or lacks some time of.
func (g *Graft) Filled() []string { return g.now.begun.of(func(i int) bool { return g.lacks[i] }) }

// Timer says whether timers of that name are among what the state lacks.
func (g *Graft) Timer(name string) bool { return g.timers[name] }

// Whole names the tables that are taken as they are.
func (g *Graft) Whole() []string { return g.whole }

// Customer completes the state of a customer.
func (g *Graft) Customer(into, from engine.State) {
	c, o := into.(*Customer), from.(*Customer)
	if x := g.features[entityUser]; x != nil {
		x.Take(&c.features, &o.features)
	}
	g.parts(c, o)
	for _, m := range o.members {
		if _, there := c.member(m.key); slices.Contains(g.audiences, m.key) && !there {
			at, _ := slices.BinarySearchFunc(c.members, m.key, func(m member, key uint32) int { return compare(m.key, key) })
			c.members = slices.Insert(c.members, at, m)
		}
	}
	for _, f := range o.forecasts {
		if !slices.Contains(g.predictions, f.prediction) {
			continue
		}
		if k, there := c.forecast(f.prediction); there {
			c.forecasts = slices.Delete(c.forecasts, k, k+1)
		}
		c.insertForecast(f)
	}
	for _, x := range o.traits { // those that only the new pipeline asks for
		c.setTrait(x.name, x.value, x.atMS)
	}
	if g.features[entityItem].Orders() || g.features[entityGlobal].Orders() {
		own := c.receipts
		c.receipts = o.receipts
		for _, r := range own { // of orders that are older than the log
			if !slices.ContainsFunc(o.receipts, func(x receipt) bool { return compareReceipts(&x, &r) == 0 }) {
				c.addReceipt(r)
			}
		}
	}
	if g.cancelled {
		c.cancelled = o.cancelled
	}
	if g.choices {
		c.chooser = o.chooser
	}
	if g.facts {
		c.latest, c.recent, c.bought, c.cart, c.orders, c.searched = o.latest, o.recent, o.bought, o.cart, o.orders, o.searched
		c.purchases, c.spent, c.ratings, c.reviews, c.daily = o.purchases, o.spent, o.ratings, o.reviews, o.daily
	}
	if g.longer {
		for _, x := range o.recent {
			c.recent = meet(c.recent, x, g.now.config.Limits.History)
		}
		for _, x := range o.bought {
			c.bought = meet(c.bought, x, g.now.config.Limits.Bought)
		}
	}
}

// parts completes the features of a customer's categories and session.
func (g *Graft) parts(c, o *Customer) {
	categories, session := g.features[entityCategory], g.features[entitySession]
	if o.parts == nil || categories == nil && session == nil {
		return
	}
	if c.parts == nil {
		c.parts = &parts{}
	}
	for i := range o.parts.categories {
		x := &o.parts.categories[i]
		switch at, there := c.parts.find(x.key); {
		case categories == nil:
		case there:
			categories.Take(&c.parts.categories[at].row, &x.row)
		case len(c.parts.categories) < keptCategories:
			c.parts.categories = slices.Insert(c.parts.categories, at, *x)
		}
	}
	switch x := &o.parts.session; {
	case session == nil || x.key == "":
	case c.parts.session.key == x.key:
		session.Take(&c.parts.session.row, &x.row)
	case c.parts.session.key == "", x.atMS < c.parts.session.atMS: // which began before any feature of sessions was asked for
		c.parts.session = *x
	}
	if c.parts.empty() {
		c.parts = nil
	}
}

// Tables completes what customers share. Windows that closed before are not put out again.
func (g *Graft) Tables() {
	if g.from.closedMS > g.now.closedMS {
		g.now.shared.Touch(rowClosed)
		g.now.closedMS = g.from.closedMS
	}
	if x := g.features[entityItem]; x != nil {
		for i := range g.from.items.rows {
			row := &g.from.items.rows[i]
			if row.Empty() || i >= len(g.from.catalog.hashes) || g.from.catalog.hashes[i] == 0 {
				continue
			}
			if to := g.item(uint32(i)); to != models.NoItem {
				g.now.items.table.Touch(to.Row())
				x.Take(g.now.items.at(to.Row()), row)
			}
		}
	}
	if x := g.features[entityGlobal]; x != nil && len(g.from.global.rows) > 0 {
		g.now.global.table.Touch(0)
		x.Take(g.now.global.at(0), &g.from.global.rows[0])
	}
	if g.facts {
		g.now.rhythm.Add(g.from.rhythm)
	}
	b, standards := g.now.begun, g.lacks[len(g.lacks)-len(g.now.standards.keys):]
	for k, key := range g.now.standards.keys {
		if i := slices.Index(g.from.standards.keys, key); i >= 0 && (standards[k] || g.now.standards.moments[k].Empty()) {
			g.now.standards.table.Touch(uint32(k))
			g.now.standards.moments[k] = g.from.standards.moments[i]
		}
	}
	for i, lacks := range g.lacks {
		if lacks {
			b.touch(i)
			b.parts[i].sinceMS, b.parts[i].keptMS = g.from.begun.parts[i].sinceMS, b.parts[i].kept.KeepMS
		}
	}
}

// item is what the state knows as the item of a row; one of which nothing asked before is taken in while there is room.
func (g *Graft) item(row uint32) models.Item {
	a, b := g.now.catalog, g.from.catalog
	if i := a.find(b.hashes[row]); i != models.NoItem || !a.room() {
		return i
	}
	i := a.ensure(b.hashes[row], b.rows[row].id)
	a.days[i.Row()] = b.days[row]
	return i
}

// TakeCatalog gives every item the row that it has in another program, before anything is folded: what is learned then fits that one's state.
func (p *Program) TakeCatalog(from *Program) error {
	if from.catalog.forgot {
		p.shared.Touch(rowForgot)
		p.catalog.forgot = true
	}
	for n := range from.catalog.hashes {
		key, value := from.catalog.row(uint32(n), nil, nil)
		p.catalog.table.Touch(uint32(n))
		if err := p.catalog.load(key, value); err != nil {
			return err
		}
	}
	return nil
}
