package operators

import (
	"math"
	"slices"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/condition"
	"nudge/streams"
)

// recommender shows items on an event: as a rule those that were met together with the customer's last items, and, where these say
// too little, those that are popular now. Items bought lately, in the cart, on the page, sold out or not on sale are left out.
//
// The list is the same for the same state, so its propensity is 1. An item's score is comparable within its list only: what
// fills up is scored below the last one of the candidates before.
type recommender struct {
	Recommender
	*decider
	expiresMS int64
	boughtMS  int64
	atMostMS  int64
	restMS    int64
	sources   []int
	filter    *condition.Condition // nil: none
	rules     []rule
	diversity models.Diversity
	matched   *matched       // nil: nobody counts
	clicks    *models.Clicks // nil: the sources' order holds
	within    int64          // ms
	settles   string         // name of the timer
}

func (p *Program) newRecommender(name string, r Recommender) (*recommender, error) {
	d, err := p.newDecider(name, r.When, r.Audience, r.Log)
	if err != nil {
		return nil, err
	}
	x := &recommender{
		Recommender: r, decider: d,
		expiresMS: r.Expires.MS(), boughtMS: r.ExcludeBought.MS(), atMostMS: r.AtMost.Per.MS(), restMS: r.SeenAtMost.Per.MS(),
	}
	for _, source := range r.Candidates {
		x.sources = append(x.sources, sourceNumbers[source])
	}
	if x.filter, err = p.condition(r.Filter, scopeFilter); err != nil {
		return nil, err
	}
	if x.rules, err = p.newRules(r.Rules); err != nil {
		return nil, err
	}
	if r.Rank.Goal != "" {
		x.clicks, x.within, x.settles = models.NewClicks(numFeatures), r.Rank.within(), name+".rank"
	}
	x.diversity = models.Diversity{Strength: r.Diversify, Alike: p.alike, Share: func(i models.Item) float64 { return p.trends.Share(i) }}
	d.decide = x.recommend
	return x, nil
}

// recommend decides; of an event, after it was taken into the customer's state.
func (r *recommender) recommend(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	if r.AtMost.N > 0 {
		if m := c.marked(r.key); t.NowMS < m.atMS+r.atMostMS && int(m.n) >= r.AtMost.N {
			return
		}
	}
	d := &s.decision
	*d = streams.Decision{
		Kind: streams.KindRecommendation, Name: r.name, Action: streams.ActionShow, ExpiresMS: t.NowMS + r.expiresMS,
		Items: d.Items[:0], Reasons: d.Reasons[:0], Features: d.Features[:0], Logged: d.Logged[:0], Warming: d.Warming[:0], Model: streams.ModelVersion{Name: r.Candidates[0], Version: p.version},
	}
	r.recall(p, c, s)
	history := len(s.history)
	switch {
	case t.Stale(d.ExpiresMS):
		withhold(d, streams.Reason{Code: streams.ReasonStale})
	case t.Paused(r.name):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: r.name})
	case t.Paused(GroupRecommendations):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: GroupRecommendations})
	default:
		s.left = [leftCauses]int{}
		a := asked{page: pageOf(t.Event), key: customerKey(t.CustomerHash()), nowMS: t.NowMS, size: r.Size, event: t.Event,
			id: t.Customer, anonymous: t.Anonymous, turn: t, left: &s.left}
		recent := c.recent
		if e := t.Event; e != nil && e.Type == streams.DecisionRequested && len(e.Lines) > 0 {
			// What is on the page speaks here as what was looked at does, though to ask is no doing of the customer: it stays with this list.
			c.recent = slices.Clone(recent)
			for k := range e.Lines {
				a.lookAt(p, c, e.Lines[k].ID, len(e.Lines)-1-k)
				a.pages = append(a.pages, a.page)
			}
			r.recall(p, c, s)
		}
		r.fill(p, c, s, &a)
		c.recent = recent
		if len(d.Items) == 0 {
			cause := mainCause(&s.left)
			if cause == "" && !r.Always {
				return // nothing is known yet: there is nothing to show, and nothing to withhold
			}
			withhold(d, streams.Reason{Code: streams.ReasonNoItems, With: cause})
		}
	}
	if r.AtMost.N > 0 {
		m := c.mark(r.key)
		if t.NowMS >= m.atMS+r.atMostMS {
			m.atMS, m.n = t.NowMS, 0
		}
		m.n++
	}
	d.Features = append(d.Features,
		streams.Feature{Name: "history", Value: float64(history)},
		streams.Feature{Name: "idle_s", Value: float64(s.idleMS / 1000)},
		streams.Feature{Name: "purchases", Value: float64(c.occasions().Count)})
	r.log(p, t, c, s, d)
	t.Decide(d)
	if r.clicks != nil && d.Action == streams.ActionShow {
		r.remember(p, t, c, s)
	}
}

// recall puts the customer's last items that are still known into the scratch, the latest first.
func (r *recommender) recall(p *Program, c *Customer, s *scratch) {
	s.history = s.history[:0]
	for k := len(c.recent) - 1; k >= 0 && len(s.history) < r.History; k-- {
		e := &c.recent[k]
		if e.item = p.catalog.resolve(e.hash, e.item); e.item != models.NoItem {
			s.history = append(s.history, e.item)
		}
	}
}

// asked is what a list is asked for.
type asked struct {
	page  uint64   // hash of the item on the page, 0 for none
	pages []uint64 // of all of them, where a request names several
	key   uint64   // of the customer
	nowMS int64
	size  int
	keep  func(i models.Item) bool // beside the rules of all lists; nil: all
	left  *[leftCauses]int         // candidates left out, by cause; nil: nobody counts

	event     *streams.Event // nil: none
	id        string
	anonymous bool
	turn      *engine.Turn // whose chance explores; nil: nothing is left to chance
}

// lookAt puts an item of a request before all that the customer looked at but for so many others of the request; the last one is on the page.
func (a *asked) lookAt(p *Program, c *Customer, id string, others int) {
	a.page = hashItem(id)
	c.recent = meet(c.recent, seen{hash: a.page, atMS: a.nowMS - int64(others), item: models.NoItem}, max(p.config.Limits.History, 1))
}

// Why candidates are left out.
const (
	leftUnavailable = iota
	leftPage
	leftCart
	leftBought
	leftViewed
	leftTired
	leftFiltered
	leftAsked
	leftCauses
)

// leftCodes name them in the reason of a decision that shows nothing.
var leftCodes = [leftCauses]string{leftUnavailable: "unavailable", leftPage: "page", leftCart: "cart", leftBought: "bought", leftViewed: "viewed", leftTired: "seen", leftFiltered: "filter"}

// mainCause names what has left out most candidates; "" where there was none but the item on the page.
func mainCause(left *[leftCauses]int) string {
	most := leftPage
	for cause, n := range left {
		if cause != leftPage && n > 0 && (most == leftPage || n > left[most]) {
			most = cause
		}
	}
	if most == leftPage {
		return ""
	}
	return leftCodes[most]
}

// pageOf is the item that an event is about, if it is one.
func pageOf(e *streams.Event) uint64 {
	if e == nil || len(e.Lines) != 1 {
		return 0
	}
	return hashItem(e.Lines[0].ID)
}

// keeps says whether a candidate of a source may be shown, and counts why not: each item once, whichever sources name it.
func (a *asked) keeps(p *Program, r *recommender, c *Customer, s *scratch, i models.Item, source int) bool {
	cause, out := a.out(p, r, c, s, i, source)
	if out && a.left != nil {
		if at, fresh := s.out.Place(i); fresh || at < 0 {
			a.left[cause]++
		}
	}
	return !out
}

func (a *asked) out(p *Program, r *recommender, c *Customer, s *scratch, i models.Item, source int) (cause int, out bool) {
	if !p.catalog.sellable(i, a.nowMS) {
		return leftUnavailable, true
	}
	hash := p.catalog.hashes[i.Row()]
	if cause, out = c.unwanted(hash, a.page); out {
		return cause, true
	}
	if slices.Contains(a.pages, hash) {
		return leftPage, true
	}
	if source != fromAgain && p.hasEnough(c, i, hash, a.nowMS-r.boughtMS) {
		return leftBought, true
	}
	if r.ExcludeViewed > 0 && source != fromRecent && c.viewed(hash, a.nowMS-r.ExcludeViewed.MS()) {
		return leftViewed, true
	}
	if r.SeenAtMost.N > 0 && c.rests(hash, r.SeenAtMost.N, a.nowMS-r.restMS) {
		return leftTired, true
	}
	if r.filter != nil {
		holds := s.holds(p, r.filter, i)
		if r.matched.filter(holds); !holds {
			return leftFiltered, true
		}
	}
	return leftAsked, a.keep != nil && !a.keep(i)
}

// unwanted says whether an item may not be shown to the customer: it is on the page or in the cart.
func (c *Customer) unwanted(hash, page uint64) (cause int, out bool) {
	if hash == page {
		return leftPage, true
	}
	for i := range c.cart {
		if c.cart[i].hash == hash {
			return leftCart, true
		}
	}
	return 0, false
}

// viewed says whether the customer has met an item since a time.
func (c *Customer) viewed(hash uint64, sinceMS int64) bool {
	for k := len(c.recent) - 1; k >= 0 && c.recent[k].atMS >= sinceMS; k-- {
		if c.recent[k].hash == hash {
			return true
		}
	}
	return false
}

// hasEnough says whether the customer has bought an item since a time, or ever, where it is one that nobody buys twice.
func (p *Program) hasEnough(c *Customer, i models.Item, hash uint64, sinceMS int64) bool {
	for k := len(c.bought) - 1; k >= 0; k-- {
		b := &c.bought[k]
		if b.atMS < sinceMS && !p.learnsAgain {
			return false
		}
		if b.hash == hash {
			return b.atMS >= sinceMS || p.repurchase.Never(i, p.catalog.rows[i.Row()].leaf)
		}
	}
	return false
}

// round keeps four digits: more say nothing, and every digit is published.
func round(x float32) float64 {
	if !(x > 0) {
		return 0
	}
	scale := 1e4
	for y := float64(x); y < 0.1 && scale < 1e12; y *= 10 {
		scale *= 10
	}
	return math.Floor(float64(float64(x)*scale)+0.5) / scale
}

// withhold turns a decision into one that is published but not acted on.
func withhold(d *streams.Decision, why streams.Reason) {
	d.Action = streams.ActionNone
	d.Items = d.Items[:0]
	d.Propensity = 0
	d.Reasons = append(d.Reasons[:0], why)
}
