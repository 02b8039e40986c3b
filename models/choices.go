package models

import (
	"fmt"
	"math"
)

// Choices learns what customers choose of what they see: of a shop's own list, of a recommended one, of an item on its page - to be put into the cart, or
// not. It is a conditional logit (McFadden 1974) whose worths are factored, with what describes an item among the factors (Koren, Bell, Volinsky 2009):
//
//	P(i is chosen of those seen) = exp(worth(i)) / (exp(none) + Σ exp(worth(j)))
//	worth(i) = bias(i) + leaning of the customer · vector(i)
//
// Bias and vector of an item are sums of its own, those of its category and of its brand; a further bias is that of how dear it is beside its category's mean,
// which is a further place of the vector as well: so something is known of an item on its first day. none is learned for each Kind. Each
// choice moves the customer's leaning and the vectors by the gradient of its likelihood. An item that was passed over counts as much as one that was
// chosen: that tells what somebody likes from what the shop shows to everybody. What stands below what was chosen counts, too: of who looks no further that is wrong, and
// in simulated shops where all do so it still helps (evaluations.md).
type Choices struct {
	paced // of the groups of items, then of how dear they are, then of the kinds

	// TouchItem is called with an item's row before its weights change. nil: nobody has to know.
	TouchItem func(row uint32)

	items  []chosenItem // by row
	said   []saidOfItem // by row; built from the catalogue
	prices []meanPrice  // by group, likewise
	first  []float32    // what the vectors of the groups begin with
}

// ChoiceDims is how many places of a vector are learned.
const ChoiceDims = 8

// MostOptions is how many items of a list count.
const MostOptions = 16

// Kind is where a choice is made.
type Kind uint8

// The kinds.
const (
	ChoiceOfList  Kind = iota // the shop's own
	ChoiceOfSlate             // a recommended one
	ChoiceOfCart              // one item: to be put into the cart
	ChoiceKinds
)

// Leaning is what a customer likes, the last place what they think of dear items: in 65,536ths, so that the leanings of one customer under two names can be added. The
// zero value is that of somebody unknown.
type Leaning [ChoiceDims + 1]int32

// Choice is one that was made, and what it teaches.
type Choice struct {
	Kind    Kind
	Options []Item
	Chosen  int // of Options; -1: none

	by       Leaning
	gradient [MostOptions]float32
	none     float32
}

type chosenItem [ChoiceDims + 1]paceOne // vector, bias

type saidOfItem struct {
	item        Item
	leaf, brand uint16 // groups, from 1; 0: none
	price       int16  // in sixteenths of a doubling
}

type meanPrice struct{ sum, of int }

const (
	choiceGroups = 4096
	choiceWidth  = ChoiceDims + 1             // a vector and a bias
	choiceDear   = choiceGroups * choiceWidth // where the biases of how dear an item is begin
	dearBuckets  = 16
	choiceNone   = choiceDear + dearBuckets // where those of choosing nothing begin
	choiceScale  = 1 << 16                  // of leanings
	mostWorth    = 20.0

	// Tuned in the simulated shops, on seeds 1 and 2: twice a rate makes no difference, a tenth of the decays is worse (doc.go).
	choiceRate   = 0.3
	choiceDecay  = 1e-3
	ownDecay     = 2e-3 // an item has few examples
	leaningRate  = 0.3
	leaningFades = 1.0 / 512        // at each choice
	firstVectors = 0.3 * math.Sqrt2 // times the sum of four uniform numbers: a standard deviation of .245
	unproven     = 1.0              // without it new items were not shown at all on their first day
)

// noneFirst are the log-odds of choosing nothing at first.
var noneFirst = [ChoiceKinds]float32{ChoiceOfList: 1, ChoiceOfSlate: 1, ChoiceOfCart: 2}

// NewChoices returns a model that has learned nothing. The vectors of groups begin at random, always the same: two that begin alike would stay so.
func NewChoices() *Choices {
	c := &Choices{paced: newPaced(choiceNone+int(ChoiceKinds), choiceRate, choiceDecay), prices: make([]meanPrice, choiceGroups), first: make([]float32, choiceGroups*ChoiceDims)}
	x := uint64(1)
	for k := range c.first {
		sum := 0.0
		for range 4 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			sum += float64(x>>11)/(1<<53) - .5
		}
		c.first[k] = float32(sum * firstVectors)
	}
	return c
}

// Describe says what is known of an item: hashes of its category and brand, 0 for none, and its price, 0 for none.
func (c *Choices) Describe(item Item, leaf, brand uint32, price int64) {
	n := item.Row()
	c.forget(n)
	if int(n) >= len(c.said) {
		c.said = append(c.said, make([]saidOfItem, int(n)+1-len(c.said))...)
	}
	x := &c.said[n]
	*x = saidOfItem{item: item, leaf: choiceGroup(leaf), brand: choiceGroup(brand)}
	if price > 0 {
		x.price = int16(16 * Log(float64(price)) / math.Ln2)
	}
	c.count(x, 1)
}

func choiceGroup(hash uint32) uint16 {
	if hash == 0 {
		return 0
	}
	return uint16(1 + hash%choiceGroups)
}

func (c *Choices) count(x *saidOfItem, by int) {
	if x.leaf != 0 && x.price != 0 {
		m := &c.prices[x.leaf-1]
		m.sum, m.of = m.sum+by*int(x.price), m.of+by
	}
}

func (c *Choices) forget(row uint32) {
	if int(row) < len(c.said) {
		c.count(&c.said[row], -1)
		c.said[row] = saidOfItem{item: NoItem}
	}
}

// Forget empties an item's row: it is gone.
func (c *Choices) Forget(row uint32) {
	c.forget(row)
	if int(row) < len(c.items) && c.items[row] != (chosenItem{}) {
		if c.TouchItem != nil {
			c.TouchItem(row)
		}
		c.items[row] = chosenItem{}
	}
}

// about is an item as the model sees it: its vector, its bias, and the bucket of how dear it is.
type about struct {
	vector [choiceWidth]float32
	bias   float32
	dear   int // 0: unknown
}

func (c *Choices) about(i Item) (a about) {
	n := i.Row()
	if int(n) < len(c.items) {
		x := &c.items[n]
		for d := range ChoiceDims {
			a.vector[d] = x[d].weight
		}
		a.bias = x[ChoiceDims].weight
	}
	var x saidOfItem
	if int(n) < len(c.said) && c.said[n].item == i {
		x = c.said[n]
	}
	if x.leaf == 0 && x.brand == 0 { // of itself it would stay 0: nobody could come to lean towards it
		for d, first := range c.first[int(n%choiceGroups)*ChoiceDims:][:ChoiceDims] {
			a.vector[d] += first
		}
	}
	for _, g := range [...]uint16{x.leaf, x.brand} {
		if g != 0 {
			weights, first := c.weight[int(g-1)*choiceWidth:][:choiceWidth], c.first[int(g-1)*ChoiceDims:][:ChoiceDims]
			for d := range first {
				a.vector[d] += first[d] + weights[d]
			}
			a.bias += weights[ChoiceDims]
		}
	}
	if a.vector[ChoiceDims], a.dear = c.dearness(&x); a.dear != 0 {
		a.bias += c.weight[choiceDear+a.dear]
	}
	return a
}

// dearness is how dear an item is beside its category's mean, in doublings, and its bucket; 0 where that is not known.
func (c *Choices) dearness(x *saidOfItem) (beside float32, bucket int) {
	if x.leaf == 0 || x.price == 0 {
		return 0, 0
	}
	m := &c.prices[x.leaf-1]
	more := int(x.price) - m.sum/m.of
	return float32(min(max(more, -64), 64)) / 16, 1 + min(max((more+28)>>2, 0), dearBuckets-2)
}

// worth is the logarithm of what an item is worth.
func (a *about) worth(by *Leaning) float64 {
	sum := float64(a.bias)
	for d := range by {
		sum += float64(float64(by[d]) / choiceScale * float64(a.vector[d]))
	}
	return min(max(sum, -mostWorth), mostWorth)
}

// Score adds items to a scratch, each with the logarithm of what it may be worth to somebody: what it is thought to be worth, and unproven/√(1 + steps) more, where steps
// is the sum of the squared gradients of its own bias. An item that was hardly ever seen has the benefit of the doubt (Auer, Cesa-Bianchi, Fischer 2002), since
// what is not shown would teach nothing. It reads the model only.
func (c *Choices) Score(s *Scratch, by *Leaning, items func(each func(Item))) {
	s.worth.reset()
	var likes [choiceWidth]float64
	for d := range by {
		likes[d] = float64(by[d]) / choiceScale
	}
	items(func(i Item) {
		steps := 0.0
		if n := i.Row(); int(n) < len(c.items) {
			steps = float64(c.items[n][ChoiceDims].steps)
		}
		s.Add(i, float32(c.worth(&s.worth, i, &likes)+unproven/math.Sqrt(1+steps)))
	})
}

// groupWorths is what groups are worth to somebody: every item of a category shares in it, and it is the half of what is to be reckoned.
type groupWorths struct {
	worth []float64
	of    []uint32 // the scoring that it was reckoned in
	now   uint32
}

func (t *groupWorths) reset() {
	if t.worth == nil {
		t.worth, t.of = make([]float64, choiceGroups), make([]uint32, choiceGroups)
	}
	if t.now++; t.now == 0 {
		clear(t.of)
		t.now = 1
	}
}

// worth is that of about, put together from what its groups are worth.
func (c *Choices) worth(t *groupWorths, i Item, likes *[choiceWidth]float64) float64 {
	n, sum := i.Row(), 0.0
	if int(n) < len(c.items) {
		x := &c.items[n]
		sum = float64(x[ChoiceDims].weight)
		for d := range ChoiceDims {
			sum += float64(likes[d] * float64(x[d].weight))
		}
	}
	var x *saidOfItem
	if int(n) < len(c.said) && c.said[n].item == i {
		x = &c.said[n]
	}
	if x == nil || x.leaf == 0 && x.brand == 0 {
		for d, first := range c.first[int(n%choiceGroups)*ChoiceDims:][:ChoiceDims] {
			sum += float64(likes[d] * float64(first))
		}
		return min(max(sum, -mostWorth), mostWorth)
	}
	for _, g := range [...]uint16{x.leaf, x.brand} {
		if g == 0 {
			continue
		}
		if t.of[g-1] != t.now {
			weights, first := c.weight[int(g-1)*choiceWidth:][:choiceWidth], c.first[int(g-1)*ChoiceDims:][:ChoiceDims]
			worth := float64(weights[ChoiceDims])
			for d := range first {
				worth += float64(likes[d] * (float64(first[d]) + float64(weights[d])))
			}
			t.worth[g-1], t.of[g-1] = worth, t.now
		}
		sum += t.worth[g-1]
	}
	if beside, dear := c.dearness(x); dear != 0 {
		sum += float64(c.weight[choiceDear+dear]) + float64(likes[ChoiceDims]*float64(beside))
	}
	return min(max(sum, -mostWorth), mostWorth)
}

// Read says what a choice teaches, and moves the leaning of who made it. It reads the model only. Bad input (no options, more than MostOptions, no such kind, one chosen
// that is none of them) teaches nothing.
func (c *Choices) Read(x *Choice, by *Leaning) bool {
	if len(x.Options) == 0 || len(x.Options) > MostOptions || x.Chosen >= len(x.Options) || x.Kind >= ChoiceKinds {
		return false
	}
	var all [MostOptions]about
	var weights [MostOptions]float64
	none := Exp(float64(c.weight[choiceNone+int(x.Kind)] + noneFirst[x.Kind]))
	sum := none
	for k, i := range x.Options {
		all[k] = c.about(i)
		weights[k] = Exp(all[k].worth(by))
		sum += weights[k]
	}
	x.by = *by
	x.none = float32(none / sum)
	if x.Chosen < 0 {
		x.none--
	}
	for d := range by {
		by[d] -= int32(float64(by[d]) * leaningFades)
	}
	for k := range x.Options {
		g := weights[k] / sum
		if k == x.Chosen {
			g--
		}
		x.gradient[k] = float32(g)
		for d := range by {
			by[d] -= int32(float64(g*leaningRate) * float64(all[k].vector[d]) * choiceScale)
		}
	}
	return true
}

// Learn takes in a choice that was read. Of its options those may have become NoItem that are gone.
func (c *Choices) Learn(x *Choice) {
	var by [ChoiceDims]float32
	for d := range by {
		by[d] = float32(x.by[d]) / choiceScale
	}
	for k, i := range x.Options {
		if i != NoItem {
			c.learn(i, &by, x.gradient[k])
		}
	}
	c.step(choiceNone+uint32(x.Kind), x.none)
}

func (c *Choices) learn(i Item, by *[ChoiceDims]float32, gradient float32) {
	n := i.Row()
	if c.TouchItem != nil {
		c.TouchItem(n)
	}
	if int(n) >= len(c.items) {
		c.items = append(c.items, make([]chosenItem, int(n)+1-len(c.items))...)
	}
	x := &c.items[n]
	for d := range by {
		descend(&x[d].weight, &x[d].steps, float32(gradient*by[d]), choiceRate, ownDecay)
	}
	descend(&x[ChoiceDims].weight, &x[ChoiceDims].steps, gradient, choiceRate, ownDecay)
	if int(n) >= len(c.said) || c.said[n].item != i {
		return
	}
	said := &c.said[n]
	for _, g := range [...]uint16{said.leaf, said.brand} {
		if g != 0 {
			at := uint32(g-1) * choiceWidth
			for d := range by {
				c.step(at+uint32(d), float32(gradient*by[d]))
			}
			c.step(at+ChoiceDims, gradient)
		}
	}
	if a := c.about(i); a.dear != 0 {
		c.step(choiceDear+uint32(a.dear), gradient)
	}
}

// AppendItem appends the canonical encoding of an item's row; nothing if it is empty.
func (c *Choices) AppendItem(b []byte, row uint32) []byte {
	if int(row) >= len(c.items) || c.items[row] == (chosenItem{}) {
		return b
	}
	for _, x := range c.items[row] {
		b = appendWeight(b, x.weight, x.steps)
	}
	return b
}

// LoadItem is the inverse of AppendItem.
func (c *Choices) LoadItem(row uint32, b []byte) error {
	if len(b) != 8*choiceWidth || row >= MaxItems {
		return fmt.Errorf("models: choices of item row %d: %d bytes are no row", row, len(b))
	}
	var x chosenItem
	for d := range x {
		var err error
		if x[d].weight, x[d].steps, err = weightOf(b[8*d:]); err != nil {
			return fmt.Errorf("models: choices of item row %d: %w", row, err)
		}
	}
	if int(row) >= len(c.items) {
		c.items = append(c.items, make([]chosenItem, int(row)+1-len(c.items))...)
	}
	c.items[row] = x
	return nil
}
