package simulate

import "math"

// order is one order on its way to its shopper.
type order struct {
	slot, no   uint32 // the person
	number     uint32
	lines      [maxCart]line
	n          uint8
	cents      int64 // paid
	cancelled  bool
	experience float32
}

// renew plans the next need, which often follows from what was bought last.
func (w *World) renew(p *person, last int) {
	p.needMS = w.now + w.gap(p)
	if w.satisfices() {
		if p.need = int8(w.wantAny(p)); last >= 0 && w.rand.Float64() < 0.3 { // what goes with it comes to mind
			p.need = int8(categories[last].next[w.rand.IntN(2)])
		}
		return
	}
	season := w.season()
	most := float32(math.Inf(-1))
	for c := range p.taste {
		u := p.taste[c] + season[c] + w.gumbel()
		if last >= 0 && (categories[last].next[0] == c || categories[last].next[1] == c) {
			u += 1
		}
		if u > most {
			p.need, most = int8(c), u
		}
	}
}

// planVisit plans when somebody comes again.
func (w *World) planVisit(p *person) {
	p.stamp++
	if p.role == bot || p.role == staff {
		w.plan(w.now+int64((0.3+w.rand.ExpFloat64())*dayMS/w.tempo), doVisit, p.slot, p.stamp)
		return
	}
	next := min(p.needMS, p.casualNextMS)
	if p.regular {
		next = p.needMS
	} else if next-w.now > 12*hourMS {
		next = w.awake(next)
	}
	if p.returnMS != 0 {
		next = min(next, p.returnMS)
	}
	if next >= p.leaveMS {
		w.plan(max(p.leaveMS, w.now+1), doLeave, p.slot, p.stamp)
		return
	}
	w.plan(max(next, w.now+1), doVisit, p.slot, p.stamp)
}

// hours holds how much of a day's traffic falls into each hour.
var hours = [24]float64{1.6, 0.9, 0.6, 0.4, 0.4, 0.6, 1.4, 2.6, 3.6, 4.2, 4.6, 5, 5.6, 5.2, 4.6, 4.6, 4.8, 5.4, 6.4, 7.8, 9, 9.2, 7, 3.9}

// awake moves a time within its day to an hour at which people shop.
func (w *World) awake(t int64) int64 {
	u := w.rand.Float64() * 99.4
	hour := 0
	for hour < 23 && u >= hours[hour] {
		u -= hours[hour]
		hour++
	}
	moved := t - t%dayMS + int64(hour)*hourMS + int64(u/hours[hour]*hourMS)
	if moved <= w.now {
		return t
	}
	return moved
}

// order turns the cart into an order.
func (w *World) order(p *person) {
	p.orders++
	cents := w.cartCents(p)
	var off int64
	if p.coupon != nil {
		off = p.coupon.off(cents)
	}
	w.writeOrder(p, cents, off)

	o := order{slot: p.slot, no: p.no, number: p.orders, lines: p.cart, n: p.cartN, cents: cents - off}
	last := -1
	for k := range int(p.cartN) {
		l := p.cart[k]
		it := &w.items[l.item]
		o.experience += (0.7*it.quality + 0.2*p.fit(it) - 0.2*p.dearness(it)) / float32(p.cartN)
		last = int(it.cat)
		p.owned[p.ownedAt%uint8(len(p.owned))] = it.no
		p.ownedAt++
		if w.muted {
			w.bought(it.no)
		} else {
			w.take(l.item, l.qty)
		}
	}
	delay := 1 + 2*w.rand.ExpFloat64()
	o.experience += float32(0.5 - 0.3*(delay-2) + 0.5*w.rand.NormFloat64())
	if p.coupon != nil {
		o.experience += 0.2
	}
	p.cartN, p.abandoned, p.returnMS, p.coupon = 0, false, 0, nil
	p.dear, p.stockouts = p.dear/2, p.stockouts/2
	switch {
	case p.regular:
		p.needMS += int64(p.everyMS)
	case p.role == known && (p.urgent || last == int(p.need)):
		w.renew(p, last)
	}
	o.cancelled = w.rand.Float64() < 0.01
	if !w.muted {
		w.plan(w.now+int64(delay*dayMS), doDeliver, 0, w.keepOrder(o))
	}
}

// keepOrder puts an order into the pool.
func (w *World) keepOrder(o order) uint32 {
	if n := len(w.ordersFree); n > 0 {
		i := w.ordersFree[n-1]
		w.ordersFree = w.ordersFree[:n-1]
		w.orders[i] = o
		return i
	}
	w.orders = append(w.orders, o)
	return uint32(len(w.orders) - 1)
}

// deliver is when shoppers find out what they have bought.
func (w *World) deliver(i uint32) {
	o := &w.orders[i]
	p := &w.people[o.slot]
	if p.no != o.no || p.role == stranger || !p.alive {
		w.ordersFree = append(w.ordersFree, i)
		return
	}
	w.as(p)
	if o.cancelled {
		w.writeRefund(p, o, "order.cancelled")
		w.ordersFree = append(w.ordersFree, i)
		return
	}
	p.satisfaction = 0.6*p.satisfaction + 0.4*o.experience
	bad := o.experience < -0.9
	if bad && w.rand.Float64() < 0.4 {
		w.writeService(p, o)
	}
	eager := float32(math.Abs(float64(o.experience - 0.4)))
	reviews := w.rand.Float64() < w.shop.ReviewShare*(0.4+0.8*float64(eager))
	refunds := bad && w.rand.Float64() < 0.4 || w.rand.Float64() < 0.02
	leaves := bad && !p.regular && w.rand.Float64() < 0.3
	switch {
	case refunds:
		if reviews {
			w.writeReview(p, o)
		}
		w.plan(w.now+int64((1+4*w.rand.Float64())*dayMS), doRefund, o.no, i)
	case reviews:
		w.plan(w.now+int64((0.5+3*w.rand.ExpFloat64())*dayMS), doReview, o.no, i)
	default:
		w.ordersFree = append(w.ordersFree, i)
	}
	if leaves && !p.active {
		w.leave(p, leftBad)
	}
}

// settle writes the review or refund of an order and forgets the order.
func (w *World) settle(i uint32, do deed) {
	o := &w.orders[i]
	w.ordersFree = append(w.ordersFree, i)
	p := &w.people[o.slot]
	if p.no != o.no || p.role == stranger {
		return
	}
	w.as(p)
	if do == doReview {
		w.writeReview(p, o)
	} else {
		w.writeRefund(p, o, "order.refunded")
	}
}

// leave takes a shopper out of the shop's life.
func (w *World) leave(p *person, why string) {
	p.alive = false
	p.stamp++
	w.truthLeft(p, why)
	if p.registered && w.rand.Float64() < 0.1 {
		w.writeConsent(p, "revoked")
	}
	if p.registered && w.rand.Float64() < w.shop.EraseShare {
		w.writeErased(p)
	}
	w.left = append(w.left, departure{p.slot, w.now})
}

// departure is a slot that will be free again.
type departure struct {
	slot uint32
	at   int64
}

// arrive brings a new shopper, if there is room: in a slot never used, or one whose shopper left a month ago.
func (w *World) arrive() {
	n := uint32(w.shop.Shoppers)
	rate := float64(n) / float64(w.shop.MeanLife.Milliseconds())
	w.plan(w.now+1+int64(w.rand.ExpFloat64()/rate), doArrive, 0, 0)
	var slot, no uint32
	switch {
	case w.settled < n:
		slot, no = w.settled, w.settled+1
		w.settled++
	case len(w.left) > 0 && w.left[0].at+30*dayMS < w.now:
		slot = w.left[0].slot
		no = w.people[slot].no + n
		w.left = w.left[1:]
	default:
		return
	}
	p := &w.people[slot]
	w.newPerson(p, slot, no, known)
	w.renew(p, -1)
	p.needMS = w.now
	p.casualNextMS = w.now + int64(w.rand.ExpFloat64()*p.casualMS)
	w.begin(p)
}

// turn gives a shopper other tastes, from one day to the next, as life does.
func (w *World) turn(p *person) {
	w.as(p)
	p.turnedMS, p.was = w.now, p.taste
	for i := range p.taste {
		if w.rand.Float64() < 0.5 {
			p.taste[i] = float32(1.1 * w.shop.Nature.Taste * w.rand.NormFloat64())
		}
	}
	p.band += float32(0.4 * w.rand.NormFloat64())
	w.truthTurned(p)
	w.plan(w.now+int64(w.rand.ExpFloat64()*float64(w.shop.Nature.Turns.Milliseconds())), doTurn, p.slot, p.no)
}

// join adds a visit of the crowd: a shopper who has nothing else to do, or a stranger. It plans the next one.
func (w *World) join() {
	if w.crowd.PerSecond <= 0 {
		return
	}
	w.plan(w.now+int64(w.rand.ExpFloat64()*1000*eventsPerVisit/w.crowd.PerSecond), doCrowd, 0, w.crowds)
	if w.rand.Float64() < w.crowd.Known {
		for range 8 {
			p := &w.people[w.rand.IntN(int(w.settled))]
			if p.alive && !p.active && !p.regular && !p.abandoned && w.now-p.lastMS > crowdRestMS {
				p.stamp++
				p.keen = true
				w.begin(p)
				return
			}
		}
	}
	w.strange()
}

// strange lets a stranger in.
func (w *World) strange() {
	var slot uint32
	if n := len(w.strangersFree); n > 0 {
		slot = w.strangersFree[n-1]
		w.strangersFree = w.strangersFree[:n-1]
	} else if len(w.strangers) < maxStrangers {
		slot = uint32(len(w.people))
		w.people = append(w.people, person{})
	} else {
		return
	}
	w.strangerNo++
	p := &w.people[slot]
	w.newPerson(p, slot, w.strangerNo, stranger)
	w.strangers[p.no] = slot
	p.keen = true
	w.begin(p)
}

// farewell forgets a stranger: at once, or after two hours if a cart was left, as long as there is room for such.
func (w *World) farewell(p *person) {
	if !p.abandoned || p.leaveMS == 0 && w.waiting == maxWaiting {
		w.forget(p)
		return
	}
	if p.leaveMS == 0 {
		w.waiting++
		p.leaveMS = w.now + 2*hourMS
	}
	if p.returnMS != 0 {
		w.plan(p.returnMS, doVisit, p.slot, p.stamp)
		return
	}
	w.plan(max(p.leaveMS, w.now+1), doLeave, p.slot, p.stamp)
}

func (w *World) forget(p *person) {
	delete(w.strangers, p.no)
	if p.leaveMS != 0 {
		w.waiting--
	}
	p.alive = false
	p.stamp++
	w.strangersFree = append(w.strangersFree, p.slot)
}

const (
	maxStrangers = 1 << 18
	maxWaiting   = 1 << 16
	crowdRestMS  = 15 * minuteMS // a crowd does not draw the same shopper again before that
	// What rates follow from, as measured: TestShopIsPlausible and TestHistory hold it.
	eventsPerVisit      = 5.2 // of a crowd's: strangers stay a little shorter than shoppers
	eventsPerShopperDay = 1.4 // without a crowd, at the natural tempo
)
