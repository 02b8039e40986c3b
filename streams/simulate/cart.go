package simulate

import "math"

// viewCart looks at the cart: something may be taken out, and what is out of stock or gone is.
func (w *World) viewCart(p *person) int64 {
	w.checkCart(p)
	if p.cartN == 0 {
		p.phase, p.patience = browsing, min(p.patience, 1)
		if p.fate == fateBuy && !p.regular {
			p.fate = fateOpen
		}
		return w.pause(p, 3)
	}
	if w.rand.Float64() < 0.4 {
		w.writeCart(p, "cart.viewed")
	}
	if p.fate == fateOpen && w.rand.Float64() < 0.07 {
		k := w.rand.IntN(int(p.cartN))
		w.writeItemEvent(p, "product.removed", &w.items[p.cart[k].item], p.cart[k].qty, 0)
		p.drop(k)
		p.cartMS = w.now
		if p.cartN == 0 {
			p.phase = browsing
			p.patience--
			return w.pause(p, 5)
		}
	}
	if p.fate == fateOpen && !w.pays(p, 0.4) {
		return -1
	}
	p.phase = atCheckout
	return w.pause(p, 6)
}

// checkCart takes out what can't be bought any more.
func (w *World) checkCart(p *person) {
	for k := 0; k < int(p.cartN); {
		if it := &w.items[p.cart[k].item]; it.no != p.cart[k].no || it.stock < p.cart[k].qty {
			p.drop(k)
			p.stockouts++
		} else {
			k++
		}
	}
}

func (p *person) drop(k int) {
	copy(p.cart[k:], p.cart[k+1:p.cartN])
	p.cartN--
}

// pays is whether somebody goes on with their cart; ease is what speaks for it besides.
func (w *World) pays(p *person, ease float32) bool {
	if w.satisfices() {
		return w.rand.Float64() < w.paysNow(p)
	}
	return w.chance(ease + w.willingness(p))
}

// willingness is what speaks for paying for the cart now.
func (w *World) willingness(p *person) float32 {
	var u float32
	for k := range int(p.cartN) {
		it := &w.items[p.cart[k].item]
		u += 0.3*p.fit(it) - 0.5*p.dearness(it)
	}
	u = u/float32(max(p.cartN, 1)) - 1.6
	if p.urgent {
		u += 2.4
	}
	if p.role == stranger {
		u--
	}
	return u + 0.4*p.satisfaction
}

// cartCents is what the cart costs.
func (w *World) cartCents(p *person) (cents int64) {
	for k := range int(p.cartN) {
		cents += w.items[p.cart[k].item].cents * int64(p.cart[k].qty)
	}
	return cents
}

// abandon draws why a cart was left and what would bring the person back. What is drawn here is kept to.
func (w *World) abandon(p *person) {
	p.abandoned = true
	cents := w.cartCents(p)
	if w.satisfices() {
		w.leaveCart(p, cents)
	} else {
		w.weighLeaving(p, cents)
	}
	if p.urgent {
		p.lean += 0.6
	}
	p.reactant = w.rand.Float64() < 0.04
	p.returnMS = 0
	after := int64(3 * hourMS * math.Exp(w.rand.NormFloat64()))
	if p.role == stranger {
		after = min(after, 100*minuteMS)
	}
	if p.lean > 0 {
		p.returnMS = w.now + after + 5*minuteMS
	}
	if p.reason == reasonPrice {
		p.dear++
	}
	if !w.muted {
		w.truthAbandoned(p, cents)
	}
}

// back is what speaks for coming back to a cart that was left.
var back = [numReasons]float32{reasonDistracted: 0.4, reasonPrice: -1.4, reasonShipping: -0.9, reasonComparing: -0.8, reasonUndecided: -1.2}

// weighLeaving draws the reason with the largest utility.
func (w *World) weighLeaving(p *person, cents int64) {
	var fit, dear float32
	for k := range int(p.cartN) {
		it := &w.items[p.cart[k].item]
		fit += p.fit(it)
		dear += p.dearness(it)
	}
	fit, dear = fit/float32(p.cartN), dear/float32(p.cartN)
	u := [numReasons]float32{
		reasonDistracted: 0.6,
		reasonPrice:      0.8 * dear,
		reasonShipping:   -0.6,
		reasonComparing:  0.4 * p.sensitive,
		reasonUndecided:  0.5 - 0.4*fit,
	}
	if cents < 3000 {
		u[reasonShipping] += 1.2
	}
	most := float32(math.Inf(-1))
	for k := range u {
		if v := u[k] + w.gumbel(); v > most {
			p.reason, most = reason(k), v
		}
	}
	noise := w.rand.Float64()
	p.lean = back[p.reason] + 0.35*fit - 0.4*dear + 0.3*p.satisfaction - 1.3 + float32(math.Log((noise+1e-12)/(1-noise+1e-12)))
}

// swayed is the utility of coming back to buy, over not, when an offer is seen.
func (p *person) swayed(c *coupon, cents int64) float32 {
	remind := [numReasons]float32{reasonDistracted: 0.8, reasonPrice: 0.1, reasonShipping: 0.2, reasonComparing: 0.4, reasonUndecided: 0.3}
	v := p.lean + remind[p.reason]
	if cents > 0 {
		v += (0.5 + p.sensitive) * 12 * float32(c.off(cents)) / float32(cents)
	}
	if c.freeShipping {
		v += 0.4
		if p.reason == reasonShipping {
			v += 1.8
		}
	}
	if p.reactant {
		v -= 4
	}
	return v
}
