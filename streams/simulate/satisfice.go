package simulate

import "math"

// Choice is the law by which shoppers choose of what they see.
type Choice uint8

const (
	// Compensatory is the largest of random utilities: what an item lacks in one aspect it makes up for in another (a logit; McFadden 1974).
	Compensatory Choice = iota
	// Satisficing is the first item that is good enough (Simon, A Behavioral Model of Rational Choice, 1955). Each aspect - whether each side of the
	// style agrees, the price against the budget, the quality, and for what was not looked for the category - is a hurdle of its own, and an item stands as it does in its
	// worst (the conjunctive rule; Coombs 1964; Tversky, Elimination by Aspects, 1972): nothing makes up for it. Lists are gone down from the top, and what stands as
	// high as somebody aspires is taken, whatever comes below (the cascade; Craswell, Zoeter, Taylor, Ramsey 2008). Aspirations differ by person,
	// are lower for who has a need, and fall with what a visit was gone past. Errors are those of a trembling hand (Selten 1975): a share of
	// verdicts, the same for what is nearly good enough and for what is far from it.
	Satisficing
)

// The constants of Satisficing were set so that a shop without recommendations has the visits, views, carts and orders that it has in the base world, and
// the lists of trending the clicks: by nothing that a model reaches.
const (
	aspired   = -0.75 // of what was looked for
	unasked   = 0.2   // more is asked of what was not
	closer    = 0.3   // more is asked by who has looked at an item
	needs     = 0.5   // less is asked by who has a need
	tires     = 0.02  // less is asked for each item of a list that was gone past
	tiresMost = 0.3
	easy      = 0.3 // less is asked by somebody with an impulse of 1

	mistaken   = 0.02 // of what is not good enough is taken
	overlooked = 0.1  // of what is good enough is not
	straying   = 0.1  // of choices of a category are no choice
)

func (w *World) satisfices() bool { return w.shop.Nature.Choice == Satisficing }

// standing is how an item stands in its worst aspect.
func (p *likes) standing(it *item) float32 {
	worst := min(p.afford(it), 0.7*it.quality)
	for d := range it.style {
		worst = min(worst, p.style[d]*it.style[d])
	}
	return worst
}

// afford is how an item's price stands against the budget.
func (p *likes) afford(it *item) float32 {
	over := it.price - p.band
	if over < 0 {
		return p.sensitive * over // too cheap is suspect, but less so
	}
	return -2 * p.sensitive * over
}

// unsought is how an item stands with somebody who did not look for its category.
func (p *likes) unsought(it *item) float32 { return min(p.standing(it), 0.7*p.taste[it.cat]) }

// aspiration is how an item of a list must stand for somebody who has gone past so many in the visit.
func (p *likes) aspiration(passed uint8, need bool) float32 {
	a := aspired - easy*p.impulse - min(tires*float32(passed), tiresMost)
	if need {
		a -= needs
	}
	return a
}

func (p *person) aspiration() float32 {
	return p.likes.aspiration(p.passed, p.urgent || p.fate == fateBuy)
}

// pass counts items that were gone past.
func pass(passed uint8, n int) uint8 { return uint8(min(int(passed)+n, math.MaxUint8)) }

// takes is the chance that somebody of an aspiration takes what stands so.
func takes(standing, aspiration float32) float64 {
	if standing < aspiration {
		return mistaken
	}
	return 1 - overlooked
}

// takeFirst goes down a list and returns the slot of the first item that is taken, or -1.
func (w *World) takeFirst(p *person, list []uint32) int {
	a := p.aspiration()
	for k, i := range list {
		if w.rand.Float64() < takes(p.standing(&w.items[i]), a) {
			p.passed = pass(p.passed, k)
			return int(i)
		}
	}
	p.passed = pass(p.passed, len(list))
	return -1
}

// worthwhile is whether a category comes into question.
func worthwhile(taste, season float32) bool { return taste+season >= 0 }

// wantAny chooses one of the categories that come into question, none before another.
func (w *World) wantAny(p *person) int {
	season := w.season()
	n, chosen := 0, w.rand.IntN(len(categories))
	if w.rand.Float64() < straying {
		return chosen
	}
	for c := range p.taste {
		if worthwhile(p.taste[c], season[c]) {
			if n++; w.rand.IntN(n) == 0 {
				chosen = c
			}
		}
	}
	return chosen
}

// carted is the chance that an item that was looked at, and stands so, is wanted by who aspires so.
func carted(standing, aspiration float32, need bool) float64 {
	switch {
	case standing < aspiration+closer:
		return mistaken
	case need:
		return 0.85
	}
	return 0.35
}

// pleasure is what tells in how long somebody looks at an item.
func (w *World) pleasure(p *person, it *item) float32 {
	switch {
	case !w.satisfices():
		return p.utility(it)
	case p.standing(it) < p.aspiration()+closer:
		return 0
	}
	return 2
}

// wantsNow is the chance that an item under view is put into the cart.
func (w *World) wantsNow(p *person, it *item) float64 {
	if p.owns(it.no) {
		return mistaken
	}
	return carted(p.standing(it), p.aspiration(), p.urgent || p.keen)
}

// paysNow is the chance that somebody goes on with their cart: all of it is looked at once more, and who was disappointed by the shop is wary.
func (w *World) paysNow(p *person) float64 {
	if !w.holdsUp(p) || p.satisfaction < -0.7 {
		return 2 * overlooked
	}
	x := 0.55
	if p.urgent {
		x = 1 - overlooked
	}
	if p.role == stranger {
		x -= 0.2
	}
	return x
}

// holdsUp is whether everything in a cart is good enough on a closer look.
func (w *World) holdsUp(p *person) bool {
	a := p.aspiration() + closer
	for k := range int(p.cartN) {
		if p.standing(&w.items[p.cart[k].item]) < a {
			return false
		}
	}
	return true
}

// Whether somebody of whom only events are known has a need is not known: either is held for as likely.
var haveNeed = [...]bool{false, true}

// likelyFirst is the chance that what was chosen is the first that was taken: that nothing above it was, and it was.
func (p *likes) likelyFirst(o *observation) (chance float64) {
	for _, need := range haveNeed {
		a, left := p.aspiration(o.passed, need), 1/float64(len(haveNeed)) // the chance that nothing was taken so far
		for k := range o.options {
			var x float64
			if it := &o.options[k]; o.act == clicked {
				x = takes(p.unsought(it), a+unasked)
			} else {
				x = takes(p.standing(it), a)
			}
			if k == o.chosen {
				chance += left * x
				left = 0
				break
			}
			left *= 1 - x
		}
		if o.chosen < 0 {
			chance += left
		}
	}
	return chance
}

// likelyTaken is the chance that an item is taken where it is recommended alone.
func (p *likes) likelyTaken(it *item, passed uint8) (chance float64) {
	s := p.unsought(it)
	for _, need := range haveNeed {
		chance += takes(s, p.aspiration(passed, need)+unasked) / float64(len(haveNeed))
	}
	return chance
}

// likelyCarted is the chance that the item that was looked at is put into the cart, or was not.
func (p *likes) likelyCarted(o *observation) (chance float64) {
	s := p.standing(&o.options[0])
	for _, need := range haveNeed {
		chance += carted(s, p.aspiration(o.passed, need), need) / float64(len(haveNeed))
	}
	if o.chosen < 0 {
		return 1 - chance
	}
	return chance
}

// strayed is straying for who does not know the need: a need may be of long ago, and what goes with a category comes after it.
const strayed = 0.25

// likelyWanted is the chance that a category is chosen where a share of choices is none.
func (w *World) likelyWanted(p *likes, c int, none float64) float64 {
	n, season := 0, w.season()
	for k := range p.taste {
		if worthwhile(p.taste[k], season[k]) {
			n++
		}
	}
	even := 1 / float64(len(p.taste))
	switch {
	case n == 0:
		return even
	case worthwhile(p.taste[c], season[c]):
		return none*even + (1-none)/float64(n)
	}
	return none * even
}

// leaveCart draws why a cart that was left did not do, and what would bring somebody back.
func (w *World) leaveCart(p *person, cents int64) {
	better := float32(0.5)
	if w.holdsUp(p) || w.rand.Float64() < straying {
		p.reason = [...]reason{reasonDistracted, reasonDistracted, reasonComparing, reasonShipping}[w.rand.IntN(4)]
		if p.reason == reasonShipping && cents >= 3000 {
			p.reason = reasonUndecided
		}
	} else {
		better, p.reason = -0.5, reasonUndecided
		for k := range int(p.cartN) {
			if it := &w.items[p.cart[k].item]; p.afford(it) < p.aspiration()+closer {
				p.reason = reasonPrice
			}
		}
	}
	p.lean = back[p.reason] + better + 0.3*p.satisfaction - 1.3 + 4*float32(w.rand.Float64()) - 2
}
