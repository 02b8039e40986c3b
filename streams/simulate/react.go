package simulate

import (
	"math"

	"nudge/streams"
)

// coupon is an offer as its receiver sees it.
type coupon struct {
	decision     string
	code         string
	percent      float64
	amount       int64 // cents
	atMost       int64 // cents; 0: no limit
	freeShipping bool
}

// off is the discount on a cart of so many cents.
func (c *coupon) off(cents int64) int64 {
	off := max(c.amount, int64(math.Round(float64(cents)*c.percent/100)))
	if c.atMost > 0 {
		off = min(off, c.atMost)
	}
	return min(off, cents)
}

// reaction is a decision on its way to its customer's eyes.
type reaction struct {
	slot, no  uint32
	decision  string
	items     []uint32 // slots
	coupon    *coupon  // nil for recommendations
	expiresMS int64
}

// React lets the customer of a decision see it, if it is shown and they are there to see it, and respond. atMS is when
// it was published; a time the world has passed means now. The events that follow come out of Until and Next.
//
//   - A recommendation is seen within a second by who is visiting, its first 4 items at least. The item with the largest
//     utility is clicked, or the first that is good enough, if any is worth it and was not looked at lately, viewed, and perhaps bought. That costs patience, and
//     who has none left clicks no more.
//   - A coupon reaches whoever has left a cart, within a minute or so, wherever they are. Those whose lean towards
//     buying is tipped by it come back and redeem it; those who had come back anyway redeem it, too.
//   - A churn alert is for the shop's people, not for the customer: nothing happens.
//
// Nothing of d is kept.
func (w *World) React(d *streams.Decision, atMS int64) {
	if d.ID == "" || d.Action != streams.ActionShow || d.Kind != streams.KindRecommendation && d.Kind != streams.KindCoupon {
		return
	}
	p := w.personNamed(d.User, d.Anonymous)
	if p == nil || !p.alive || p.regular {
		return
	}
	re := reaction{slot: p.slot, no: p.no, decision: string(append([]byte(nil), d.ID...)), expiresMS: d.ExpiresMS}
	at := max(w.now, atMS)
	// How fast they see it hangs on them and the moment, not on what else is drawn for them: a draw from their stream
	// would make everything after it another life.
	luck := unit(p.no, p.visit, 0xd1)
	if d.Kind == streams.KindCoupon {
		if d.Offer == nil {
			return
		}
		re.coupon = &coupon{
			decision: re.decision, code: string(append([]byte(nil), d.Offer.Code...)), percent: d.Offer.PercentOff,
			amount: int64(math.Round(d.Offer.AmountOff * 100)), atMost: int64(math.Round(d.Offer.AtMost * 100)),
			freeShipping: d.Offer.FreeShipping,
		}
		if re.coupon.code == "" {
			re.coupon.code = string(append([]byte(nil), d.Offer.ID...))
		}
		at += 1000 + int64(-math.Log(1-luck)*20_000)
	} else {
		if !p.active {
			return
		}
		for _, it := range d.Items {
			if i, ok := w.itemNamed(it.ID); ok {
				re.items = append(re.items, i)
			}
		}
		if len(re.items) == 0 {
			return
		}
		at += 100 + int64(luck*900)
	}
	if re.expiresMS != 0 && at > re.expiresMS {
		return
	}
	var i uint32
	if n := len(w.reactionsFree); n > 0 {
		i = w.reactionsFree[n-1]
		w.reactionsFree = w.reactionsFree[:n-1]
		w.reactions[i] = re
	} else {
		i = uint32(len(w.reactions))
		w.reactions = append(w.reactions, re)
	}
	w.plan(at, doReact, 0, i)
}

// react is when a decision is seen.
func (w *World) react(i uint32) {
	re := w.reactions[i]
	w.reactions[i] = reaction{}
	w.reactionsFree = append(w.reactionsFree, i)
	p := &w.people[re.slot]
	if p.no != re.no || !p.alive {
		return
	}
	if re.coupon != nil {
		w.seeCoupon(p, &re)
	} else if p.active && p.from == "" && p.coupon == nil && p.phase != crawling {
		w.seeItems(p, &re)
	}
}

// seeCoupon shows a coupon to somebody who has left a cart.
func (w *World) seeCoupon(p *person, re *reaction) {
	w.checkCart(p)
	if !p.abandoned || p.cartN == 0 || p.active {
		return
	}
	// They read it as who they were when they left the cart.
	was := p.logged
	p.logged = p.registered && !p.anonUsed
	items := w.cartNumbers(p)
	w.writeDecision(p, "decision.shown", re.decision, items)
	if p.swayed(re.coupon, w.cartCents(p)) <= 0 {
		if p.reactant || unit(p.no, p.visit, 0xd2) < 0.2 {
			w.writeDecision(p, "decision.dismissed", re.decision, items)
		}
		if p.reactant {
			p.satisfaction -= 0.3
			p.returnMS = 0 // would have come back, and does not any more
			p.stamp++
			if p.role == stranger {
				w.farewell(p)
			} else {
				w.as(p)
				w.planVisit(p)
			}
		}
		p.logged = was
		return
	}
	w.writeDecision(p, "decision.clicked", re.decision, items)
	logged := p.logged
	w.open(p)
	p.logged, p.phase, p.fate, p.returnMS, p.coupon = logged, atCart, fateBuy, 0, re.coupon
	w.goOn(p, w.pause(p, 4))
}

// Of a list the first leastSeen items are seen, and fewer than seenBeyond more.
const (
	leastSeen  = 4
	seenBeyond = 5
)

// reserve is what a recommended item must be worth to be clicked, noise aside.
func (p *person) reserve() float32 {
	if p.urgent {
		return 0.4
	}
	return 1.4
}

// curious says whether somebody would look at a recommended item at all.
func (p *person) curious(it *item) bool { return p.patience > 0 && !p.looked(it.no) }

// struck is what a recommended item is worth at a glance, noise included: more than the threshold of who clicks it.
func (w *World) struck(p *person, it *item, threshold float32) float32 {
	if !w.satisfices() {
		return p.appeal(it) + unitGumbel(p.no, p.visit, it.no)
	}
	if unit(p.no, p.visit, it.no) < takes(p.unsought(it), p.aspiration()+unasked) {
		return threshold + 1
	}
	return threshold
}

// buysSeen is the chance that a recommended item that was clicked is bought: having looked at it they want it as much as any item they have found, and pay as willingly.
func (w *World) buysSeen(p *person, it *item) float64 {
	if w.satisfices() {
		return w.wantsNow(p, it)
	}
	lean := 0.8*p.utility(it) - 2.4 + 0.3*p.impulse
	if p.urgent {
		lean += 1.8
	}
	if p.owns(it.no) {
		lean -= 3
	}
	return 1 / (1 + math.Exp(-float64(lean)))
}

// seeItems shows recommended items to somebody who is visiting.
func (w *World) seeItems(p *person, re *reaction) {
	seen := min(len(re.items), leastSeen+int(unit(p.no, p.visit, 0xd3)*seenBeyond))
	threshold, first := p.reserve()+unitGumbel(p.no, p.visit, 0xd4), w.satisfices()
	best, most := -1, threshold
	var bought []uint32 // in the rest of the visit, had nothing been shown
	if w.shop.Truth != nil {
		w.walk(*p, func(no uint32) { bought = append(bought, no) })
		w.as(p)
	}
	chosen := outcome{}
	w.list = w.list[:0]
	for k, i := range re.items {
		it := &w.items[i]
		u := w.struck(p, it, threshold)
		curious := p.curious(it)
		o := outcome{no: it.no, seen: k < seen, click: curious && u > threshold, buyUnask: contains(bought, it.no)}
		o.buy = o.click && it.stock > 0 && p.cartN < maxCart && unit(p.no, p.visit, it.no^0x5bd1e995) < w.buysSeen(p, it)
		if k < seen {
			w.list = append(w.list, it.no)
			if curious && u > most && !(first && best >= 0) {
				best, most, chosen = int(i), u, o
			}
		}
		w.truthShown(p, re.decision, o)
	}
	w.writeDecision(p, "decision.shown", re.decision, w.list)
	if best < 0 {
		if unit(p.no, p.visit, 0xd5) < 0.03 {
			w.writeDecision(p, "decision.dismissed", re.decision, w.list)
		}
		return
	}
	w.list = append(w.list[:0], chosen.no)
	w.writeDecision(p, "decision.clicked", re.decision, w.list)
	w.lookAt(p, uint32(best))
	p.from, p.fate = re.decision, fateLook
	if chosen.buy {
		p.fate = fateBuy
	}
	p.stamp++
	w.goOn(p, 500+int64(unit(p.no, p.visit, 0xd6)*2500))
}

// unit returns a number in [0,1) that is a function of a person, a visit and a matter. It takes nothing from the
// person's stream of random numbers.
func unit(no, visit, matter uint32) float64 {
	x := uint64(no)<<32 ^ uint64(visit)*0x9e3779b97f4a7c15 ^ uint64(matter)*0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return float64(x>>11) / (1 << 53)
}

func unitGumbel(no, visit, matter uint32) float32 {
	return float32(-math.Log(-math.Log(unit(no, visit, matter)*(1-2e-12) + 1e-12)))
}
