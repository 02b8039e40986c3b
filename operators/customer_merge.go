package operators

import (
	"slices"

	"nudge/models"
)

// merge takes an anonymous customer into a known one. It is associative, commutative on everything that fits the limits,
// and the empty customer is its identity: of each list the union is taken, of each entry the later version, and of that the
// latest entries are kept; counts add up.
func (c *Customer) merge(o *Customer, l *Limits) {
	c.firstMS = earliest(c.firstMS, o.firstMS)
	c.lastMS = max(c.lastMS, o.lastMS)
	switch {
	case o.flood.startMS > c.flood.startMS:
		c.flood = o.flood
	case o.flood.startMS == c.flood.startMS:
		c.flood.n += o.flood.n
	}
	c.daily.Add(o.daily)
	for _, x := range o.latest {
		c.latest.note(x)
	}
	for _, s := range o.recent {
		c.recent = meet(c.recent, s, l.History)
	}
	for _, s := range o.bought {
		c.bought = meet(c.bought, s, l.Bought)
	}
	for _, line := range o.cart {
		i := slices.IndexFunc(c.cart, func(x cartLine) bool { return x.hash == line.hash })
		if i >= 0 {
			if compareLines(&c.cart[i], &line) >= 0 {
				continue
			}
			c.cart = slices.Delete(c.cart, i, i+1)
		}
		c.cart = insertLine(c.cart, line, l.Cart)
	}
	for _, x := range o.orders {
		i := slices.IndexFunc(c.orders, func(y order) bool { return x.id == y.id })
		if i >= 0 {
			if compareOrders(&c.orders[i], &x) >= 0 {
				continue
			}
			c.orders = slices.Delete(c.orders, i, i+1)
		}
		c.orders = insertOrder(c.orders, x)
	}
	if o.purchases.Count > 0 {
		c.purchases = models.Purchases{
			Count:   c.purchases.Count + o.purchases.Count,
			FirstMS: earliest(c.purchases.FirstMS, o.purchases.FirstMS),
			LastMS:  max(c.purchases.LastMS, o.purchases.LastMS),
		}
	}
	c.spent = saturate(c.spent, o.spent)
	c.ratings = saturate(c.ratings, o.ratings)
	c.reviews += o.reviews
	for _, m := range o.marks {
		into := c.mark(m.decider)
		switch {
		case m.atMS > into.atMS:
			*into = m
		case m.atMS == into.atMS:
			into.n = uint8(min(int(into.n)+int(m.n), 255))
			into.alerted = into.alerted || m.alerted
		}
	}
	for _, x := range o.consents {
		c.setConsent(x.purpose, x.atMS, x.granted)
	}
	for _, x := range o.traits {
		c.setTrait(x.name, x.value, x.atMS)
	}
	c.mergeMembers(o)
	c.mergeImpressions(o)
	c.mergeChooser(o)
	c.mergeForecasts(o)
	c.mergeReceipts(o)
	for _, x := range o.cancelled {
		c.addCancelled(x)
	}
	if x := o.searched; x.atMS > c.searched.atMS || x.atMS == c.searched.atMS && slices.Compare(x.terms, c.searched.terms) > 0 {
		c.searched = searched{x.atMS, slices.Clone(x.terms)}
	}
}

// earliest is the smaller of two times, of which 0 is none.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
