package models

import (
	"fmt"
	"math"
)

// Clicks learns from what was shown and what became of it how likely a customer takes an item once it is looked at. It is a position-based
// model (Richardson, Dominowska, Ragno 2007):
//
//	P(item at position k is taken) = look(k) · σ(base + Σ weights of its features + the item's own weight)
//
// so an item that nobody took at the end of a list is not blamed for its place. Whether it was looked at is not known; both are learned by
// the gradient of the likelihood of what was taken, look as a logistic of a weight of the position. look(1) is 1: all is relative to the
// first place. An item's own weight is what its features don't say about it.
type Clicks struct {
	paced // of the features, then of the positions from the second on

	// TouchItem is called with an item's row before its weight changes. nil: nobody has to know.
	TouchItem func(row uint32)

	features uint32
	items    []paceOne // by row
}

type paceOne struct{ weight, steps float32 }

// Offered is an item as it was offered. Features are numbers below Features, each at most once.
type Offered struct {
	Item     Item
	Base     float32 // log-odds that are known without any example, but for a constant
	Features []uint16
}

const (
	clicksRate  = 0.3
	clicksDecay = 1e-5
	itemRate    = 0.1
	itemDecay   = 5e-3 // an item has few examples
	takenPrior  = -3   // log-odds of an item that is looked at, about one in twenty
	lookFalls   = 0.15 // how fast positions are thought to be looked at less and less
	positions   = 50
)

// NewClicks returns a model that has learned nothing.
func NewClicks(features int) *Clicks {
	return &Clicks{paced: newPaced(features+positions-1, clicksRate, clicksDecay), features: uint32(features)}
}

// Look is the chance that a position, from 1, is looked at, as a part of the first one's.
func (c *Clicks) Look(position int) float64 {
	if position <= 1 {
		return 1
	}
	return Chance(float64(c.weight[c.position(position)]) - Log(float64(lookFalls*float64(position-1))))
}

// position is the number of a position's weight.
func (c *Clicks) position(position int) uint32 {
	return c.features + uint32(min(position, positions)-2)
}

// Logit are the log-odds that an item is taken once it is looked at.
func (c *Clicks) Logit(x *Offered) float64 {
	sum := takenPrior + x.Base
	for _, f := range x.Features {
		sum += c.weight[f]
	}
	if n := x.Item.Row(); x.Item != NoItem && int(n) < len(c.items) {
		sum += c.items[n].weight
	}
	return float64(sum)
}

// Chance is the chance of log-odds.
func Chance(logit float64) float64 { return 1 / (1 + Exp(-logit)) }

// Learn takes in what became of an offer at a position, from 1. Bad input (a feature that is none, a weight that is not positive) teaches nothing.
func (c *Clicks) Learn(x *Offered, position int, taken bool, weight float32) {
	if !(weight > 0) || weight > MaxWeight || position < 1 {
		return
	}
	for _, f := range x.Features {
		if uint32(f) >= c.features {
			return
		}
	}
	chance, look := Chance(c.Logit(x)), c.Look(position)
	wanted, looked := 1.0, 1.0
	if !taken {
		miss := 1 - float64(chance*look)
		wanted, looked = chance*(1-look)/miss, look*(1-chance)/miss
	}
	if position > 1 {
		c.step(c.position(position), float32(look-looked)*weight)
	}
	gradient := float32(chance-wanted) * weight
	rate := c.rate / math.Sqrt(float64(len(x.Features)+1)) // together they move as far as one alone would
	for _, f := range x.Features {
		c.stepAt(uint32(f), gradient, rate)
	}
	if x.Item == NoItem {
		return
	}
	n := x.Item.Row()
	if c.TouchItem != nil {
		c.TouchItem(n)
	}
	if int(n) >= len(c.items) {
		c.items = append(c.items, make([]paceOne, int(n)+1-len(c.items))...)
	}
	descend(&c.items[n].weight, &c.items[n].steps, gradient, itemRate, itemDecay)
}

// Forget empties an item's row: it is gone.
func (c *Clicks) Forget(row uint32) {
	if int(row) < len(c.items) && c.items[row] != (paceOne{}) {
		if c.TouchItem != nil {
			c.TouchItem(row)
		}
		c.items[row] = paceOne{}
	}
}

// AppendItem appends the canonical encoding of an item's row; nothing if it is empty.
func (c *Clicks) AppendItem(b []byte, row uint32) []byte {
	if int(row) >= len(c.items) || c.items[row] == (paceOne{}) {
		return b
	}
	return appendWeight(b, c.items[row].weight, c.items[row].steps)
}

// LoadItem is the inverse of AppendItem.
func (c *Clicks) LoadItem(row uint32, b []byte) error {
	if len(b) != 8 || row >= MaxItems {
		return fmt.Errorf("models: clicks of item row %d: %d bytes are no row", row, len(b))
	}
	weight, steps, err := weightOf(b)
	if err != nil {
		return fmt.Errorf("models: clicks of item row %d: %w", row, err)
	}
	if int(row) >= len(c.items) {
		c.items = append(c.items, make([]paceOne, int(row)+1-len(c.items))...)
	}
	c.items[row] = paceOne{weight, steps}
	return nil
}
