package operators

import (
	"slices"
	"time"

	"nudge/models"
	"nudge/operators/condition"
	"nudge/operators/feature"
	"nudge/streams"
)

// listed is a candidate on its way into a list. Scores are comparable within the list only.
type listed struct {
	item    models.Item
	score   float64
	first   int // the source that named it first
	says    [numSources]said
	offered models.Offered // for recommenders that rank
	stands  models.Standing
	buried  bool
	taken   bool
}

// rule is a compiled Rule.
type rule struct {
	pin         uint64 // hash of the item
	at          int
	boost, bury *condition.Condition
	by          float64
	from, until int64 // ms; 0: open
}

func (r *rule) inForce(nowMS int64) bool {
	return (r.from == 0 || nowMS >= r.from) && (r.until == 0 || nowMS < r.until)
}

func (p *Program) newRules(rules []Rule) (out []rule, err error) {
	for _, x := range rules {
		r := rule{at: x.At, by: x.By}
		if x.Pin != "" {
			r.pin = hashItem(x.Pin)
		}
		if r.boost, err = p.condition(x.Boost, scopeFilter); err != nil {
			return nil, err
		}
		if r.bury, err = p.condition(x.Bury, scopeFilter); err != nil {
			return nil, err
		}
		if x.From.days != 0 {
			r.from = p.midnight(int(x.From.days - 1))
		}
		if x.Until.days != 0 {
			r.until = p.midnight(int(x.Until.days))
		}
		out = append(out, r)
	}
	return out, nil
}

// midnight is when a day since 1970 begins in the pipeline's zone.
func (p *Program) midnight(days int) int64 {
	return feature.ClockTime(p.zone, 1970, time.January, 1+days, 0).UnixMilli()
}

const perRankedSource = 60 // candidates of a source, where they are ranked

// fill makes the list: candidates, their order, the merchandiser's rules, and what is chosen of them into the scratch's decision.
func (r *recommender) fill(p *Program, c *Customer, s *scratch, a *asked) {
	s.list, s.order = s.list[:0], s.order[:0]
	s.union.Reset()
	s.out.Reset()
	if r.filter != nil || r.clicks != nil || len(r.rules) > 0 {
		s.facts.ask(p, c, a)
	}
	if r.clicks != nil {
		r.gather(p, c, s, a)
		r.top(p, c, s, a)
		r.rank(p, c, s, a)
	} else {
		r.chain(p, c, s, a)
		r.top(p, c, s, a)
	}
	if len(r.rules) > 0 {
		r.apply(p, s, a)
	}
	r.choose(p, c, s, a)
	r.show(p, s)
}

// say notes what a source says of an item, which becomes a candidate; nil where there is no more room.
func (s *scratch) say(i models.Item, source int, x said) (l *listed, fresh bool) {
	at, fresh := s.union.Place(i)
	if at < 0 {
		return nil, false
	}
	if fresh {
		s.order = append(s.order, int32(at))
		if len(s.list) < cap(s.list) {
			s.list = s.list[:len(s.list)+1]
			features := s.list[at].offered.Features
			s.list[at] = listed{item: i, first: source}
			s.list[at].offered.Features = features[:0]
		} else {
			s.list = append(s.list, listed{item: i, first: source})
		}
	}
	s.list[at].says[source] = x
	return &s.list[at], fresh
}

// chain puts the candidates of one source below those of the source before. What a source has fills up is scored below the last of them.
func (r *recommender) chain(p *Program, c *Customer, s *scratch, a *asked) {
	want := a.size // candidates of a source: some may be one too many of their category
	if r.PerCategory > 0 || r.PerBrand > 0 {
		want *= 8
	}
	if r.Diversify > 0 || r.Rank.Explore > 0 || len(r.rules) > 0 {
		want = max(want, models.DiversityConsidered)
	}
	last := 1.0
	for _, source := range r.sources {
		if len(s.list) >= want {
			break
		}
		best, scale, begun := last, 0.0, len(s.list)
		r.ask(p, c, s, a, source, want, func(i models.Item, score float32, x said) {
			if len(s.list) >= want {
				return
			}
			if scale == 0 {
				scale = 1
				if source == fromRecent || source == fromTrending {
					scale = best
				} else if begun > 0 && score > 0 {
					scale = best / float64(score)
				}
			}
			if l, fresh := s.say(i, source, x); fresh {
				if source == fromTrending {
					score = float32(x.weight)
				}
				l.score = round(float32(float64(scale * float64(score))))
				last = l.score
			}
		})
	}
}

// top fills a list up where next_item is asked and leaves it short: that names only the first few of what is in demand, and these are the first to be sold out.
func (r *recommender) top(p *Program, c *Customer, s *scratch, a *asked) {
	want, score := a.size, 1.0
	if r.PerCategory > 0 || r.PerBrand > 0 {
		want *= 8
	}
	if len(s.list) >= want || !slices.Contains(r.sources, fromNext) || slices.Contains(r.sources, fromTrending) {
		return
	}
	if n := len(s.list); n > 0 {
		score = s.list[n-1].score
	}
	known := len(s.list)
	r.ask(p, c, s, a, fromTrending, want, func(i models.Item, share float32, x said) {
		if len(s.list) == want || slices.ContainsFunc(s.list[:known], func(l listed) bool { return l.item == i }) {
			return
		}
		x.rank = len(s.list) + 1
		if l, _ := s.say(i, fromNext, x); l != nil {
			l.score = round(float32(score * float64(share)))
		}
	})
}

// apply has the merchandiser's boosts and burials their way.
func (r *recommender) apply(p *Program, s *scratch, a *asked) {
	for k := range s.list {
		l := &s.list[k]
		for i := range r.rules {
			x := &r.rules[i]
			switch {
			case !x.inForce(a.nowMS):
			case x.boost != nil && s.holds(p, x.boost, l.item):
				l.score *= x.by
				r.matched.rule(i)
			case x.bury != nil && s.holds(p, x.bury, l.item):
				l.buried = true
				r.matched.rule(i)
			}
		}
	}
	s.sort()
}

// holds says whether a condition holds of a candidate; the facts of the customer are set.
func (s *scratch) holds(p *Program, c *condition.Condition, i models.Item) bool {
	s.facts.item = i
	return c.True(&s.facts)
}

// sort puts the best first. What scores the same stays in the order of the sources.
func (s *scratch) sort() {
	slices.SortFunc(s.order, func(a, b int32) int {
		x, y := &s.list[a], &s.list[b]
		switch {
		case x.buried != y.buried:
			return int(bit(x.buried)) - int(bit(y.buried))
		case x.score > y.score:
			return -1
		case x.score < y.score:
			return 1
		}
		return int(a - b)
	})
}

// pick is an item that is shown.
type pick struct {
	item       models.Item
	at         int // in the list; -1: a rule put it here
	propensity float64
	explored   bool
}

// choose takes items off the list, place by place, into the scratch's picks. A place is chance's with the recommender's share of
// exploring: then each candidate that is still allowed has the same chance. Otherwise it goes to the best, where lists are to be diverse
// to that which is worth most below the items above it, as models.Diversity says. Either way what is buried comes only when there is nothing else.
// An item's propensity is its chance at its place given those above it.
func (r *recommender) choose(p *Program, c *Customer, s *scratch, a *asked) {
	s.picks, s.above = s.picks[:0], s.above[:0]
	r.pin(p, c, s, a)
	explore := r.Rank.Explore
	if a.turn == nil {
		explore = 0
	}
	for place := 1; place <= a.size; place++ {
		if i := s.pinned(place); i != models.NoItem {
			s.pick(pick{item: i, at: -1, propensity: 1})
			continue
		}
		at, allowed := r.best(p, s, explore > 0)
		if at < 0 {
			continue // what is pinned further down moves up
		}
		x := pick{at: at, propensity: 1}
		if explore > 0 && allowed > 1 {
			share := explore / float64(allowed)
			x.propensity = 1 - explore + share
			salt := uint64(r.key)<<32 | uint64(place)
			if unit(a.turn.Random(salt)) < explore {
				if other := r.nth(p, s, int(a.turn.Random(salt^1<<32)%uint64(allowed))); other != at {
					x = pick{at: other, propensity: share, explored: true}
				}
			}
		}
		x.item = s.list[x.at].item
		s.list[x.at].taken = true
		s.pick(x)
	}
}

func (s *scratch) pick(x pick) { s.picks, s.above = append(s.picks, x), append(s.above, x.item) }

// unit turns a random number into one of [0, 1).
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// best is the candidate that a place goes to, -1 for none, and how many were allowed there, as far as they are counted.
func (r *recommender) best(p *Program, s *scratch, count bool) (at, allowed int) {
	at = -1
	most := 0.0
	for _, k := range s.order {
		l := &s.list[k]
		if l.taken || !r.fits(p, s, l.item) {
			continue
		}
		if at >= 0 && l.buried != s.list[at].buried {
			break // the rest is buried, and has no chance here
		}
		switch allowed++; {
		case at < 0:
			at = int(k)
			if r.Diversify > 0 {
				most = r.diversity.Worth(&l.stands, l.item, l.score, s.above, 0)
			}
		case r.Diversify > 0 && allowed <= models.DiversityConsidered:
			if x := r.diversity.Worth(&l.stands, l.item, l.score, s.above, most); x > most {
				at, most = int(k), x
			}
		}
		if !count && (r.Diversify == 0 || allowed == models.DiversityConsidered) {
			break
		}
	}
	return at, allowed
}

// nth returns the n-th candidate that is still allowed.
func (r *recommender) nth(p *Program, s *scratch, n int) int {
	for _, k := range s.order {
		if l := &s.list[k]; !l.taken && r.fits(p, s, l.item) {
			if n == 0 {
				return int(k)
			}
			n--
		}
	}
	return -1
}

// fits says whether an item's category and brand have room.
func (r *recommender) fits(p *Program, s *scratch, i models.Item) bool {
	if r.PerCategory == 0 && r.PerBrand == 0 {
		return true
	}
	x := &p.catalog.rows[i.Row()]
	categories, brands := 0, 0
	for _, other := range s.picks {
		y := &p.catalog.rows[other.item.Row()]
		categories += int(bit(y.leaf == x.leaf))
		brands += int(bit(y.brand == x.brand))
	}
	return (r.PerCategory == 0 || x.leaf == 0 || categories < r.PerCategory) && (r.PerBrand == 0 || x.brand == "" || brands < r.PerBrand)
}

// alike is how much two items have in common: of what describes them, and where one is not described how often they are met together.
func (p *Program) alike(a, b models.Item) float32 {
	switch {
	case len(p.content.Terms(a)) > 0 && len(p.content.Terms(b)) > 0:
		return p.content.Alike(a, b)
	case p.learnsTogether:
		return p.together.Alike(a, b)
	}
	return p.next.Together.Alike(a, b)
}

// pinning is an item that a rule puts at a place.
type pinning struct {
	item models.Item
	at   int
}

// pin finds what the rules in force put where, of what may be shown, and takes it off the candidates: of two for one place, the first; of two
// places for one item, the first rule's.
func (r *recommender) pin(p *Program, c *Customer, s *scratch, a *asked) {
	s.pins = s.pins[:0]
	for k := range r.rules {
		x := &r.rules[k]
		if x.pin == 0 || x.at > a.size || !x.inForce(a.nowMS) {
			continue
		}
		i := p.catalog.find(x.pin)
		if slices.ContainsFunc(s.pins, func(other pinning) bool { return other.at == x.at || other.item == i }) || !a.keeps(p, r, c, s, i, noSource) {
			continue
		}
		s.pins = append(s.pins, pinning{i, x.at})
		r.matched.rule(k)
		for k := range s.list {
			s.list[k].taken = s.list[k].taken || s.list[k].item == i
		}
	}
}

// pinned is the item that is pinned at a place, NoItem for none.
func (s *scratch) pinned(place int) models.Item {
	for _, x := range s.pins {
		if x.at == place {
			return x.item
		}
	}
	return models.NoItem
}

// reasonsShown is how many sources an item names as its reasons where candidates are ranked.
const reasonsShown = 2

// show puts what was chosen into the scratch's decision.
func (r *recommender) show(p *Program, s *scratch) {
	d := &s.decision
	if room := len(s.picks) * (reasonsShown + 1); cap(s.reasons) < room {
		s.reasons = make([]streams.Reason, 0, room)
	}
	s.reasons, d.Items = s.reasons[:0], d.Items[:0]
	d.Propensity, d.Explored = 1, false
	for k := range s.picks {
		x := &s.picks[k]
		from, score := len(s.reasons), 0.0
		if x.at < 0 {
			s.reasons = append(s.reasons, streams.Reason{Code: streams.ReasonPinned})
		} else {
			l := &s.list[x.at]
			score = round(float32(l.score))
			if x.explored {
				s.reasons = append(s.reasons, streams.Reason{Code: streams.ReasonExplored})
			}
			r.explain(p, s, l)
		}
		d.Items = append(d.Items, streams.DecisionItem{ID: p.catalog.id(x.item), Score: score, Propensity: round(float32(x.propensity)), Reasons: s.reasons[from:len(s.reasons):len(s.reasons)]})
		d.Propensity *= x.propensity
		d.Explored = d.Explored || x.explored
	}
	d.Propensity = round(float32(d.Propensity))
}

// explain appends what the sources say of a candidate, those first that rank it best: the first source alone where nothing is ranked.
func (r *recommender) explain(p *Program, s *scratch, l *listed) {
	if r.clicks == nil {
		s.reasons = append(s.reasons, p.reason(&l.says[l.first], l.item))
		return
	}
	for n, before := 0, 0; n < reasonsShown; n++ {
		best := -1
		for _, source := range r.sources {
			x := &l.says[source]
			if x.rank > 0 && before&(1<<source) == 0 && (best < 0 || x.rank < l.says[best].rank) {
				best = source
			}
		}
		if best < 0 {
			return
		}
		before |= 1 << best
		why := p.reason(&l.says[best], l.item)
		if n == 0 || s.reasons[len(s.reasons)-1].Code != why.Code {
			s.reasons = append(s.reasons, why)
		}
	}
}
