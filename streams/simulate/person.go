package simulate

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// role is what kind of person somebody is.
type role uint8

const (
	known    role = iota // a shopper with an account, or about to have one
	stranger             // a visitor who never logs in
	bot
	staff
)

// line is one line of a cart.
type line struct {
	item uint32
	no   uint32 // number of the item when it was added
	qty  int32
}

const (
	maxCart = 6
	maxList = 8
)

// likes is what somebody's choices hang on.
type likes struct {
	taste     [len(categories)]float32 // utility of a category
	style     [dims]float32
	band      float32 // ln of the wanted price over the category's median
	sensitive float32 // to prices
	impulse   float32
}

// person is one slot of the world's people. Everything a visit needs is in it, by value: a copy of it can be walked
// through the rest of the visit to see what would have happened.
type person struct {
	pcg  rand.PCG
	no   uint32 // known: slot + 1 + a multiple of Shoppers; others: their own counter
	slot uint32
	role role

	alive      bool
	registered bool // the stream has seen user.updated and consent.changed
	logged     bool // in the visit under way
	active     bool // a visit is under way
	regular    bool // of the lapsed cohort
	iso        bool // writes times as RFC 3339
	sessions   bool // sends session ids
	zh         bool
	odd        uint8 // how the id is spelled
	device     uint8
	channel    uint8
	locale     uint8
	consent    bool
	skewMS     int32

	// What they are like.
	likes
	turnedMS int64                    // when their taste turned last; 0: never
	was      [len(categories)]float32 // their taste before it turned last
	everyMS  float64                  // mean time between needs
	shape    float64                  // of the gamma distribution of that time: 1 is random, 10 is clockwork
	casualMS float64                  // mean time between visits without a need

	// What has happened to them.
	satisfaction float32
	stockouts    uint8
	dear         uint8 // times they left because of the price
	anonK        uint16
	anonUsed     bool // events have been written under the anonymous id, not yet merged
	arrivedMS    int64
	leaveMS      int64 // when they move away; of a stranger: when a left cart is forgotten
	lastMS       int64 // when the latest visit began
	needMS       int64
	casualNextMS int64
	need         int8 // category they need, or -1
	owned        [4]uint32
	ownedAt      uint8

	// The cart, and what is to become of it.
	cart      [maxCart]line
	cartN     uint8
	abandoned bool
	reason    reason
	reactant  bool    // annoyed by being chased
	lean      float32 // utility of coming back to buy, over not
	cartMS    int64   // of the last change
	returnMS  int64   // when they come back by themselves; 0: they don't

	// The visit under way.
	stamp    uint32 // tasks of another stamp are void
	visit    uint32
	events   uint32
	orders   uint32
	phase    phase
	focus    uint8
	patience int8
	passed   uint8 // items of lists that were gone past
	urgent   bool  // came with a need
	keen     bool  // came with the crowd, as to a sale
	item     uint32
	itemNo   uint32
	fate     fate
	latest   [8]uint32 // numbers of the items looked at last
	latestAt uint8
	declined uint32 // number of an item that will not be bought in this visit
	from     string // the decision that led to the item under view
	coupon   *coupon
}

// newPerson draws somebody into a slot. The slot's and number's place in the seed makes them who they are.
func (w *World) newPerson(p *person, slot, no uint32, as role) {
	stamp := p.stamp + 1
	*p = person{no: no, slot: slot, role: as, alive: true, need: -1, stamp: stamp, arrivedMS: w.now}
	p.pcg.Seed(w.shop.Seed^uint64(as)<<56, uint64(no)+0x9e3779b97f4a7c15)
	w.as(p)
	r, taste := w.rand, w.shop.Nature.Taste
	for i := range p.taste {
		p.taste[i] = float32(1.1 * taste * r.NormFloat64())
	}
	for i := range p.style {
		p.style[i] = float32(0.9 * taste * r.NormFloat64())
	}
	p.band = float32(0.5 * r.NormFloat64())
	p.sensitive = float32(taste * math.Exp(0.5*r.NormFloat64()-0.3))
	p.impulse = float32(r.NormFloat64())
	p.everyMS = 18 * dayMS * math.Exp(0.7*r.NormFloat64())
	p.shape = 1 + 3*r.ExpFloat64()
	p.casualMS = 25 * dayMS * math.Exp(0.7*r.NormFloat64())
	p.zh = r.Float64() < w.shop.ChineseShare
	p.iso = r.Float64() < 0.15
	p.sessions = r.Float64() < 0.85
	p.device = uint8(r.IntN(len(devices)))
	if p.device != 1 && r.Float64() < 0.4 {
		p.channel = 1
	}
	p.locale = uint8(r.IntN(len(locales)))
	p.consent = r.Float64() < 0.8
	if r.Float64() < w.shop.Skewed {
		p.skewMS = int32(r.NormFloat64() * 30 * minuteMS)
	}
	if r.Float64() < w.shop.OddIDShare {
		p.odd = uint8(1 + r.IntN(4))
	}
	if as != known {
		p.odd = 0
		return
	}
	p.leaveMS = w.now + int64(r.ExpFloat64()*float64(w.shop.MeanLife.Milliseconds()))
	p.everyMS /= w.tempo
	p.casualMS /= w.tempo
	w.truthShopper(p)
	w.plan(w.now+int64(r.ExpFloat64()*float64(w.shop.Nature.Turns.Milliseconds())), doTurn, slot, no)
}

// as makes the world draw its random numbers from a person's own stream.
func (w *World) as(p *person) { w.source.PCG = &p.pcg }

// gap draws the time until the next need.
func (w *World) gap(p *person) int64 {
	return max(int64(p.everyMS*w.gamma(p.shape)/p.shape), minuteMS)
}

// gamma draws from the gamma distribution of a shape >= 1 (Marsaglia and Tsang, 2000).
func (w *World) gamma(shape float64) float64 {
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := w.rand.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		u := w.rand.Float64()
		if math.Log(u) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// gumbel draws the noise of a utility.
func (w *World) gumbel() float32 { return float32(-math.Log(w.rand.ExpFloat64() + 1e-300)) }

// chance is true with the probability that a logistic choice of that utility has.
func (w *World) chance(utility float32) bool {
	return w.rand.Float64() < 1/(1+math.Exp(-float64(utility)))
}

// fit is how well an item suits a person, its price aside.
func (p *likes) fit(it *item) float32 {
	u := 0.4 * it.quality
	for d := range it.style {
		u += p.style[d] * it.style[d]
	}
	return u
}

// dearness is what an item's price takes from its utility.
func (p *likes) dearness(it *item) float32 {
	over := it.price - p.band
	if over < 0 {
		return 0.5 * p.sensitive * over * over // too cheap is suspect, but less so
	}
	return p.sensitive * (over + over*over)
}

// utility is what an item is worth to a person, noise aside.
func (p *likes) utility(it *item) float32 { return p.fit(it) - p.dearness(it) }

// appendUser writes the id of the account.
func (p *person) appendUser(b []byte) []byte {
	switch {
	case p.role == staff:
		b = append(b, "staff-"...)
	case p.role == bot:
		b = append(b, "bot-"...)
	default:
		b = append(b, oddIDs[p.odd]...)
	}
	return strconv.AppendUint(b, uint64(p.no), 10)
}

var oddIDs = [...]string{"u-", "u.v1.", "顾客-", "u *> ", "User 👤 "}

// appendAnon writes the id of the device: the person's number and how many such ids they have had, scrambled, so that
// it gives nothing away.
func (p *person) appendAnon(b []byte) []byte {
	x := uint64(p.role)<<46 | uint64(p.no)<<14 | uint64(p.anonK&0x3fff)
	b = append(b, "a-"...)
	return strconv.AppendUint(b, scramble(x), 36)
}

// appendKey writes the id under which the person is known at the moment.
func (p *person) appendKey(b []byte) []byte {
	if p.logged {
		return p.appendUser(b)
	}
	return p.appendAnon(b)
}

const (
	mask48 = 1<<48 - 1
	odd48  = 0x9e3779b97f4b & mask48
)

func scramble(x uint64) uint64 {
	x = x * odd48 & mask48
	x ^= x >> 24
	return x
}

func unscramble(x uint64) uint64 {
	x ^= x >> 24
	return x * inverse(odd48) & mask48
}

// inverse returns the multiplicative inverse of an odd number modulo 2^64, by Newton's method.
func inverse(a uint64) uint64 {
	x := a
	for range 6 {
		x *= 2 - a*x
	}
	return x
}

// personNamed finds the person of a decision, or nil.
func (w *World) personNamed(id string, anonymous bool) *person {
	if anonymous {
		if len(id) < 3 || id[:2] != "a-" {
			return nil
		}
		x, err := strconv.ParseUint(id[2:], 36, 64)
		if err != nil || x > mask48 {
			return nil
		}
		x = unscramble(x)
		as, no, k := role(x>>46), uint32(x>>14), uint16(x&0x3fff)
		p := w.personNumbered(as, no)
		if p == nil || p.anonK&0x3fff != k {
			return nil
		}
		return p
	}
	for odd, prefix := range oddIDs {
		if len(id) > len(prefix) && id[:len(prefix)] == prefix {
			no, err := strconv.ParseUint(id[len(prefix):], 10, 32)
			if err != nil {
				continue
			}
			if p := w.personNumbered(known, uint32(no)); p != nil && p.odd == uint8(odd) {
				return p
			}
		}
	}
	return nil
}

func (w *World) personNumbered(as role, no uint32) *person {
	switch as {
	case known:
		slot := (no - 1) % uint32(w.shop.Shoppers)
		if p := &w.people[slot]; no > 0 && p.no == no {
			return p
		}
	case stranger:
		if slot, ok := w.strangers[no]; ok {
			return &w.people[slot]
		}
	}
	return nil
}
