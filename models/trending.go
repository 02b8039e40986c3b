package models

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

// Trending learns which items are popular now.
//
//	value(i) = Σ weight · 2^(-age/HalfLife)   over the events of item i
//
// The Kept best items stand ready in order, so that asking for them costs nothing: decay is the same for all, so only an
// item that is learned can rise, and it moves up from where it stands. Order: value descending, then item ascending. So do the best of each
// group (Group), for where the best of all are not wanted.
// Bad input (no item, a weight that is not positive) teaches nothing.
type Trending struct {
	// Touch is called with the row's number before a row changes. nil: nobody has to know.
	Touch func(row uint32)

	clock  clock
	kept   int
	rows   []trend
	top    []Item
	holes  bool // an item of top was forgotten, or rows were loaded: the list is not to be trusted before Settle
	loaded bool // rows were: the groups neither
	groups groups
}

type trend struct {
	value           float32
	period          int32
	item            Item
	listed, grouped bool // among the best of all, of its group
}

// NewTrending returns an empty model that keeps the best items at hand.
func NewTrending(halfLifeMS int64, kept int) *Trending {
	return &Trending{clock: clock{halfLifeMS}, kept: kept}
}

// Learn takes in an event of an item.
func (t *Trending) Learn(item Item, timeMS int64, weight float32) {
	if item == NoItem || !(weight >= faded) || weight > MaxWeight {
		return
	}
	period, growth := t.clock.at(timeMS)
	t.raise(item, float32(float64(weight)*growth), period)
}

func (t *Trending) raise(item Item, w float32, period int32) {
	n := item.Row()
	if int(n) >= len(t.rows) {
		t.rows = append(t.rows, make([]trend, int(n)+1-len(t.rows))...)
	}
	if t.Touch != nil {
		t.Touch(n)
	}
	r := &t.rows[n]
	r.item = item
	if r.value == 0 {
		r.period = period
	} else if r.period < period {
		r.value = shift(r.value, r.period, period)
		r.period = period
	}
	r.value += shift(w, period, r.period)
	var in bool
	if t.top, in = t.place(t.top, item, r.listed, t.kept, func(out Item) { t.rows[out.Row()].listed = false }); in {
		r.listed = true
	}
	t.join(item)
}

// place puts an item that has risen to its place in a list of the best; in says that it is there, out is called with the one that made room.
func (t *Trending) place(top []Item, item Item, listed bool, most int, out func(Item)) (list []Item, in bool) {
	at := len(top)
	switch {
	case listed:
		for at = range top {
			if top[at] == item {
				break
			}
		}
	case at < most:
		top = append(top, item)
	case t.less(item, top[at-1]):
		at--
		out(top[at])
		top[at] = item
	default:
		return top, false
	}
	for at > 0 && t.less(item, top[at-1]) {
		top[at], top[at-1] = top[at-1], top[at]
		at--
	}
	return top, true
}

// less says whether a stands before b.
func (t *Trending) less(a, b Item) bool {
	x, y := &t.rows[a.Row()], &t.rows[b.Row()]
	u, v := x.value, y.value
	if x.period < y.period {
		u = shift(u, x.period, y.period)
	} else if y.period < x.period {
		v = shift(v, y.period, x.period)
	}
	return u > v || u == v && a < b
}

// Forget empties a row: its item is gone.
func (t *Trending) Forget(row uint32) {
	t.leave(row)
	if int(row) < len(t.groups.of) {
		t.groups.of[row] = 0
	}
	if int(row) >= len(t.rows) || t.rows[row].value == 0 {
		return
	}
	if t.Touch != nil {
		t.Touch(row)
	}
	if t.rows[row].listed {
		for k, i := range t.top {
			if i.Row() == row {
				t.top = append(t.top[:k], t.top[k+1:]...)
				break
			}
		}
		t.holes = true
	}
	t.rows[row] = trend{}
}

// Settle must be called after the last Forget or LoadRow: it finds the items that stand in for those that are gone.
func (t *Trending) Settle() {
	t.settleGroups(t.loaded)
	t.loaded = false
	if !t.holes {
		return
	}
	t.holes = false
	t.top = t.top[:0]
	all := make([]Item, 0, len(t.rows))
	for n := range t.rows {
		t.rows[n].listed = false
		if t.rows[n].value > 0 {
			all = append(all, t.rows[n].item)
		}
	}
	sort.Slice(all, func(i, j int) bool { return t.less(all[i], all[j]) })
	t.top = append(t.top, all[:min(len(all), t.kept)]...)
	for _, i := range t.top {
		t.rows[i.Row()].listed = true
	}
}

// Top returns the best items, the best first. The slice is the model's own and must not be changed.
func (t *Trending) Top() []Item { return t.top }

// Listed says whether an item is one of Top.
func (t *Trending) Listed(i Item) bool {
	return i != NoItem && int(i.Row()) < len(t.rows) && t.rows[i.Row()].item == i && t.rows[i.Row()].listed
}

// Value is the decayed popularity of an item as of a time.
func (t *Trending) Value(i Item, timeMS int64) float64 {
	if i == NoItem || int(i.Row()) >= len(t.rows) || t.rows[i.Row()].item != i {
		return 0
	}
	period, growth := t.clock.at(timeMS)
	r := &t.rows[i.Row()]
	return math.Ldexp(float64(r.value), int(min(max(int64(r.period)-int64(period), -1000), 1000))) / growth
}

// Share is an item's value as a part of the best item's.
func (t *Trending) Share(i Item) float64 {
	if len(t.top) == 0 || i == NoItem || int(i.Row()) >= len(t.rows) || t.rows[i.Row()].item != i {
		return 0
	}
	best, r := &t.rows[t.top[0].Row()], &t.rows[i.Row()]
	return math.Ldexp(float64(r.value)/float64(best.value), int(min(max(int64(r.period)-int64(best.period), -1000), 1000)))
}

// Add takes in what other has learned.
func (t *Trending) Add(other *Trending) {
	for n := range other.rows {
		if o := &other.rows[n]; o.value > 0 {
			t.raise(o.item, o.value, o.period)
		}
	}
}

// AppendRow appends the canonical encoding of a row; nothing if it is empty.
func (t *Trending) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= len(t.rows) || t.rows[row].value == 0 {
		return b
	}
	r := &t.rows[row]
	b = binary.LittleEndian.AppendUint32(b, uint32(r.item))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.value))
	return binary.AppendVarint(b, int64(r.period))
}

// LoadRow is the inverse of AppendRow.
func (t *Trending) LoadRow(row uint32, b []byte) error {
	if len(b) < 9 || row >= MaxItems {
		return fmt.Errorf("models: trend of row %d: %d bytes are no row", row, len(b))
	}
	period, n := binary.Varint(b[8:])
	r := trend{item: Item(binary.LittleEndian.Uint32(b)), value: math.Float32frombits(binary.LittleEndian.Uint32(b[4:])), period: int32(period)}
	if n != len(b)-8 || period != int64(r.period) || r.item.Row() != row || !(r.value > 0) || math.IsInf(float64(r.value), 0) {
		return fmt.Errorf("models: trend of row %d: value %v of item %d", row, r.value, r.item)
	}
	if int(row) >= len(t.rows) {
		t.rows = append(t.rows, make([]trend, int(row)+1-len(t.rows))...)
	}
	t.rows[row] = r
	t.holes, t.loaded = true, true
	return nil
}
