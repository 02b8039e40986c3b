package simulate

import "math"

// phase is where in a visit a person stands: what the next step will do.
type phase uint8

const (
	entering phase = iota
	browsing
	looking
	adding
	atCart
	atCheckout
	paying
	crawling
)

// fate overrides chance where a potential outcome has already been drawn.
type fate uint8

const (
	fateOpen fate = iota
	fateBuy
	fateLook // a recommended item that will not be bought, now that it is looked at
)

// begin opens a visit and takes its first step.
func (w *World) begin(p *person) {
	w.open(p)
	if p.cartN > 0 && w.now-p.cartMS > 3*dayMS {
		p.cartN, p.abandoned, p.returnMS = 0, false, 0
	}
	if p.returnMS != 0 && p.returnMS <= w.now {
		p.phase, p.fate, p.returnMS = atCart, fateBuy, 0
	}
	switch p.role {
	case known:
		p.logged = w.rand.Float64() >= w.shop.AnonymousShare
		if p.orders == 0 && p.arrivedMS > w.startMS {
			p.logged = p.logged && w.rand.Float64() < 0.3 // they have no account yet
		}
		if p.regular {
			p.logged, p.fate, p.patience = true, fateBuy, 20
		}
	case staff:
		p.logged = true
	case bot:
		p.phase, p.patience = crawling, int8(20+w.rand.IntN(60))
	}
	if p.logged {
		w.login(p)
	}
	w.goOn(p, w.step(p))
}

// open resets what belongs to one visit.
func (w *World) open(p *person) {
	w.as(p)
	p.active, p.logged, p.phase, p.fate, p.from, p.coupon = true, false, entering, fateOpen, "", nil
	p.declined, p.passed = 0, 0
	p.stamp++
	p.visit++
	p.lastMS = w.now
	p.urgent = p.role == known && p.needMS <= w.now
	p.patience = int8(1 + w.rand.IntN(3))
	if p.urgent {
		p.patience += 3
	}
	if p.casualNextMS <= w.now {
		p.casualNextMS = w.now + int64(w.rand.ExpFloat64()*p.casualMS) + minuteMS
	}
}

// login makes a person known to the stream: the device's anonymous id becomes the account's.
func (w *World) login(p *person) {
	p.logged = true
	if p.anonUsed {
		w.writeMerged(p)
		p.anonUsed = false
		p.anonK++
	}
	if !p.registered {
		p.registered = true
		w.writeTraits(p)
		if p.role == known {
			w.writeConsent(p, map[bool]string{true: "granted", false: "denied"}[p.consent])
		}
	}
}

// goOn plans the next step of a visit, or ends it.
func (w *World) goOn(p *person, gap int64) {
	if gap < 0 {
		w.finish(p)
		return
	}
	w.plan(w.now+gap, doStep, p.slot, p.stamp)
}

// pause draws how long somebody takes over something, around a median of so many seconds.
func (w *World) pause(p *person, seconds float64) int64 {
	return int64(seconds*1000*math.Exp(0.7*w.rand.NormFloat64())) + 200
}

// step does the next thing of a visit and returns the time until the one after it in milliseconds, or -1 at the end.
// All it changes, besides the stream, is p and (when something is ordered) the world's stock: walk relies on that.
func (w *World) step(p *person) int64 {
	w.as(p)
	switch p.phase {
	case entering:
		return w.enter(p)
	case browsing:
		return w.browse(p)
	case looking:
		return w.look(p)
	case adding:
		return w.add(p)
	case atCart:
		return w.viewCart(p)
	case atCheckout:
		if !p.logged && p.role == known {
			w.login(p)
		}
		w.writeCart(p, "checkout.started")
		p.phase = paying
		return w.pause(p, 20)
	case paying:
		if p.fate == fateBuy || p.fate == fateOpen && p.role != staff && w.pays(p, 1) {
			w.order(p)
			p.phase = browsing
			if w.rand.Float64() < 0.1 && !p.regular {
				p.fate, p.patience = fateOpen, 1
				return w.pause(p, 15)
			}
		}
		return -1
	default:
		return w.crawl(p)
	}
}

func (w *World) enter(p *person) int64 {
	w.writePage(p)
	p.focus = uint8(w.wanted(p))
	p.phase = browsing
	if p.cartN > 0 && w.rand.Float64() < 0.5 && !(p.abandoned && w.now-p.cartMS < dayMS) {
		p.phase = atCart
	} else if w.rand.Float64() < 0.12 {
		// A deep link: they land on an item.
		w.lookAt(p, w.popular(int(p.focus)))
	}
	return w.pause(p, 5)
}

// wanted chooses the category of a visit.
func (w *World) wanted(p *person) int {
	if w.satisfices() {
		if p.urgent && p.need >= 0 && w.rand.Float64() >= straying {
			return int(p.need)
		}
		return w.wantAny(p)
	}
	season := w.season()
	best, most := 0, float32(math.Inf(-1))
	for c := range p.taste {
		u := p.taste[c] + season[c] + w.gumbel()
		if p.urgent && int(p.need) == c {
			u += 5
		}
		if u > most {
			best, most = c, u
		}
	}
	return best
}

func (w *World) lookAt(p *person, i uint32) {
	p.item, p.itemNo, p.phase = i, w.items[i].no, looking
	p.latest[p.latestAt%uint8(len(p.latest))] = p.itemNo
	p.latestAt++
}

// browse shows a list and lets the person choose from it, or none.
func (w *World) browse(p *person) int64 {
	if p.patience <= 0 {
		if p.cartN > 0 && p.cartMS >= p.lastMS {
			p.phase = atCart
			return w.pause(p, 4)
		}
		return -1
	}
	if w.rand.Float64() < 0.2 {
		w.writeSearch(p)
	}
	n := 4 + w.rand.IntN(maxList-3)
	list := w.list[:0]
	for tries := 0; len(list) < n && tries < 3*n; tries++ {
		i := w.popular(int(p.focus))
		if !contains(list, i) {
			list = append(list, i)
		}
	}
	w.writeList(p, list)

	best := w.choose(p, list)
	if best < 0 && p.regular {
		best = int(list[0])
	}
	if best >= 0 {
		w.lookAt(p, uint32(best))
		return w.pause(p, 6)
	}
	p.patience--
	if w.rand.Float64() < 0.35 {
		p.focus = uint8(w.wanted(p))
	}
	return w.pause(p, 9)
}

// choose returns the slot of the item of a list that somebody looks at, or -1: the largest utility.
func (w *World) choose(p *person, list []uint32) int {
	if w.satisfices() {
		return w.takeFirst(p, list)
	}
	outside := 1.6 + w.gumbel()
	if p.urgent || p.fate == fateBuy {
		outside -= 1.5
	}
	best, most := -1, outside
	for k, i := range list {
		if u := p.utility(&w.items[i]) - 0.1*float32(k) + w.gumbel(); u > most {
			best, most = int(i), u
		}
	}
	return best
}

func contains(list []uint32, i uint32) bool {
	for _, l := range list {
		if l == i {
			return true
		}
	}
	return false
}

// look views an item and decides whether to want it.
func (w *World) look(p *person) int64 {
	it := &w.items[p.item]
	if it.no != p.itemNo {
		p.phase = browsing
		return w.pause(p, 2)
	}
	u := w.pleasure(p, it)
	if w.rand.Float64() < 0.2 {
		w.writeItemEvent(p, "product.clicked", it, 0, 0)
	}
	dwell := int64(6000*math.Exp(0.25*float64(u)+0.6*w.rand.NormFloat64())) + 300
	w.writeItemEvent(p, "product.viewed", it, 0, dwell)
	wants := w.wants(p, it) || p.fate == fateBuy
	if p.fate == fateLook {
		p.fate, p.declined = fateOpen, it.no
	}
	wants = wants && p.declined != it.no
	switch {
	case wants && it.stock == 0:
		p.stockouts++
		p.patience--
		p.from = ""
		if p.fate == fateBuy && !p.regular {
			p.fate = fateOpen
		}
		p.phase = browsing
	case wants:
		p.phase = adding
	default:
		p.phase, p.from = browsing, ""
		p.patience--
		if u > 1 && w.rand.Float64() < 0.1 {
			w.writeItemEvent(p, "wishlist.added", it, 0, 0)
		}
	}
	return min(dwell, 90_000) + w.pause(p, 3)
}

// wants is whether somebody who looks at an item puts it into the cart.
func (w *World) wants(p *person, it *item) bool {
	if w.satisfices() {
		return w.rand.Float64() < w.wantsNow(p, it)
	}
	want := 0.8*p.utility(it) - 2.7 + 0.3*p.impulse
	if p.urgent {
		want += 1.8
	}
	if p.keen {
		want++
	}
	if p.owns(it.no) {
		want -= 3
	}
	return w.chance(want)
}

// looked says whether they have looked at an item lately.
func (p *person) looked(no uint32) bool { return contains(p.latest[:], no) }

func (p *person) owns(no uint32) bool {
	for _, o := range p.owned {
		if o == no {
			return true
		}
	}
	return false
}

// add puts the item under view into the cart and decides how to go on.
func (w *World) add(p *person) int64 {
	it := &w.items[p.item]
	if it.no != p.itemNo || p.cartN == maxCart {
		p.phase = atCart
		return w.pause(p, 3)
	}
	qty := int32(1)
	if w.rand.Float64() < 0.08 {
		qty = 2
	}
	p.cart[p.cartN] = line{p.item, it.no, qty}
	p.cartN++
	p.cartMS, p.abandoned, p.returnMS = w.now, false, 0
	w.writeItemEvent(p, "product.added", it, qty, 0)
	p.from = ""
	switch u := w.rand.Float64(); {
	case p.fate == fateBuy:
		p.phase = atCart
	case u < 0.3 && p.patience > 0:
		p.phase = browsing
		if w.rand.Float64() < 0.4 {
			p.focus = uint8(categories[it.cat].next[w.rand.IntN(2)])
		}
	case u < 0.5:
		return -1 // something else came up
	default:
		p.phase = atCart
	}
	return w.pause(p, 8)
}

// crawl is what a bot does: item after item, many a minute.
func (w *World) crawl(p *person) int64 {
	if p.patience <= 0 {
		return -1
	}
	p.patience--
	i := uint32(w.rand.IntN(len(w.items)))
	w.writeItemEvent(p, "product.viewed", &w.items[i], 0, 0)
	return 100 + int64(w.rand.IntN(400))
}

// finish closes a visit and plans the next one.
func (w *World) finish(p *person) {
	w.as(p)
	p.active, p.keen, p.from, p.coupon = false, false, "", nil
	p.stamp++
	if p.cartN > 0 && !p.abandoned && p.role != staff {
		w.abandon(p)
	}
	if p.role == stranger {
		w.farewell(p)
		return
	}
	if p.role == known && !p.regular {
		if p.stockouts >= 2 && w.rand.Float64() < 0.3 {
			w.leave(p, leftStockouts)
			return
		}
		if p.dear >= 2 && w.rand.Float64() < 0.25 {
			w.leave(p, leftPrice)
			return
		}
	}
	if p.regular && p.needMS <= w.now {
		p.needMS = w.now + 5*minuteMS
	} else if p.urgent && p.needMS <= w.now {
		// The need was not met: they try again soon, or have bought elsewhere.
		if w.rand.Float64() < 0.6 {
			p.needMS = w.now + max(int64(0.12*w.rand.ExpFloat64()*p.everyMS), 5*minuteMS)
		} else {
			w.renew(p, -1)
		}
	}
	w.planVisit(p)
}

// walk goes through the rest of the visit of a copy of somebody, in silence, and calls bought for every item ordered.
func (w *World) walk(p person, bought func(no uint32)) {
	w.muted, w.bought = true, bought
	for gap := int64(0); gap >= 0; {
		gap = w.step(&p)
	}
	w.muted, w.bought = false, nil
}
