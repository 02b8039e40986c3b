package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Item names an item: the number of its row in the low 24 bits, and in the high 8 the row's generation. A row that was
// given to another item has another generation, so what was learned of the one never speaks for the other.
type Item uint32

// NoItem is no item's name.
const NoItem = Item(math.MaxUint32)

// MaxItems is the number of rows that an Item can tell apart, less the one that NoItem takes.
const MaxItems = 1<<24 - 1

// MakeItem names the item in a row.
func MakeItem(row uint32, generation uint8) Item { return Item(row&(1<<24-1) | uint32(generation)<<24) }

// Row is the number of the item's row.
func (i Item) Row() uint32 { return uint32(i) & (1<<24 - 1) }

// CoOccurrence learns which items are met together, and in which order.
//
//	weight(a→b) = Σ gap^(k-1) · 2^(-age/HalfLife)      over the times b came as the k-th after a (Backward times that for b→a)
//	score(b)    = Σ_j History^j · weight(a_j→b) / √count(a_j)   over the history a_0 (the latest), a_1, …
//
// The decays and the division by the square root of the source's count (a_j's own decayed number of events) are those
// that did best on the beauty data; see doc.go. Rows hold the Neighbours heaviest items, heaviest first; of equal weight the
// one with the smaller number comes first, and the last makes room for a new one.
//
// Bad input teaches nothing: items without a row, an item as its own neighbour, weights that are not positive.
type CoOccurrence struct {
	// Touch is called with the row's number before a row changes. nil: nobody has to know.
	Touch func(row uint32)

	opt  CoOccurrenceOptions
	rows []coRow
	gaps [MaxHistory]float32 // Gap^k
	past [MaxHistory]float32 // History^k
	says [MaxHistory]int     // how many neighbours of the k-th item of a history are heard
}

// MaxWeight bounds what one event may weigh.
const MaxWeight = 1e6

// MaxHistory bounds the items that speak in one call.
const MaxHistory = 32

// CoOccurrenceOptions are the parameters of a CoOccurrence.
type CoOccurrenceOptions struct {
	HalfLifeMS int64
	Neighbours int     // per item; 48: more cost memory and time and gained nothing on the data of doc.go
	Gap        float64 // weight of each further item between two; 0.8
	Backward   float64 // weight of the opposite direction; 0.4
	History    float64 // weight of each further item of the history when scoring; 0.6
}

// DefaultCoOccurrence returns the measured options with a half-life.
func DefaultCoOccurrence(halfLifeMS int64) CoOccurrenceOptions {
	return CoOccurrenceOptions{HalfLifeMS: halfLifeMS, Neighbours: 48, Gap: 0.8, Backward: 0.4, History: 0.6}
}

type coRow struct {
	pairs  []pair
	count  float32 // decayed number of the item's events
	period int32   // landmark of count and weights
}

type pair struct {
	item   Item
	weight float32
}

// Of the items further back in a history only the heaviest neighbours are heard, half as many with every second one, but
// no fewer than minSays: it halves the work.
const minSays = 12

// NewCoOccurrence returns an empty model.
func NewCoOccurrence(opt CoOccurrenceOptions) *CoOccurrence {
	c := &CoOccurrence{opt: opt}
	gap, past := 1.0, 1.0
	for k := range c.gaps {
		c.gaps[k], c.past[k] = float32(gap), float32(past)
		c.says[k] = max(minSays, opt.Neighbours>>(k/2))
		gap *= opt.Gap
		past *= opt.History
	}
	return c
}

// Rows is the number of rows.
func (c *CoOccurrence) Rows() int { return len(c.rows) }

// Learn takes in that item was met at a time after the items of before, the latest of them first. Entries of before may be NoItem.
func (c *CoOccurrence) Learn(item Item, before []Item, timeMS int64, weight float32) {
	if item == NoItem || !(weight > 0) || weight > MaxWeight {
		return
	}
	if len(before) > MaxHistory {
		before = before[:MaxHistory]
	}
	period, growth := clock{c.opt.HalfLifeMS}.at(timeMS)
	w := float32(float64(weight) * growth)
	row := c.row(item, period)
	back := shift(float32(float64(w)*c.opt.Backward), period, row.period)
	row.count += shift(w, period, row.period)
	for k, b := range before {
		if b != NoItem && b != item {
			row.add(b, float32(back*c.gaps[k]), c.opt.Neighbours)
		}
	}
	for k, b := range before {
		if b == NoItem || b == item {
			continue
		}
		from := c.row(b, period)
		from.add(item, shift(float32(w*c.gaps[k]), period, from.period), c.opt.Neighbours)
	}
}

// row returns the row of an item, with a landmark no earlier than period, ready to be changed.
func (c *CoOccurrence) row(i Item, period int32) *coRow {
	n := i.Row()
	if int(n) >= len(c.rows) {
		c.rows = append(c.rows, make([]coRow, int(n)+1-len(c.rows))...)
	}
	if c.Touch != nil {
		c.Touch(n)
	}
	r := &c.rows[n]
	if r.period < period {
		if r.count != 0 || len(r.pairs) > 0 {
			r.count = shift(r.count, r.period, period)
			for k := range r.pairs {
				r.pairs[k].weight = shift(r.pairs[k].weight, r.period, period)
			}
			for len(r.pairs) > 0 && r.pairs[len(r.pairs)-1].weight == 0 {
				r.pairs = r.pairs[:len(r.pairs)-1]
			}
		}
		r.period = period
	} else if r.count == 0 && len(r.pairs) == 0 {
		r.period = period
	}
	return r
}

// add adds w to the weight of i. The order of pairs is (weight descending, item ascending).
func (r *coRow) add(i Item, w float32, limit int) {
	if w < faded {
		return
	}
	at := -1
	for k := range r.pairs {
		if r.pairs[k].item == i {
			at = k
			break
		}
	}
	if at >= 0 {
		w += r.pairs[at].weight
	} else {
		at = len(r.pairs)
		if at < limit {
			if at == cap(r.pairs) { // most rows stay short
				grown := make([]pair, at, min(limit, max(4, at+at/2)))
				copy(grown, r.pairs)
				r.pairs = grown
			}
			r.pairs = r.pairs[:at+1]
		} else {
			at--
		}
	}
	for at > 0 && (r.pairs[at-1].weight < w || r.pairs[at-1].weight == w && r.pairs[at-1].item > i) {
		r.pairs[at] = r.pairs[at-1]
		at--
	}
	r.pairs[at] = pair{item: i, weight: w}
}

// Forget empties a row: its item is gone.
func (c *CoOccurrence) Forget(row uint32) {
	if int(row) >= len(c.rows) || c.rows[row].count == 0 && len(c.rows[row].pairs) == 0 {
		return
	}
	if c.Touch != nil {
		c.Touch(row)
	}
	c.rows[row] = coRow{}
}

// Score adds the candidates that the items of history speak for (the latest first) to s, as of a time.
// It reads the model only: any number of goroutines may score while none learns.
func (c *CoOccurrence) Score(s *Scratch, history []Item, timeMS int64) {
	period, _ := clock{c.opt.HalfLifeMS}.at(timeMS)
	if len(history) > MaxHistory {
		history = history[:MaxHistory]
	}
	// Rows lie far apart in memory. A first pass that only looks at each lets the processor wait for all of them at once.
	var speakers [MaxHistory]struct {
		pairs  []pair
		factor float32
		item   Item
	}
	n := 0
	for k, h := range history {
		if h == NoItem || int(h.Row()) >= len(c.rows) {
			continue
		}
		r := &c.rows[h.Row()]
		if r.count <= 0 || len(r.pairs) == 0 {
			continue
		}
		// √2^(landmark - now): both weight and count decay, so the quotient decays by half the exponent.
		factor := float64(c.past[k]) / math.Sqrt(float64(r.count))
		if d := int64(r.period) - int64(period); d != 0 {
			factor *= math.Sqrt(math.Ldexp(1, int(min(max(d, -1000), 1000))))
		}
		x := &speakers[n]
		x.pairs, x.item = r.pairs[:min(len(r.pairs), c.says[k])], h
		x.factor = float32(factor)
		n++
	}
	touched := float32(0)
	for k := range speakers[:n] {
		pairs := speakers[k].pairs
		touched += pairs[0].weight + pairs[len(pairs)/2].weight + pairs[len(pairs)-1].weight
	}
	if touched <= 0 {
		return
	}
	for k := range speakers[:n] {
		x := &speakers[k]
		for _, p := range x.pairs {
			s.add(p.item, float32(p.weight*x.factor), x.item)
		}
	}
}

// Neighbours calls f with the neighbours of an item and their weights as of a time, heaviest first.
func (c *CoOccurrence) Neighbours(i Item, timeMS int64, f func(i Item, weight float64)) {
	if i == NoItem || int(i.Row()) >= len(c.rows) {
		return
	}
	period, growth := clock{c.opt.HalfLifeMS}.at(timeMS)
	r := &c.rows[i.Row()]
	for _, p := range r.pairs {
		f(p.item, float64(shift(p.weight, r.period, period))/growth)
	}
}

// Alike is how much two items are met together, of how much either is met: from 0 to 1, whichever comes first.
//
//	(weight(a→b) + weight(b→a)) / √(count(a) · count(b))
func (c *CoOccurrence) Alike(a, b Item) float32 {
	if a == NoItem || b == NoItem || int(a.Row()) >= len(c.rows) || int(b.Row()) >= len(c.rows) {
		return 0
	}
	x, y := &c.rows[a.Row()], &c.rows[b.Row()]
	if x.count <= 0 || y.count <= 0 {
		return 0
	}
	// Landmarks differ: each row's weights over its own count, and √2^(difference) where the counts of both are needed.
	apart := min(max(int64(x.period)-int64(y.period), -1000), 1000)
	ratio := math.Sqrt(float64(x.count) / float64(y.count) * math.Ldexp(1, int(apart)))
	both := float64(float64(x.weight(b))/float64(x.count))*ratio + float64(float64(y.weight(a))/float64(y.count))/ratio
	return float32(min(both, 1))
}

// weight is what a row says of an item.
func (r *coRow) weight(i Item) float32 {
	for k := range r.pairs {
		if r.pairs[k].item == i {
			return r.pairs[k].weight
		}
	}
	return 0
}

// Add takes in what other has learned. Rows that overflow keep their heaviest.
func (c *CoOccurrence) Add(other *CoOccurrence) {
	for n := range other.rows {
		o := &other.rows[n]
		if o.count == 0 && len(o.pairs) == 0 {
			continue
		}
		r := c.row(Item(n), o.period)
		r.count += shift(o.count, o.period, r.period)
		for _, p := range o.pairs {
			r.add(p.item, shift(p.weight, o.period, r.period), math.MaxInt32)
		}
		if len(r.pairs) > c.opt.Neighbours {
			r.pairs = r.pairs[:c.opt.Neighbours]
		}
	}
}

// AppendRow appends the canonical encoding of a row; nothing if it is empty.
func (c *CoOccurrence) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= len(c.rows) {
		return b
	}
	r := &c.rows[row]
	if r.count == 0 && len(r.pairs) == 0 {
		return b
	}
	b = binary.AppendVarint(b, int64(r.period))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.count))
	for _, p := range r.pairs {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.item))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p.weight))
	}
	return b
}

// LoadRow is the inverse of AppendRow.
func (c *CoOccurrence) LoadRow(row uint32, b []byte) error {
	period, n := binary.Varint(b)
	if n <= 0 || period != int64(int32(period)) || row >= MaxItems || (len(b)-n)%8 != 4 {
		return fmt.Errorf("models: co-occurrence row %d: %d bytes are no row", row, len(b))
	}
	r := coRow{period: int32(period), count: math.Float32frombits(binary.LittleEndian.Uint32(b[n:]))}
	b = b[n+4:]
	if !(r.count >= 0) || math.IsInf(float64(r.count), 0) {
		return fmt.Errorf("models: co-occurrence row %d: count %v", row, r.count)
	}
	r.pairs = make([]pair, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		p := pair{Item(binary.LittleEndian.Uint32(b)), math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))}
		if k := len(r.pairs); !(p.weight > 0) || math.IsInf(float64(p.weight), 0) ||
			k > 0 && (r.pairs[k-1].weight < p.weight || r.pairs[k-1].weight == p.weight && r.pairs[k-1].item >= p.item) {
			return fmt.Errorf("models: co-occurrence row %d: neighbour %d of weight %v is out of order", row, p.item, p.weight)
		}
		r.pairs = append(r.pairs, p)
	}
	if len(r.pairs) > c.opt.Neighbours { // the limit was lowered
		r.pairs = r.pairs[:c.opt.Neighbours:c.opt.Neighbours]
	}
	if int(row) >= len(c.rows) {
		c.rows = append(c.rows, make([]coRow, int(row)+1-len(c.rows))...)
	}
	c.rows[row] = r
	return nil
}
