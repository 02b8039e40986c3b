package operators

import (
	"nudge/models"
	"nudge/streams"
)

// The sources of candidates, named like the reasons that they give where they give one.
const (
	viewedTogether  = streams.ReasonViewedTogether
	trending        = streams.ReasonTrending
	recentlyViewed  = "recently_viewed"
	nextItem        = "next_item"
	similarShoppers = streams.ReasonSimilarShoppers
	similarContent  = streams.ReasonSimilarContent
	goesWith        = "goes_with"
	insteadOf       = "instead_of"
	buyAgain        = "buy_again"
	sequence        = "sequence"
	choices         = "choices"
)

// The numbers of the sources: what was learned of them is kept under these, so they never change.
const (
	fromTogether = iota
	fromTrending
	fromRecent
	fromNext
	fromShoppers
	fromContent
	fromGoesWith
	fromInstead
	fromAgain
	fromSequence
	fromChoices
	numSources = 12 // with room
	noSource   = -1
)

var sourceNumbers = map[string]int{
	viewedTogether: fromTogether, trending: fromTrending, recentlyViewed: fromRecent, nextItem: fromNext, similarShoppers: fromShoppers,
	similarContent: fromContent, goesWith: fromGoesWith, insteadOf: fromInstead, buyAgain: fromAgain, sequence: fromSequence, choices: fromChoices,
}

var sourceNames = func() (names [numSources]string) {
	for name, n := range sourceNumbers {
		names[n] = name
	}
	return names
}()

// Sources lists the names of the sources of candidates.
func Sources() (names []string) {
	for _, name := range sourceNames {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// said is what a source says of a candidate.
type said struct {
	rank   int     // from 1; 0: nothing
	part   float32 // its score as a part of the source's best
	code   string  // of the reason
	with   models.Item
	weight float64
}

// ask asks a source for its best candidates, the best first, and hands them to say with the source's score. keep says of each whether it may be shown.
func (r *recommender) ask(p *Program, c *Customer, s *scratch, a *asked, source, want int, say func(i models.Item, score float32, x said)) {
	keep := func(i models.Item) bool { return a.keeps(p, r, c, s, i, source) }
	each := func(top []models.Candidate, code string, with bool) {
		for k := range top {
			x := said{rank: k + 1, code: code, with: models.NoItem, weight: round(top[k].Weight)}
			if with {
				x.with = top[k].Source
			}
			say(top[k].Item, top[k].Score, x)
		}
	}
	s.candidates.Reset()
	switch source {
	case fromTogether:
		p.together.Score(s.candidates, s.history, a.nowMS)
		each(s.candidates.Top(want, keep), streams.ReasonViewedTogether, true)
	case fromShoppers:
		p.askSimilar(c, s, a.key, a.nowMS)
		each(s.candidates.Top(want, keep), streams.ReasonSimilarShoppers, false)
	case fromContent:
		p.content.Score(s.candidates, &s.content, s.history, c.searched.words(a.nowMS))
		for k, x := range s.candidates.Top(want, keep) {
			why := said{rank: k + 1, code: streams.ReasonSimilarContent, with: x.Source, weight: round(x.Score)}
			switch {
			case p.isNew(x.Item, a.nowMS):
				why.code = streams.ReasonNewArrival
			case x.Source == models.NoItem:
				why.code = streams.ReasonRecentSearch
			}
			say(x.Item, x.Score, why)
		}
	case fromGoesWith:
		p.goesWith.Score(s.candidates, s.basket(p, c, a), a.nowMS)
		each(s.candidates.Top(want, keep), streams.ReasonBoughtTogether, true)
	case fromInstead:
		page := p.catalog.find(a.page)
		if page == models.NoItem {
			return
		}
		leaf := p.catalog.rows[page.Row()].leaf
		p.together.Score(s.candidates, append(s.asking[:0], page), a.nowMS)
		each(s.candidates.Top(want, func(i models.Item) bool {
			return leaf != 0 && p.catalog.rows[i.Row()].leaf == leaf && keep(i)
		}), streams.ReasonSameCategory, false)
	case fromAgain:
		p.askAgain(c, s, a)
		each(s.candidates.Top(want, keep), streams.ReasonRepurchase, false)
	case fromNext:
		p.askNext(c, s, a.key, a.nowMS)
		for k, x := range s.next.Top(want, keep) {
			why := p.whyNext(s, x.Item, round(x.Score))
			why.rank = k + 1
			say(x.Item, x.Score, why)
		}
	case fromSequence:
		p.askSequence(c, s, a.key, a.nowMS)
		each(s.candidates.Top(want, keep), streams.ReasonModelScore, false)
	case fromChoices:
		p.askChoices(c, s)
		for k, x := range s.candidates.Top(want, keep) {
			worth := float32(models.Exp(float64(x.Score)))
			say(x.Item, worth, said{rank: k + 1, code: streams.ReasonModelScore, with: models.NoItem, weight: round(worth)})
		}
	case fromRecent:
		n := 0
		for k, i := range s.history {
			if n < want && keep(i) {
				n++
				say(i, 1/float32(k+1), said{rank: n, code: streams.ReasonRecentView, with: models.NoItem})
			}
		}
	case fromTrending:
		n := 0
		for _, i := range p.trends.Top() {
			if n == want {
				break
			}
			if keep(i) {
				n++
				share := float32(p.trends.Share(i))
				say(i, share, said{rank: n, code: streams.ReasonTrending, with: models.NoItem, weight: round(share)})
			}
		}
		if n < a.size {
			p.askCategories(s, keep)
			for k, x := range s.candidates.Top(a.size-n, everything) {
				say(x.Item, x.Score, said{rank: n + k + 1, code: streams.ReasonTrending, with: models.NoItem, weight: round(x.Score)})
			}
		}
	}
}

func everything(models.Item) bool { return true }

// How many categories are looked into where what is in demand may not be shown, and how many of the best of each before it is left.
const (
	askedCategories = 1024
	probedItems     = 4
)

// askCategories gathers what is in demand in categories of which something may be shown, but for what is in demand in the whole shop.
func (p *Program) askCategories(s *scratch, keep func(models.Item) bool) {
	p.trends.Groups(askedCategories, func(top []models.Item) {
		probed, some := 0, false
		for _, i := range top {
			switch {
			case p.trends.Listed(i):
			case probed == probedItems && !some:
				return
			case keep(i):
				some = true
				s.candidates.Add(i, float32(p.trends.Share(i)))
			default:
				probed++
			}
		}
	})
}

// newFor is how long an item is new.
const newFor = 7 * 24 * 3600_000

// isNew says whether an item came into the catalogue lately, and not with the catalogue itself.
func (p *Program) isNew(i models.Item, nowMS int64) bool {
	born := p.catalog.rows[i.Row()].bornMS
	return born != 0 && nowMS-born < newFor && born > p.openedMS+24*3600_000
}

// basket is what goes into the question what goes with it: the item on the page, then the cart, the latest first.
func (s *scratch) basket(p *Program, c *Customer, a *asked) []models.Item {
	s.asking = s.asking[:0]
	if page := p.catalog.find(a.page); page != models.NoItem {
		s.asking = append(s.asking, page)
	}
	for k := len(c.cart) - 1; k >= 0 && len(s.asking) < learnedHistory+1; k-- {
		if i := p.catalog.find(c.cart[k].hash); i != models.NoItem && c.cart[k].hash != a.page {
			s.asking = append(s.asking, i)
		}
	}
	return s.asking
}

// leastDue is how much it must be time to buy something again for it to be offered.
const leastDue = 0.08

// askAgain gathers what it is time to buy again.
func (p *Program) askAgain(c *Customer, s *scratch, a *asked) {
	for k := range c.bought {
		b := &c.bought[k]
		i := p.catalog.resolve(b.hash, b.item)
		if i == models.NoItem {
			continue
		}
		if due := p.repurchase.Due(i, p.catalog.rows[i.Row()].leaf, a.nowMS-b.atMS); due >= leastDue {
			s.candidates.Add(i, float32(due))
		}
	}
}

// reason puts what a source says into words.
func (p *Program) reason(x *said, i models.Item) streams.Reason {
	why := streams.Reason{Code: x.code, Weight: x.weight}
	switch {
	case x.code == streams.ReasonNewArrival:
		why.With = p.firstCategory(i)
	case p.catalog.valid(x.with) && x.with != i:
		why.With = p.catalog.id(x.with)
	}
	return why
}
