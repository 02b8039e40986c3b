package operators

import (
	"math"
	"slices"

	"nudge/engine"
	"nudge/models"
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
}

func (p *Program) newRecommender(name string, r Recommender) (*recommender, error) {
	d, err := p.newDecider(name, r.When, r.Audience, r.Log)
	if err != nil {
		return nil, err
	}
	x := &recommender{
		Recommender: r, decider: d,
		expiresMS: r.Expires.MS(), boughtMS: r.ExcludeBought.MS(), atMostMS: r.AtMost.Per.MS(),
	}
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
		Items: d.Items[:0], Reasons: d.Reasons[:0], Features: d.Features[:0], Logged: d.Logged[:0], Model: streams.ModelVersion{Name: r.Candidates[0], Version: p.version},
	}
	r.recall(p, c, s)
	switch {
	case t.Stale(d.ExpiresMS):
		withhold(d, streams.Reason{Code: streams.ReasonStale})
	case t.Paused(r.name):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: r.name})
	case t.Paused(GroupRecommendations):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: GroupRecommendations})
	default:
		r.fill(p, c, s, &asked{page: pageOf(t.Event), key: customerKey(t.CustomerHash()), nowMS: t.NowMS, size: r.Size})
		switch {
		case len(d.Items) > 0:
			d.Propensity = 1
		case r.Always:
			withhold(d, streams.Reason{Code: streams.ReasonNoItems})
		default:
			return // nothing is known yet: there is nothing to show, and nothing to withhold
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
		streams.Feature{Name: "history", Value: float64(len(s.history))},
		streams.Feature{Name: "idle_s", Value: float64(s.idleMS / 1000)},
		streams.Feature{Name: "purchases", Value: float64(c.purchases.Count)})
	r.log(p, t, c, s, d)
	t.Decide(d)
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
	page  uint64 // hash of the item on the page, 0 for none
	key   uint64 // of the customer
	nowMS int64
	size  int
	keep  func(i models.Item) bool // beside the rules of all lists; nil: all
	left  *[leftCauses]int         // candidates left out, by cause; nil: nobody counts
}

// Why candidates are left out.
const (
	leftUnavailable = iota
	leftPage
	leftCart
	leftBought
	leftFiltered
	leftCauses
)

// pageOf is the item that an event is about, if it is one.
func pageOf(e *streams.Event) uint64 {
	if e == nil || len(e.Lines) != 1 {
		return 0
	}
	return hashItem(e.Lines[0].ID)
}

// out says whether a candidate is left out, and why.
func (a *asked) out(p *Program, r *recommender, c *Customer, i models.Item) (cause int, out bool) {
	if !p.catalog.sellable(i, a.nowMS) {
		return leftUnavailable, true
	}
	if cause, out = c.unwanted(p.catalog.hashes[i.Row()], a.page, a.nowMS-r.boughtMS); out {
		return cause, true
	}
	return leftFiltered, a.keep != nil && !a.keep(i)
}

// fill ranks the candidates into the scratch's decision.
func (r *recommender) fill(p *Program, c *Customer, s *scratch, a *asked) {
	d, now := &s.decision, a.nowMS
	keep := func(i models.Item) bool {
		cause, out := a.out(p, r, c, i)
		if out && a.left != nil {
			a.left[cause]++
		}
		return !out
	}
	s.reserve(a.size)
	want := a.size // candidates of a source: some may be one too many of their category
	if r.PerCategory > 0 {
		want *= 8
	}
	last := 1.0 // score of the last one shown
	for _, from := range r.Candidates {
		chosen, best := len(d.Items), last
		show := func(i models.Item, score float64, why streams.Reason) {
			if len(d.Items) == a.size || !keep(i) {
				return
			}
			id, category := p.catalog.id(i), ""
			if r.PerCategory > 0 {
				category = p.firstCategory(i)
				if category != "" && s.shownOf(category) >= r.PerCategory {
					return
				}
			}
			if slices.ContainsFunc(d.Items[:chosen], func(x streams.DecisionItem) bool { return x.ID == id }) {
				return
			}
			last = round(float32(score))
			s.show(id, last, why)
			s.shown = append(s.shown, category)
		}
		// ranked shows what a source has ranked, below what stands there already.
		ranked := func(top []models.Candidate, why func(x *models.Candidate) streams.Reason) {
			scale := 1.0
			if chosen > 0 && len(top) > 0 && top[0].Score > 0 {
				scale = best / float64(top[0].Score)
			}
			for k := range top {
				show(top[k].Item, scale*float64(top[k].Score), why(&top[k]))
			}
		}
		switch from {
		case viewedTogether:
			s.candidates.Reset()
			p.together.Score(s.candidates, s.history, now)
			ranked(s.candidates.Top(want, keep), func(x *models.Candidate) streams.Reason {
				return streams.Reason{Code: streams.ReasonViewedTogether, With: p.catalog.id(x.Source), Weight: round(x.Weight)}
			})
		case similarShoppers:
			p.askSimilar(c, s, a.key, now)
			ranked(s.candidates.Top(want, keep), func(x *models.Candidate) streams.Reason {
				return streams.Reason{Code: streams.ReasonSimilarShoppers, Weight: round(x.Weight)}
			})
		case nextItem:
			p.askNext(c, s, a.key, now)
			ranked(s.next.Top(want, keep), func(x *models.Candidate) streams.Reason { return p.whyNext(s, x.Item, round(x.Score)) })
		case recentlyViewed:
			for k, i := range s.history {
				show(i, best/float64(k+1), streams.Reason{Code: streams.ReasonRecentView})
			}
		case trending:
			for _, i := range p.trends.Top() {
				if len(d.Items) == a.size {
					break
				}
				share := round(float32(p.trends.Share(i)))
				show(i, best*share, streams.Reason{Code: streams.ReasonTrending, Weight: share})
			}
		}
	}
}

// unwanted says whether an item may not be shown to the customer: it is on the page, in the cart, or bought since.
func (c *Customer) unwanted(hash, page uint64, boughtSinceMS int64) (cause int, out bool) {
	if hash == page {
		return leftPage, true
	}
	for i := range c.cart {
		if c.cart[i].hash == hash {
			return leftCart, true
		}
	}
	for i := len(c.bought) - 1; i >= 0 && c.bought[i].atMS >= boughtSinceMS; i-- {
		if c.bought[i].hash == hash {
			return leftBought, true
		}
	}
	return 0, false
}

// shownOf counts the items of a category that are in the list.
func (s *scratch) shownOf(category string) (n int) {
	for _, x := range s.shown {
		if x == category {
			n++
		}
	}
	return n
}

// reserve makes room for n items with a reason each.
func (s *scratch) reserve(n int) {
	if cap(s.reasons) < n {
		s.reasons = make([]streams.Reason, 0, n)
		s.decision.Items = make([]streams.DecisionItem, 0, n)
	}
	s.reasons, s.shown = s.reasons[:0], s.shown[:0]
}

// show adds an item to the scratch's decision; reserve made the room.
func (s *scratch) show(id string, score float64, why streams.Reason) {
	k := len(s.reasons)
	s.reasons = append(s.reasons, why)
	s.decision.Items = append(s.decision.Items, streams.DecisionItem{ID: id, Score: score, Propensity: 1, Reasons: s.reasons[k : k+1 : k+1]})
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
