package operators

import (
	"cmp"
	"math"
	"math/bits"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// offer gives a coupon at a moment. After a silence there must be something in the cart; at other moments an empty cart is taken
// as one of unknown value: what the coupon can cost at most is set aside, and there is no margin to look at. What is withheld is published with its reason; whether a customer is in the holdout is asked
// last, so that those held out are like those who were offered something.
type offer struct {
	Offer
	*decider
	expiresMS  int64
	cooldownMS int64
	budget     int
}

func (p *Program) newOffer(name string, o Offer, budget int) (*offer, error) {
	d, err := p.newDecider(name, o.When, o.Audience, o.Log)
	if err != nil {
		return nil, err
	}
	x := &offer{Offer: o, decider: d, expiresMS: o.Expires.MS(), cooldownMS: o.Cooldown.MS(), budget: budget}
	d.decide = x.offer
	return x, nil
}

func (o *offer) offer(p *Program, t *engine.Turn, c *Customer, s *scratch) {
	if len(c.cart) == 0 && o.quietMS > 0 {
		return
	}
	cart := p.value(c)
	cost := o.cost(cart.value, len(c.cart) > 0)
	d := &streams.Decision{
		Kind: streams.KindCoupon, Name: o.name, Action: streams.ActionShow, ExpiresMS: t.NowMS + o.expiresMS, Propensity: 1,
		Offer: &streams.Offer{ID: o.name, PercentOff: o.Gives.PercentOff.Float(), AmountOff: o.Gives.AmountOff.Float(),
			FreeShipping: o.Gives.FreeShipping, AtMost: o.Gives.AtMost.Float(), Budget: o.Budget},
		Reasons: o.reasons(t.NowMS, c, &cart),
		Features: []streams.Feature{
			{Name: "cart_value", Value: micros(cart.value)},
			{Name: "cart_lines", Value: float64(len(c.cart))},
			{Name: "purchases", Value: float64(c.occasions().Count)},
			{Name: "cost", Value: micros(cost)},
		},
		Model: streams.ModelVersion{Name: "rule", Version: "1"},
	}
	o.log(p, t, c, s, d)
	margin, known := cart.margin(cost)
	floor := o.MarginFloor.Float()
	m := c.marked(o.key)
	switch {
	case t.Stale(d.ExpiresMS):
		withhold(d, streams.Reason{Code: streams.ReasonStale})
	case t.Paused(o.name):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: o.name})
	case t.Paused(GroupCoupons):
		withhold(d, streams.Reason{Code: streams.ReasonPaused, With: GroupCoupons})
	case o.Consent != "" && !c.consented(o.Consent):
		withhold(d, streams.Reason{Code: streams.ReasonConsent, With: o.Consent})
	case o.cooling(m, t.NowMS):
		o.withholdCooling(d, m, t.NowMS)
	case floor > 0 && len(c.cart) > 0 && (!known || margin < floor):
		withhold(d, streams.Reason{Code: streams.ReasonMargin, Weight: math.Floor(float64(margin*1e4)+0.5) / 1e4})
	case cost <= 0: // a cart of unknown value: a share of it can't be promised
		withhold(d, streams.Reason{Code: streams.ReasonMargin})
	case t.CustomerHash() < p.holdout:
		c.mark(o.key).atMS = t.NowMS // as if it had been given: both groups are asked equally often
		withhold(d, streams.Reason{Code: streams.ReasonHoldout})
	default:
		t.Propose(engine.Proposal{Decision: d, Budget: o.Budget, Cost: cost, Data: o})
		return
	}
	t.Decide(d)
}

func (o *offer) cooling(m mark, nowMS int64) bool { return m.atMS != 0 && nowMS < m.atMS+o.cooldownMS }

func (o *offer) withholdCooling(d *streams.Decision, m mark, nowMS int64) {
	withhold(d, streams.Reason{Code: streams.ReasonCooldown, Weight: tenth(float64(m.atMS+o.cooldownMS-nowMS) / (24 * 3600_000))})
}

// grant gives the coupon if the budget allows.
func (o *offer) grant(p *Program, t *engine.Turn, x *engine.Proposal) {
	c, ok := t.State.(*Customer)
	if !ok { // merged into another customer, or erased, since it was proposed
		withhold(x.Decision, streams.Reason{Code: streams.ReasonStale})
		return
	}
	m := c.mark(o.key)
	switch {
	case o.cooling(*m, t.NowMS): // another one was granted earlier in this epoch
		o.withholdCooling(x.Decision, *m, t.NowMS)
	case !p.budgets.take(o.budget, x.Cost, t.NowMS):
		withhold(x.Decision, streams.Reason{Code: streams.ReasonBudget, With: o.Budget})
	default:
		m.atMS = t.NowMS
	}
}

// reasons says why the coupon is considered.
func (o *offer) reasons(nowMS int64, c *Customer, cart *cartValue) (why []streams.Reason) {
	if o.quietMS > 0 {
		why = append(why, streams.Reason{Code: streams.ReasonCartAbandoned, Weight: math.Floor(float64(nowMS-c.lastMS) / 60_000)})
	}
	if o.Audience != "" || o.When.Enters != "" {
		why = append(why, streams.Reason{Code: streams.ReasonAudience, With: cmp.Or(o.When.Enters, o.Audience)})
	}
	if o.When.Leaves != "" {
		why = append(why, streams.Reason{Code: streams.ReasonLeftAudience, With: o.When.Leaves})
	}
	if len(c.cart) > 0 {
		why = append(why, streams.Reason{Code: streams.ReasonCartValue, Weight: micros(cart.value)})
	}
	return why
}

// cost is the most that the coupon costs the shop. known says whether the cart is that of the order it is for.
func (o *offer) cost(cart int64, known bool) int64 {
	switch g := &o.Gives; {
	case g.PercentOff > 0 && !known:
		return int64(g.AtMost)
	case g.PercentOff > 0:
		off := (g.PercentOff / 100).of(cart)
		if g.AtMost > 0 {
			off = min(off, int64(g.AtMost))
		}
		return off
	case g.AmountOff > 0:
		return int64(g.AmountOff)
	default:
		return int64(g.Costs)
	}
}

// cartValue sums up a cart, in millionths.
type cartValue struct {
	value  int64 // of all lines
	priced int64 // of the lines whose cost is known
	cost   int64 // of those lines
}

// value looks up what is in the cart. A price that was sent goes before the catalogue's.
func (p *Program) value(c *Customer) (v cartValue) {
	for i := range c.cart {
		l := &c.cart[i]
		price := l.price
		item := p.catalog.find(l.hash)
		if price == 0 && item != models.NoItem {
			price = p.catalog.rows[item.Row()].price
		}
		line := times(price, l.quantity)
		v.value = saturate(v.value, line)
		if item != models.NoItem && p.catalog.marks[item.Row()]&itemCosted != 0 {
			v.priced = saturate(v.priced, line)
			v.cost = saturate(v.cost, times(p.catalog.rows[item.Row()].cost, l.quantity))
		}
	}
	return v
}

// margin is what stays of the price paid after a discount, as a share. Lines of unknown cost are taken to have the margin
// of the others; with none known it is not known.
func (v cartValue) margin(discount int64) (share float64, known bool) {
	if v.priced <= 0 {
		return 0, false
	}
	off := float64(float64(discount) * (float64(v.priced) / float64(v.value)))
	paid := float64(v.priced) - off
	if paid <= 0 {
		return -1, true
	}
	return (paid - float64(v.cost)) / paid, true
}

func times(price int64, quantity int32) int64 {
	hi, lo := bits.Mul64(uint64(price), uint64(max(quantity, 0)))
	if hi != 0 || lo > 1<<62 {
		return 1 << 62
	}
	return int64(lo)
}
