package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Again learns how often an item is met again right after itself.
//
//	chance(i) = (same(i) + prior · chance of all) / (met(i) + prior)
//
// Counts are whole and stop at 1<<24. Bad input (no item) teaches nothing.
type Again struct {
	// Touch is called with the row's number before a row changes. nil: nobody has to know.
	Touch func(row uint32)

	rows []again
	all  again // the sum of all rows
}

type again struct{ met, same uint32 }

const (
	againPrior = 10
	againMost  = 1 << 24
)

// NewAgain returns a model that has learned nothing.
func NewAgain() *Again { return &Again{} }

// Learn takes in what came after an item: itself or another.
func (m *Again) Learn(item Item, same bool) {
	if item == NoItem {
		return
	}
	one := again{met: 1}
	if same {
		one.same = 1
	}
	m.raise(item.Row(), one)
}

func (m *Again) raise(row uint32, by again) {
	if int(row) >= len(m.rows) {
		m.rows = append(m.rows, make([]again, int(row)+1-len(m.rows))...)
	}
	r := &m.rows[row]
	if r.met+by.met > againMost {
		return
	}
	if m.Touch != nil {
		m.Touch(row)
	}
	r.met += by.met
	r.same += by.same
	m.all.met += by.met
	m.all.same += by.same
}

// Chance is the chance that an item comes again, drawn to that of all items where little is known of it.
func (m *Again) Chance(item Item) float64 {
	var r again
	if item != NoItem && int(item.Row()) < len(m.rows) {
		r = m.rows[item.Row()]
	}
	all := (float64(m.all.same) + 1) / (float64(m.all.met) + 2)
	return (float64(r.same) + float64(againPrior*all)) / (float64(r.met) + againPrior)
}

// Forget empties a row: its item is gone.
func (m *Again) Forget(row uint32) {
	if int(row) >= len(m.rows) || m.rows[row].met == 0 {
		return
	}
	if m.Touch != nil {
		m.Touch(row)
	}
	m.all.met -= m.rows[row].met
	m.all.same -= m.rows[row].same
	m.rows[row] = again{}
}

// Rows is the number of rows.
func (m *Again) Rows() int { return len(m.rows) }

// Add takes in what other has learned.
func (m *Again) Add(other *Again) {
	for n, r := range other.rows {
		if r.met > 0 {
			m.raise(uint32(n), r)
		}
	}
}

// AppendRow appends the canonical encoding of a row; nothing if it is empty.
func (m *Again) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= len(m.rows) || m.rows[row].met == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(m.rows[row].met))
	return binary.AppendUvarint(b, uint64(m.rows[row].same))
}

// LoadRow is the inverse of AppendRow.
func (m *Again) LoadRow(row uint32, b []byte) error {
	met, n := binary.Uvarint(b)
	if n > 0 && met > 0 && met <= againMost && row < MaxItems {
		if same, k := binary.Uvarint(b[n:]); k > 0 && n+k == len(b) && same <= met {
			m.Forget(row)
			m.raise(row, again{uint32(met), uint32(same)})
			return nil
		}
	}
	return fmt.Errorf("models: again, row %d: %d bytes are no row", row, len(b))
}

// percent25 buckets the chance of an item into 0 to 14, by 25ths.
func (m *Again) percent25(item Item) int { return min(int(math.Floor(m.Chance(item)*25)), 14) }
