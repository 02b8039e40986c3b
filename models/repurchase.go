package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Repurchase learns what is bought again, and after how long: food and lenses are, a phone is not. An item has few repeats, so it leans on its
// group, such as a category, and a group on what is usual.
//
//	rate = (again + k · rate of the group) / (purchases + k)
//	due  = rate · exp(-z²/2),  z = (ln t - μ) / σ       t days after the last purchase, μ and σ of the logarithms of the gaps
//
// All it knows are sums in fixed point, so merging is exact. Bad input (no item, a gap below SameOccasionMS that is not 0) teaches nothing.
type Repurchase struct {
	// Touch is called with the row's number before a row changes; the rows of groups come after MaxItems. nil: nobody has to know.
	Touch func(row uint32)

	items  []repeats // by row
	groups []repeats
}

type repeats struct {
	first, again   uint32
	sum, squareSum int64 // of ln(gap in days) and its square, in 2^-20
}

const (
	// RepurchaseGroups is how many groups there are.
	RepurchaseGroups = 4096

	repurchasePrior = 12   // purchases' worth of the group's rate and gap
	repurchaseUsual = 0.05 // of a group of which nothing is known
	usualGapDays    = 30
	usualSpread     = 0.8 // of the logarithm
	leastSpread     = 0.2
	neverRate       = 0.02 // below it an item is not bought again
	neverSeen       = 30   // once so many purchases have been seen
	repeatsMost     = 1 << 30
)

// NewRepurchase returns a model that has learned nothing.
func NewRepurchase() *Repurchase { return &Repurchase{groups: make([]repeats, RepurchaseGroups)} }

// Learn takes in a purchase: the time since the same customer's last one of the item, 0 for the first.
func (m *Repurchase) Learn(item Item, group uint32, gapMS int64) {
	if item == NoItem || gapMS != 0 && gapMS < SameOccasionMS {
		return
	}
	x := repeats{first: 1}
	if gapMS > 0 {
		ln := Log(float64(gapMS) / dayMS)
		x = repeats{again: 1, sum: int64(math.Floor(float64(ln*logUnit) + 0.5)), squareSum: int64(math.Floor(float64(float64(ln*ln)*logUnit) + 0.5))}
	}
	m.raise(item.Row(), &x)
	m.raise(MaxItems+group%RepurchaseGroups, &x)
}

// row returns the row of a number, made if need be.
func (m *Repurchase) row(n uint32) *repeats {
	if n >= MaxItems {
		return &m.groups[n-MaxItems]
	}
	if int(n) >= len(m.items) {
		m.items = append(m.items, make([]repeats, int(n)+1-len(m.items))...)
	}
	return &m.items[n]
}

func (m *Repurchase) raise(n uint32, by *repeats) {
	r := m.row(n)
	if r.first+r.again+by.first+by.again > repeatsMost {
		return
	}
	if m.Touch != nil {
		m.Touch(n)
	}
	r.first, r.again, r.sum, r.squareSum = r.first+by.first, r.again+by.again, r.sum+by.sum, r.squareSum+by.squareSum
}

// Rate is the chance that a purchase is followed by another one of the same item.
func (m *Repurchase) Rate(item Item, group uint32) float64 {
	g := &m.groups[group%RepurchaseGroups]
	return m.of(item).rate(g.rate(repurchaseUsual))
}

func (r *repeats) rate(usual float64) float64 {
	return (float64(r.again) + float64(repurchasePrior*usual)) / (float64(r.first+r.again) + repurchasePrior)
}

func (m *Repurchase) of(item Item) *repeats {
	if n := item.Row(); item != NoItem && int(n) < len(m.items) {
		return &m.items[n]
	}
	return &repeats{}
}

// Due is how much it is time to buy an item again, so long after the last purchase: at most its rate.
func (m *Repurchase) Due(item Item, group uint32, sinceMS int64) float64 {
	if sinceMS < SameOccasionMS {
		return 0
	}
	mean, spread := m.groups[group%RepurchaseGroups].gap(Log(usualGapDays), usualSpread)
	mean, spread = m.of(item).gap(mean, spread)
	z := (Log(float64(sinceMS)/dayMS) - mean) / spread
	return m.Rate(item, group) * Exp(-float64(z*z)/2)
}

// gap is the mean of the logarithms of the gaps and their spread, leaning on what is usual.
func (r *repeats) gap(mean, spread float64) (float64, float64) {
	n := float64(r.again) + repurchasePrior
	sum := float64(r.sum)/logUnit + float64(repurchasePrior*mean)
	squares := float64(r.squareSum)/logUnit + float64(repurchasePrior*(float64(mean*mean)+float64(spread*spread)))
	mu := sum / n
	return mu, math.Sqrt(max(squares/n-float64(mu*mu), leastSpread*leastSpread))
}

// Never says whether an item is not bought again by who has it.
func (m *Repurchase) Never(item Item, group uint32) bool {
	r, g := m.of(item), &m.groups[group%RepurchaseGroups]
	return r.first+r.again+g.first+g.again >= neverSeen && m.Rate(item, group) < neverRate
}

// Forget empties an item's row: it is gone.
func (m *Repurchase) Forget(row uint32) {
	if int(row) < len(m.items) && m.items[row] != (repeats{}) {
		if m.Touch != nil {
			m.Touch(row)
		}
		m.items[row] = repeats{}
	}
}

// Add takes in what other has learned.
func (m *Repurchase) Add(other *Repurchase) {
	for n := range other.items {
		if other.items[n] != (repeats{}) {
			m.raise(uint32(n), &other.items[n])
		}
	}
	for n := range other.groups {
		if other.groups[n] != (repeats{}) {
			m.raise(MaxItems+uint32(n), &other.groups[n])
		}
	}
}

// AppendRow appends the canonical encoding of a row; nothing if it is empty.
func (m *Repurchase) AppendRow(b []byte, row uint32) []byte {
	var r repeats
	switch {
	case row >= MaxItems && row-MaxItems < RepurchaseGroups:
		r = m.groups[row-MaxItems]
	case int(row) < len(m.items):
		r = m.items[row]
	}
	if r == (repeats{}) {
		return b
	}
	b = binary.AppendUvarint(b, uint64(r.first))
	b = binary.AppendUvarint(b, uint64(r.again))
	b = binary.AppendVarint(b, r.sum)
	return binary.AppendVarint(b, r.squareSum)
}

// LoadRow is the inverse of AppendRow.
func (m *Repurchase) LoadRow(row uint32, b []byte) error {
	if row >= MaxItems+RepurchaseGroups {
		return fmt.Errorf("models: repurchase: there is no row %d", row)
	}
	size := len(b)
	first, n1 := binary.Uvarint(b)
	again, n2 := binary.Uvarint(b[max(n1, 0):])
	sum, n3 := binary.Varint(b[max(n1, 0)+max(n2, 0):])
	squares, n4 := binary.Varint(b[max(n1, 0)+max(n2, 0)+max(n3, 0):])
	if n1 <= 0 || n2 <= 0 || n3 <= 0 || n4 <= 0 || n1+n2+n3+n4 != size || first+again > repeatsMost || first > repeatsMost || again > repeatsMost || squares < 0 {
		return fmt.Errorf("models: repurchase row %d: %d bytes are no row", row, size)
	}
	*m.row(row) = repeats{uint32(first), uint32(again), sum, squares}
	return nil
}
