package simulate

import (
	"math"
	"math/rand/v2"
	"slices"

	"nudge/streams"
)

// Beliefs are what can be known of everybody from what they do: who knows how shoppers come by their tastes and choose, what items are
// like and the season, but sees events only, holds for each id a cloud of tastes (a particle filter; Gordon, Salmond, Smith 1993). Each starts as
// a draw of the world's own distribution, turns as often as tastes do, and weighs by the chance of what was chosen and of what was passed over
// by somebody of that taste. When few carry the weight they are drawn anew by it, and moved without changing what they are a draw of
// (resample-move; Gilks, Berzuini 2001).
//
// What is left out: whether somebody came with a need - either is held for as likely -, how patient they are, and what is older than the
// last kept observations when tastes are moved. An account knows what its device did from the moment on that events say that they are the same.
type Beliefs struct {
	w    *World
	rand *rand.Rand
	all  map[string]*belief
	cdf  []float64
}

const (
	cloud    = 128 // tastes held for possible
	kept     = 40  // observations by which they are moved
	shortest = 60  // items whose chance is looked at closely
)

// belief is what is known of one id.
type belief struct {
	tastes  []likes
	sinceMS []int64 // when each of them turned
	weights []float64
	atMS    int64
	seen    []observation
	list    []uint32 // under view, numbers
	offered []uint32 // recommended, numbers
	viewed  uint32   // the item looked at, that may yet be put into the cart
	passed  uint8    // items of lists that were gone past in the visit
	focus   int      // category of the visit's last list; -1: none yet
	latest  []uint32 // numbers of items looked at last
	owned   []uint32
}

// act is what was observed.
type act uint8

const (
	wanted    act = iota // a category was chosen
	chose                // an item of a list, or none
	clicked              // a recommended item, or none
	putInCart            // an item that was looked at, or not
)

type observation struct {
	act     act
	atMS    int64
	options []item // as they were
	passed  uint8  // before it
	chosen  int    // of options, or the category; -1: none
}

// Believe begins to watch a world. The seed is that of the clouds.
func (w *World) Believe(seed uint64) *Beliefs {
	return &Beliefs{w: w, rand: rand.New(rand.NewPCG(seed, 0x62656c696566)), all: map[string]*belief{}, cdf: make([]float64, cloud)}
}

// Observe takes in an event.
func (b *Beliefs) Observe(e *streams.Event) {
	id := e.User
	if id == "" {
		id = e.Anon
	}
	if id == "" {
		return
	}
	if e.Type == streams.UserMerged {
		b.merge(id, e.Anon)
		return
	}
	x := b.of(id, e.TimeMS)
	if x.offered != nil {
		b.see(x, clicked, e.TimeMS, x.offered, e, e.Type == streams.DecisionClicked)
		x.offered = nil
	}
	switch e.Type {
	case streams.DecisionShown:
		x.offered = b.numbers(e)
		return
	case streams.DecisionClicked:
		x.list, x.viewed = nil, 0 // something else came up
		return
	}
	if x.list != nil {
		b.see(x, chose, e.TimeMS, x.list, e, e.Type == streams.ProductViewed || e.Type == streams.ProductClicked)
		x.list = nil
	}
	if x.viewed != 0 {
		b.see(x, putInCart, e.TimeMS, []uint32{x.viewed}, e, e.Type == streams.ProductAdded)
		x.viewed = 0
	}
	switch e.Type {
	case streams.PageViewed:
		x.focus, x.passed = -1, 0
	case streams.ListViewed:
		if x.list = b.numbers(e); len(x.list) > 0 {
			if i, ok := b.w.itemNamed(e.Lines[0].ID); ok && int(b.w.items[i].cat) != x.focus {
				x.focus = int(b.w.items[i].cat)
				b.weigh(x, observation{act: wanted, atMS: e.TimeMS, chosen: x.focus})
			}
		}
	case streams.ProductViewed:
		if all := b.numbers(e); len(all) > 0 {
			x.viewed = all[0]
			x.latest = last(append(x.latest, x.viewed), len(person{}.latest))
		}
	case streams.OrderCompleted:
		x.owned = last(append(x.owned, b.numbers(e)...), len(person{}.owned))
	}
}

func last(all []uint32, n int) []uint32 { return all[max(0, len(all)-n):] }

// numbers are those of an event's items that are still there; not nil.
func (b *Beliefs) numbers(e *streams.Event) []uint32 {
	all := make([]uint32, 0, len(e.Lines))
	for k := range e.Lines {
		if i, ok := b.w.itemNamed(e.Lines[k].ID); ok {
			all = append(all, b.w.items[i].no)
		}
	}
	return all
}

// see notes what was chosen of some items, if the event is about one of them and chosen says so.
func (b *Beliefs) see(x *belief, as act, atMS int64, numbers []uint32, e *streams.Event, chosen bool) {
	o := observation{act: as, atMS: atMS, passed: x.passed, chosen: -1}
	now := b.numbers(e)
	for _, no := range numbers {
		it := &b.w.items[int(no-1)%len(b.w.items)]
		if it.no != no || as == clicked && slices.Contains(x.latest, no) {
			continue
		}
		if chosen && slices.Contains(now, no) {
			o.chosen = len(o.options)
		}
		o.options = append(o.options, *it)
	}
	if len(o.options) > 0 && (o.chosen >= 0 || !chosen || as != chose) { // what was looked at was not in the list: they came by another way
		b.weigh(x, o)
	}
	if as == chose {
		gone := o.chosen
		if gone < 0 {
			gone = len(o.options)
		}
		x.passed = pass(x.passed, gone)
	}
}

// of returns what is known of an id, as of a time.
func (b *Beliefs) of(id string, atMS int64) *belief {
	x := b.all[id]
	if x == nil {
		x = &belief{tastes: make([]likes, cloud), sinceMS: make([]int64, cloud), weights: make([]float64, cloud), atMS: atMS, focus: -1}
		for k := range x.tastes {
			b.draw(&x.tastes[k])
			x.weights[k] = 1. / cloud
		}
		b.all[string([]byte(id))] = x
	}
	return x
}

// draw makes somebody up.
func (b *Beliefs) draw(p *likes) {
	taste := b.w.shop.Nature.Taste
	for i := range p.taste {
		p.taste[i] = float32(1.1 * taste * b.rand.NormFloat64())
	}
	for i := range p.style {
		p.style[i] = float32(0.9 * taste * b.rand.NormFloat64())
	}
	p.band = float32(0.5 * b.rand.NormFloat64())
	p.sensitive = float32(taste * math.Exp(0.5*b.rand.NormFloat64()-0.3))
	if b.w.satisfices() { // the others leave it out
		p.impulse = float32(b.rand.NormFloat64())
	}
}

// merge lets an account know what its device did.
func (b *Beliefs) merge(id, anon string) {
	from := b.all[anon]
	if from == nil || anon == id {
		return
	}
	delete(b.all, anon)
	to := b.all[id]
	if to == nil {
		b.all[string([]byte(id))] = from
		return
	}
	for _, o := range from.seen {
		b.weigh(to, o)
	}
	to.list, to.offered, to.viewed, to.focus, to.passed = from.list, from.offered, from.viewed, from.focus, from.passed
	to.latest, to.owned = last(append(to.latest, from.latest...), len(person{}.latest)), last(append(to.owned, from.owned...), len(person{}.owned))
}

// weigh takes in an observation.
func (b *Beliefs) weigh(x *belief, o observation) {
	x.seen = append(x.seen, o)
	if len(x.seen) > kept {
		x.seen = x.seen[1:]
	}
	turns := 1 - math.Exp(-float64(max(o.atMS-x.atMS, 0))/float64(b.w.shop.Nature.Turns.Milliseconds()))
	x.atMS = max(x.atMS, o.atMS)
	sum, squares := 0.0, 0.0
	for k := range x.tastes {
		p := &x.tastes[k]
		if b.rand.Float64() < turns {
			x.sinceMS[k] = x.atMS
			b.turn(p)
		}
		x.weights[k] *= math.Exp(b.likely(p, &o))
		sum += x.weights[k]
	}
	for k := range x.weights {
		x.weights[k] /= sum
		squares += x.weights[k] * x.weights[k]
	}
	if squares*cloud > 3 {
		b.renew(x)
	}
}

// turn is World.turn, of somebody made up.
func (b *Beliefs) turn(p *likes) {
	for i := range p.taste {
		if b.rand.Float64() < 0.5 {
			p.taste[i] = float32(1.1 * b.w.shop.Nature.Taste * b.rand.NormFloat64())
		}
	}
	p.band += float32(0.4 * b.rand.NormFloat64())
}

// renew draws the cloud anew by its weights, and moves what was drawn.
func (b *Beliefs) renew(x *belief) {
	tastes, since := make([]likes, cloud), make([]int64, cloud)
	at, sum, u := 0, x.weights[0], b.rand.Float64()
	for k := range tastes {
		for sum < (float64(k)+u)/cloud && at < cloud-1 {
			at++
			sum += x.weights[at]
		}
		tastes[k], since[k] = x.tastes[at], x.sinceMS[at]
	}
	x.tastes, x.sinceMS = tastes, since
	moves := 1
	if b.w.satisfices() {
		moves = 8 // hurdles leave few of a cloud, and a move is seldom allowed
	}
	for k := range x.tastes {
		x.weights[k] = 1. / cloud
		for range moves {
			b.move(x, k)
		}
	}
}

// move proposes, for the tastes for categories and then for all else, a step that leaves the world's distribution as it is (preconditioned Crank-Nicolson),
// and takes it by the chance of what was observed.
func (b *Beliefs) move(x *belief, k int) {
	const step = 0.4
	stay := float32(math.Sqrt(1 - step*step))
	for part := range 2 {
		now, next, other := x.tastes[k], x.tastes[k], likes{}
		b.draw(&other)
		if part == 0 {
			for c := range next.taste {
				next.taste[c] = stay*now.taste[c] + step*other.taste[c]
			}
		} else {
			for d := range next.style {
				next.style[d] = stay*now.style[d] + step*other.style[d]
			}
			next.band = stay*now.band + step*other.band
			next.impulse = stay*now.impulse + step*other.impulse
			if now.sensitive > 0 { // its logarithm is normal, about -0.3 and the world's
				about := math.Log(b.w.shop.Nature.Taste) - 0.3
				next.sensitive = float32(math.Exp(about + float64(stay)*(math.Log(float64(now.sensitive))-about) + step*(math.Log(float64(other.sensitive))-about)))
			}
		}
		better := 0.0
		for i := range x.seen {
			if o := &x.seen[i]; (part == 0) == (o.act == wanted) || o.act == clicked {
				if part == 1 || o.atMS >= x.sinceMS[k] {
					better += b.likely(&next, o) - b.likely(&now, o)
				}
			}
		}
		if math.Log(1-b.rand.Float64()) < better {
			x.tastes[k] = next
		}
	}
}

// likely is the logarithm of the chance of an observation, had somebody that taste.
func (b *Beliefs) likely(p *likes, o *observation) float64 {
	switch o.act {
	case wanted:
		if b.w.satisfices() {
			return math.Log(b.w.likelyWanted(p, o.chosen, strayed))
		}
		sum, season := 0.0, b.w.season()
		for c := range p.taste {
			sum += math.Exp(float64(p.taste[c] + season[c]))
		}
		return float64(p.taste[o.chosen]+season[o.chosen]) - math.Log(sum)
	case putInCart:
		if b.w.satisfices() {
			return math.Log(p.likelyCarted(o))
		}
		u := float64(0.8*p.utility(&o.options[0])) - 2.7 + 0.9
		if o.chosen < 0 {
			u = -u
		}
		return -math.Log(1 + math.Exp(-u))
	}
	chance := 0.0
	if b.w.satisfices() {
		chance = p.likelyFirst(o)
	} else {
		chance = p.likelyLargest(o)
	}
	if o.act == clicked { // who has no patience left, or looks elsewhere, clicks nothing
		const elsewhere = 0.2
		chance *= 1 - elsewhere
		if o.chosen < 0 {
			chance += elsewhere
		}
	}
	return math.Log(chance)
}

// likelyLargest is the chance that what was chosen has the largest utility.
func (p *likes) likelyLargest(o *observation) (chance float64) {
	sum, worth := 0.0, 0.0
	for k := range o.options {
		u := p.utility(&o.options[k]) - 0.1*float32(k)
		if o.act == clicked {
			u = p.appeal(&o.options[k])
		}
		x := math.Exp(float64(u))
		sum += x
		if k == o.chosen {
			worth = x
		}
	}
	none := [2]float64{1.6, 0.1}
	if o.act == clicked {
		none = [2]float64{1.4, 0.4}
	}
	for _, u := range none {
		x := math.Exp(u)
		if o.chosen < 0 {
			worth = x
		}
		chance += worth / (x + sum) / 2
	}
	return chance
}

// Best returns the ids of the n items in stock that an id would most likely click were each the only one seen, for all that is known, the best first: of those
// that they were not seen to look at lately or to buy.
func (b *Beliefs) Best(id string, nowMS int64, n int) []string {
	x := b.of(id, nowMS)
	var mean likes
	for k := range x.tastes {
		p, w := &x.tastes[k], float32(x.weights[k])
		for c := range p.taste {
			mean.taste[c] += w * p.taste[c]
		}
		for d := range p.style {
			mean.style[d] += w * p.style[d]
		}
	}
	few := b.few(x)
	var best []ranked
	for i := range uint32(len(b.w.items)) {
		it := &b.w.items[i]
		if it.stock <= 0 || slices.Contains(x.latest, it.no) || slices.Contains(x.owned, it.no) {
			continue
		}
		u := float32(0)
		if b.w.satisfices() {
			for _, k := range few {
				u += float32(x.tastes[k].likelyTaken(it, x.passed)) / float32(len(few))
			}
		} else {
			u = mean.fit(it) + 0.5*mean.taste[it.cat]
			for _, k := range few {
				u -= x.tastes[k].dearness(it) / float32(len(few))
			}
		}
		best = insert(best, ranked{i, u}, max(shortest, 2*n))
	}
	var closely []ranked
	for _, r := range best {
		chance := 0.0
		for k := range x.tastes {
			if it := &b.w.items[r.item]; b.w.satisfices() {
				chance += x.weights[k] * x.tastes[k].likelyTaken(it, x.passed)
			} else {
				chance += x.weights[k] / (1 + math.Exp(0.9-float64(x.tastes[k].appeal(it))))
			}
		}
		closely = insert(closely, ranked{r.item, float32(chance)}, n)
	}
	return b.w.ids(closely)
}

// few are some of the cloud, drawn evenly by weight.
func (b *Beliefs) few(x *belief) []int {
	const n = 24
	all := make([]int, 0, n)
	at, sum := 0, x.weights[0]
	for k := range n {
		for sum < (float64(k)+.5)/n && at < cloud-1 {
			at++
			sum += x.weights[at]
		}
		all = append(all, at)
	}
	return all
}
