package models

import (
	"encoding/binary"
	"fmt"
)

// Rates learns of items how often something becomes of them, such as that a sold one is sent back. An item has few cases, so it leans on its
// group, such as a category, and a group on what is usual:
//
//	rate = (came + k · rate of the group) / (cases + k)
//
// All it knows are counts, so merging is exact. Bad input (no item) teaches nothing.
type Rates struct {
	// Touch is called with the row's number before a row changes; the rows of groups come after MaxItems. nil: nobody has to know.
	Touch func(row uint32)

	usual  float64
	items  []cases // by row
	groups []cases
}

type cases struct{ of, came uint32 }

const (
	// RateGroups is how many groups there are.
	RateGroups = 4096
	ratePrior  = 10 // cases' worth of the group's rate
)

// NewRates returns a model that has learned nothing. usual is the rate of a group of which nothing is known.
func NewRates(usual float64) *Rates { return &Rates{usual: usual, groups: make([]cases, RateGroups)} }

// Learn takes in so many cases of an item, and so many that came true. They need not come together.
func (m *Rates) Learn(item Item, group, of, came uint32) {
	if item == NoItem {
		return
	}
	x := cases{of, came}
	m.raise(item.Row(), x)
	m.raise(MaxItems+group%RateGroups, x)
}

func (m *Rates) row(n uint32) *cases {
	if n >= MaxItems {
		return &m.groups[n-MaxItems]
	}
	if int(n) >= len(m.items) {
		m.items = append(m.items, make([]cases, int(n)+1-len(m.items))...)
	}
	return &m.items[n]
}

func (m *Rates) raise(n uint32, by cases) {
	const most = 1 << 30
	r := m.row(n)
	if by == (cases{}) || by.of > most || by.came > most || r.of+by.of > most || r.came+by.came > most {
		return
	}
	if m.Touch != nil {
		m.Touch(n)
	}
	r.of, r.came = r.of+by.of, r.came+by.came
}

// Rate is how often it becomes of an item.
func (m *Rates) Rate(item Item, group uint32) float64 {
	rate := m.groups[group%RateGroups].rate(m.usual)
	if item != NoItem && int(item.Row()) < len(m.items) {
		rate = m.items[item.Row()].rate(rate)
	}
	return rate
}

func (r *cases) rate(usual float64) float64 {
	if *r == (cases{}) {
		return usual
	}
	return min((float64(r.came)+float64(ratePrior*usual))/(float64(r.of)+ratePrior), 1)
}

// Forget empties an item's row: it is gone. Its group keeps what it has taught.
func (m *Rates) Forget(row uint32) {
	if int(row) < len(m.items) && m.items[row] != (cases{}) {
		if m.Touch != nil {
			m.Touch(row)
		}
		m.items[row] = cases{}
	}
}

// Add takes in what another has learned.
func (m *Rates) Add(o *Rates) {
	for n := range o.items {
		m.raise(uint32(n), o.items[n])
	}
	for n := range o.groups {
		m.raise(MaxItems+uint32(n), o.groups[n])
	}
}

// AppendRow appends the canonical encoding of a row; nothing if it is empty.
func (m *Rates) AppendRow(b []byte, row uint32) []byte {
	if row >= MaxItems+RateGroups || row < MaxItems && int(row) >= len(m.items) || *m.row(row) == (cases{}) {
		return b
	}
	r := m.row(row)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.of)), uint64(r.came))
}

// LoadRow is the inverse of AppendRow.
func (m *Rates) LoadRow(row uint32, b []byte) error {
	of, n := binary.Uvarint(b)
	if n <= 0 {
		return fmt.Errorf("models: row %d of rates: %x is no number", row, b)
	}
	came, k := binary.Uvarint(b[n:])
	if k <= 0 || n+k != len(b) || of > 1<<30 || came > 1<<30 || of+came == 0 || row >= MaxItems+RateGroups {
		return fmt.Errorf("models: row %d of rates: %x is none", row, b)
	}
	*m.row(row) = cases{uint32(of), uint32(came)}
	return nil
}
