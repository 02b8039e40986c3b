package feature

import (
	"encoding/binary"
	"math"
	"slices"

	"nudge/streams"
)

// What can't be subtracted again - minima, maxima, first and last times, sketches - an order has of its own while it is one of those that can be taken
// back: it lies with the order, is merged in when the feature is read, and goes into its tile only when the order makes room for a later one. So an order
// that is taken back has never been there. Rows that everybody shares remember no orders: there all of it goes into the tiles, and stays.

// heldColumn is a partial aggregate that orders have of their own, for all tiers alike.
type heldColumn struct {
	key    string // of its columns
	op     op
	order  int    // of Set.orders: the number of its source
	sketch sketch // of a sketch
}

// mostHeld is of how many values an order has a sketch of its own; beyond it they go into the tiles at once, and stay.
const mostHeld = 32

// stored says whether orders keep something for the column: the time of a first or last one is theirs anyhow.
func (h *heldColumn) stored() bool { return h.op != opFirstMS && h.op != opLastMS }

// same says whether another set's column is this one.
func (h *heldColumn) same(o *heldColumn) bool {
	return h.key == o.key && (h.op == opSketch) == (o.op == opSketch)
}

// most is how many bytes an order has of the column, at most.
func (h *heldColumn) most() int {
	switch {
	case !h.stored():
		return 24
	case h.op != opSketch:
		return 24 + 8
	}
	c := h.sketch.cost()
	return 24 + min(c.most, mostHeld*c.few)
}

// hold finds the columns that orders have of their own.
func (c *compiler) hold() {
	s := c.set
	find := func(col *column) {
		k := slices.Index(s.orders, col.source)
		if k < 0 || col.source >= s.declared || col.op == opCount || col.op == opSum {
			return
		}
		i := slices.IndexFunc(s.held, func(h heldColumn) bool { return h.same(&heldColumn{key: col.key, op: col.op}) })
		if i < 0 {
			i = len(s.held)
			s.held = append(s.held, heldColumn{key: col.key, op: col.op, order: k, sketch: col.sketch})
		}
		col.held = i + 1
	}
	for i := range s.tiers {
		t := &s.tiers[i]
		for j := range t.cells {
			find(&t.cells[j])
		}
		for j := range t.sketches {
			find(&t.sketches[j])
		}
	}
}

// holding is what an order sets off in a row that remembers it: all but what lies with the order.
func (s *Set) holding(p *plan) plan {
	x := plan{sources: p.sources}
	for _, u := range p.tiers {
		t, own := &s.tiers[u.tier], update{tier: u.tier}
		for _, c := range u.cells {
			if t.cells[c.col].held > 0 {
				own.held = append(own.held, c.source)
			} else {
				own.cells = append(own.cells, c)
			}
		}
		for _, c := range u.sketches {
			if t.sketches[c.col].held > 0 {
				own.held = append(own.held, c.source)
			} else {
				own.sketches = append(own.sketches, c)
			}
		}
		x.tiers = append(x.tiers, own)
	}
	return x
}

// heldOf is what an event that was measured has for the columns.
func (s *Set) heldOf(o *Observation) [][]byte {
	if len(s.held) == 0 {
		return nil
	}
	out := make([][]byte, len(s.held))
	for i := range s.held {
		h := &s.held[i]
		source := s.orders[h.order]
		m := &o.measures[source]
		switch {
		case m.n == 0 || !h.stored():
		case h.op == opMin:
			out[i] = binary.BigEndian.AppendUint64(nil, uint64(m.min))
		case h.op == opMax:
			out[i] = binary.BigEndian.AppendUint64(nil, uint64(m.max))
		default:
			x := s.sources[source]
			x.each(o, func(n int64, l *streams.Line) {
				out[i] = h.sketch.add(out[i], sample{atMS: o.TimeMS, number: n, line: l, source: x, o: o})
			})
		}
	}
	return out
}

// merge takes in what another part of an order has for the column. from is not kept.
func (h *heldColumn) merge(into, from []byte) []byte {
	switch {
	case len(from) == 0:
		return into
	case len(into) == 0:
		return slices.Clone(from)
	case h.op == opSketch:
		return h.sketch.merge(into, from)
	}
	if a, b := heldCell(into), heldCell(from); h.op == opMin && b < a || h.op == opMax && b > a {
		copy(into, from)
	}
	return into
}

func heldCell(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

// settle puts what an order has for a column into its tiles, where they are kept.
func (s *Set) settle(r *Row, p *placed, i int) {
	h := &s.held[i]
	var own []byte
	if i < len(p.held) {
		own = p.held[i]
		p.held[i] = nil
	}
	if r.tiers == nil || h.stored() && len(own) == 0 || p.values[2*h.order] == 0 {
		return
	}
	for k := range s.tiers {
		t, g := &s.tiers[k], &r.tiers[k]
		j := slices.IndexFunc(t.cells, func(c column) bool { return c.held == i+1 })
		if h.op == opSketch {
			j = slices.IndexFunc(t.sketches, func(c column) bool { return c.held == i+1 })
		}
		if j < 0 {
			continue
		}
		at := s.find(t, g, p.atMS)
		switch {
		case at < 0:
		case h.op == opSketch:
			x := &g.sketches[at*len(t.sketches)+j]
			*x = h.sketch.merge(*x, slices.Clone(own))
		default:
			x := &g.cells[at*t.stride()+t.head()+j]
			*x = h.cell(*x, p.atMS, own)
		}
	}
}

// cell merges what an order has into a cell.
func (h *heldColumn) cell(x, atMS int64, own []byte) int64 {
	switch {
	case h.op == opFirstMS:
		return min(x, atMS)
	case h.op == opLastMS:
		return max(x, atMS)
	case len(own) == 0:
	case h.op == opMin:
		return min(x, heldCell(own))
	default:
		return max(x, heldCell(own))
	}
	return x
}

// own is what an order has for a column; changes is false if it has nothing.
func (h *heldColumn) own(p *placed, held int) (own []byte, changes bool) {
	if held <= len(p.held) {
		own = p.held[held-1]
	}
	return own, p.values[2*h.order] != 0 && (len(own) > 0 || !h.stored())
}

// column is a cell over tiles [from, to), with what orders have of it.
func (s *Set) column(r *Row, f *feature, t *tier, g *ring, i, from, to int) int64 {
	x := cell(t, g, f.cols[i], from, to)
	held := t.cells[f.cols[i]].held
	if held == 0 {
		return x
	}
	h := &s.held[held-1]
	for k := range r.orders {
		p := &r.orders[k]
		own, has := h.own(p, held)
		if !has {
			continue
		}
		// Whether it would change anything is cheaper to see than whether it is of these tiles.
		if y := h.cell(x, p.atMS, own); y != x {
			if at := s.find(t, g, p.atMS); at >= from && at < to {
				x = y
			}
		}
	}
	return x
}

// sketchOf is a sketch over tiles [from, to), with what orders have of it. It may be the row's own bytes.
func (s *Set) sketchOf(r *Row, f *feature, t *tier, g *ring, from, to int) []byte {
	var space [mostParts][]byte
	parts := s.partsOf(space[:0], r, f, t, g, from, to)
	if len(parts) == 0 {
		return nil
	}
	x := parts[0]
	for i, part := range parts[1:] {
		if i == 0 {
			x = slices.Clone(x)
		}
		x = f.sketch.merge(x, part)
	}
	return x
}

// partsOf appends what a sketch over tiles [from, to) is merged from, in the order of time: what the tiles have, then what orders have of it.
// None of them is empty; all are the row's own bytes.
func (s *Set) partsOf(parts [][]byte, r *Row, f *feature, t *tier, g *ring, from, to int) [][]byte {
	m, col := len(t.sketches), f.cols[0]
	for at := from; at < to; at++ {
		if x := g.sketches[at*m+col]; len(x) > 0 {
			parts = append(parts, x)
		}
	}
	held := t.sketches[col].held
	if held == 0 {
		return parts
	}
	h := &s.held[held-1]
	since := int64(math.MinInt64) // what is older changes nothing
	if last, is := f.sketch.(sequenceSketch); is && len(parts) > 0 {
		since = last.since(parts[len(parts)-1])
	}
	for k := range r.orders {
		p := &r.orders[k]
		if p.atMS < since {
			continue
		}
		own, has := h.own(p, held)
		if !has || len(own) == 0 {
			continue
		}
		if at := s.find(t, g, p.atMS); at >= from && at < to {
			parts = append(parts, own)
		}
	}
	return parts
}
