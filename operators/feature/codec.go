package feature

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Layout says which tiers and columns the rows of a Set have, in words. Rows are encoded by it; a Set reads the rows of another layout by what both have.
type Layout string

// layoutOf writes the layout: a line for each tier, its clock and resolution, then its cells and its sketches.
func (s *Set) layoutOf() Layout {
	var b strings.Builder
	for i := range s.tiers {
		t := &s.tiers[i]
		fmt.Fprintf(&b, "tier %d %d\n", t.clock, t.resMS)
		for _, c := range t.cells {
			fmt.Fprintf(&b, "cell %s\n", c.key)
		}
		for _, c := range t.sketches {
			fmt.Fprintf(&b, "sketch %s\n", c.key)
		}
	}
	for _, i := range s.orders {
		fmt.Fprintf(&b, "order %s\n", s.sources[i].key)
	}
	for i := range s.held {
		h := &s.held[i]
		what := "cell"
		if h.op == opSketch {
			what = "sketch"
		}
		fmt.Fprintf(&b, "held %s %d %s\n", what, h.order, h.key)
	}
	return Layout(b.String())
}

// Layout is the set's own.
func (s *Set) Layout() Layout { return s.layout }

// AppendBinary appends the canonical encoding of a row: for each tier the number of its tiles, for each of them the step from the one before, its cells
// and its sketches; then the orders that can be taken back, with what they have of their own.
func (s *Set) AppendBinary(b []byte, r *Row) []byte {
	if r.Empty() {
		return b
	}
	for i := range s.tiers {
		t, g := &s.tiers[i], &r.tiers[i]
		stride, m := t.stride(), len(t.sketches)
		n := len(g.cells) / stride
		b = binary.AppendUvarint(b, uint64(n))
		before := int64(0)
		for at := range n {
			tile := g.cells[at*stride:][:stride]
			b = binary.AppendVarint(b, tile[0]-before)
			before = tile[0]
			if t.clock == clockSession {
				b = binary.AppendUvarint(b, uint64(tile[1]-tile[0]))
			}
			b = t.appendCells(b, tile[t.head():], tile[0])
			for j := range m {
				x := g.sketches[at*m+j]
				b = binary.AppendUvarint(b, uint64(len(x)))
				b = append(b, x...)
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.orders)))
	for _, p := range r.orders {
		b = binary.LittleEndian.AppendUint64(b, p.id)
		b = binary.AppendVarint(b, p.atMS)
		for _, v := range p.values {
			b = binary.AppendVarint(b, v)
		}
		for i := range s.held {
			if s.held[i].stored() {
				var own []byte
				if i < len(p.held) {
					own = p.held[i]
				}
				b = append(binary.AppendUvarint(b, uint64(len(own))), own...)
			}
		}
	}
	return b
}

// appendCells writes cells: those that hold nothing are left out, by a mask.
func (t *tier) appendCells(b []byte, cells []int64, _ int64) []byte {
	for from := 0; from < len(cells); from += 8 {
		part := cells[from:min(from+8, len(cells))]
		mask := byte(0)
		at := len(b)
		b = append(b, 0)
		for j, x := range part {
			if x != t.fresh[from+j] {
				mask |= 1 << j
				b = binary.AppendVarint(b, x)
			}
		}
		b[at] = mask
	}
	return b
}

// Decode is the inverse of AppendBinary for a row of the layout, which is that of the set or of another one; what the set does not have is left out. It
// keeps nothing of b.
func (s *Set) Decode(b []byte, layout Layout) (Row, error) {
	if len(b) == 0 {
		return Row{}, nil
	}
	if layout == s.layout {
		return s.decode(b)
	}
	other, err := parseLayout(layout)
	if err != nil {
		return Row{}, err
	}
	r, err := other.decode(b)
	if err != nil {
		return Row{}, err
	}
	return s.adopt(other, &r), nil
}

var errRow = errors.New("feature: decode a row: the bytes are cut off or not canonical")

func (s *Set) decode(b []byte) (Row, error) {
	d := reader{b: b}
	r := Row{tiers: make([]ring, len(s.tiers))}
	for i := range s.tiers {
		t, g := &s.tiers[i], &r.tiers[i]
		n := int(d.limited(uint64(len(d.b))))
		stride, m := t.stride(), len(t.sketches)
		if n == 0 {
			continue
		}
		if uint64(n)*uint64(stride) > 64*uint64(len(b))+64 {
			return Row{}, errRow
		}
		g.cells = make([]int64, n*stride)
		if m > 0 {
			g.sketches = make([][]byte, n*m)
		}
		before := int64(0)
		for at := range n {
			tile := g.cells[at*stride:][:stride]
			step := d.varint()
			if at > 0 && step <= 0 {
				return Row{}, errRow
			}
			tile[0] = before + step
			before = tile[0]
			if t.clock == clockSession {
				tile[1] = tile[0] + int64(d.limited(1<<62))
			}
			d.cells(t, tile[t.head():])
			for j := range m {
				x := d.take(d.uvarint())
				if len(x) > 0 {
					g.sketches[at*m+j] = append([]byte(nil), x...)
					if k := t.sketches[j].sketch; k != nil && k.check(x) != nil {
						return Row{}, errRow
					}
				}
			}
		}
	}
	n := d.limited(keptOrders)
	for range n {
		p := placed{id: d.fixed(), atMS: d.varint()}
		for range 2 * len(s.orders) {
			p.values = append(p.values, d.varint())
		}
		for i := range s.held {
			if s.held[i].stored() {
				s.decodeHeld(&d, &p, i)
			}
		}
		if k := len(r.orders); k > 0 && comparePlaced(&r.orders[k-1], &p) >= 0 {
			return Row{}, errRow
		}
		r.orders = append(r.orders, p)
	}
	if d.bad || len(d.b) > 0 || r.Empty() {
		return Row{}, errRow
	}
	return r, nil
}

// decodeHeld reads what an order has for a column.
func (s *Set) decodeHeld(d *reader, p *placed, i int) {
	own := d.take(d.uvarint())
	if len(own) == 0 {
		return
	}
	h := &s.held[i]
	n := p.values[2*h.order]
	switch {
	case n <= 0, h.op != opSketch && len(own) != 8, h.op == opSketch && (n > mostHeld || h.sketch != nil && h.sketch.check(own) != nil):
		d.fail()
		return
	}
	if p.held == nil {
		p.held = make([][]byte, len(s.held))
	}
	p.held[i] = slices.Clone(own)
}

// adopt makes a row of the set out of one of another set: tiles of tiers that both have, with the columns that both have.
func (s *Set) adopt(other *Set, from *Row) Row {
	r := Row{tiers: make([]ring, len(s.tiers))}
	for i := range s.tiers {
		t := &s.tiers[i]
		k := slices.IndexFunc(other.tiers, func(o tier) bool { return o.clock == t.clock && o.resMS == t.resMS })
		if k < 0 {
			continue
		}
		o := &other.tiers[k]
		cells, sketches := same(t.cells, o.cells), same(t.sketches, o.sketches)
		if slices.Max(append(append([]int{-1}, cells...), sketches...)) < 0 {
			continue
		}
		g, old := &r.tiers[i], &from.tiers[k]
		for at := range len(old.cells) / o.stride() {
			tile := old.cells[at*o.stride():]
			second := int64(0)
			if t.clock == clockSession {
				second = tile[1]
			}
			g.insert(t, at, tile[0], second)
			for j, c := range cells {
				if c >= 0 {
					g.cells[at*t.stride()+t.head()+j] = tile[o.head()+c]
				}
			}
			for j, c := range sketches {
				if c >= 0 {
					g.sketches[at*len(t.sketches)+j] = old.sketches[at*len(o.sketches)+c]
				}
			}
		}
	}
	for _, p := range from.orders {
		if values := s.adoptValues(other, p.values); s.counts(values) {
			s.insertOrder(&r, placed{p.id, p.atMS, values, s.adoptHeld(other, p.held)})
		}
	}
	if r.Empty() {
		return Row{}
	}
	return r
}

// adoptHeld makes what an order has of its own out of that of another set.
func (s *Set) adoptHeld(other *Set, from [][]byte) (held [][]byte) {
	for i := range s.held {
		k := slices.IndexFunc(other.held, func(h heldColumn) bool { return h.same(&s.held[i]) })
		if k < 0 || k >= len(from) || len(from[k]) == 0 {
			continue
		}
		if held == nil {
			held = make([][]byte, len(s.held))
		}
		held[i] = from[k]
	}
	return held
}

// same says for each column of ours which one of theirs it is, -1 for none.
func same(ours, theirs []column) []int {
	out := make([]int, len(ours))
	for i := range ours {
		out[i] = slices.IndexFunc(theirs, func(c column) bool { return c.key == ours[i].key })
	}
	return out
}

// parseLayout makes a set that can only decode.
func parseLayout(layout Layout) (*Set, error) {
	s := &Set{}
	for line := range strings.Lines(string(layout)) {
		what, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		bad := fmt.Errorf("feature: a layout with the line %q: use the build that wrote it", line)
		switch what {
		case "tier":
			var t tier
			if _, err := fmt.Sscan(rest, &t.clock, &t.resMS); err != nil {
				return nil, bad
			}
			s.tiers = append(s.tiers, t)
		case "cell", "sketch":
			if len(s.tiers) == 0 {
				return nil, bad
			}
			t := &s.tiers[len(s.tiers)-1]
			if what == "sketch" {
				t.sketches = append(t.sketches, column{op: opSketch, key: rest})
				continue
			}
			number, _, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n >= int(opSketch) {
				return nil, bad
			}
			t.cells = append(t.cells, column{op: op(n), key: rest})
			t.fresh = append(t.fresh, freshOf(op(n)))
		case "order":
			s.orders = append(s.orders, len(s.sources))
			s.sources = append(s.sources, &source{key: rest})
		case "held":
			what, rest, _ := strings.Cut(rest, " ")
			number, key, _ := strings.Cut(rest, " ")
			k, err := strconv.Atoi(number)
			h := heldColumn{key: key, op: opSketch, order: k}
			if what == "cell" && err == nil {
				number, _, _ := strings.Cut(key, " ")
				var n int
				n, err = strconv.Atoi(number)
				h.op = op(n)
			}
			if err != nil || k < 0 || k >= len(s.orders) || h.op < opMin || h.op > opSketch || (what == "sketch") != (h.op == opSketch) {
				return nil, bad
			}
			s.held = append(s.held, h)
		default:
			return nil, bad
		}
	}
	return s, nil
}

// freshOf is what a cell of nothing holds.
func freshOf(o op) int64 {
	switch o {
	case opMin, opFirstMS:
		return math.MaxInt64
	case opMax, opLastMS:
		return math.MinInt64
	}
	return 0
}

// Merge takes one row into another: the union of what they observed. Visits are asked for as by Observe.
func (s *Set) Merge(into, from *Row, o *Observation) {
	if from.Empty() {
		return
	}
	if into.tiers == nil {
		into.tiers = make([]ring, len(s.tiers))
	}
	for i := range s.tiers {
		t, g, f := &s.tiers[i], &into.tiers[i], &from.tiers[i]
		stride := t.stride()
		for at := range len(f.cells) / stride {
			s.mergeTile(t, g, f, at, o)
		}
	}
	for _, p := range from.orders {
		own := placed{id: p.id, atMS: p.atMS, values: slices.Clone(p.values)}
		if p.held != nil {
			own.held = make([][]byte, len(p.held))
			for i, b := range p.held {
				own.held[i] = slices.Clone(b)
			}
		}
		s.insertOrder(into, own)
	}
}

func (s *Set) mergeTile(t *tier, g, f *ring, from int, o *Observation) {
	stride, head, m := t.stride(), t.head(), len(t.sketches)
	tile := f.cells[from*stride:][:stride]
	at := 0
	if t.clock == clockSession {
		at = s.mergeSession(t, g, tile[0], tile[1], o)
	} else {
		for at*stride < len(g.cells) && g.cells[at*stride] < tile[0] {
			at++
		}
		if at*stride == len(g.cells) || g.cells[at*stride] != tile[0] {
			s.schedule(t, g, tile[0], o)
			g.insert(t, at, tile[0], 0)
		}
	}
	mergeCells(t, g.cells[at*stride+head:][:len(t.cells)], tile[head:])
	for j := range t.sketches {
		x := &g.sketches[at*m+j]
		*x = t.sketches[j].sketch.merge(*x, slices.Clone(f.sketches[from*m+j]))
	}
}

// mergeSession makes room for a session, joined with all that it touches, and returns its number.
func (s *Set) mergeSession(t *tier, g *ring, first, last int64, o *Observation) int {
	stride := t.stride()
	at := 0
	for at*stride < len(g.cells) && g.cells[at*stride+1]+t.resMS < first {
		at++
	}
	if at*stride == len(g.cells) || g.cells[at*stride] > last+t.resMS {
		g.insert(t, at, first, last)
		if len(t.closings) > 0 {
			o.Visits = append(o.Visits, last+t.resMS+1)
		}
		return at
	}
	g.cells[at*stride] = min(g.cells[at*stride], first)
	g.cells[at*stride+1] = max(g.cells[at*stride+1], last)
	for next := (at + 1) * stride; next < len(g.cells) && g.cells[next] <= g.cells[at*stride+1]+t.resMS; {
		g.cells[at*stride+1] = max(g.cells[at*stride+1], g.cells[next+1])
		s.join(t, g, at, at+1)
		g.remove(t, at+1, 1)
	}
	return at
}

// reader takes encoded values off the front of b; after something bad everything it gives is zero.
type reader struct {
	b   []byte
	bad bool
}

func (d *reader) fail() { d.b, d.bad = nil, true }

func (d *reader) uvarint() uint64 {
	x, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // only the shortest form is canonical
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return x
}

func (d *reader) limited(most uint64) uint64 {
	x := d.uvarint()
	if x > most {
		d.fail()
		return 0
	}
	return x
}

func (d *reader) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *reader) fixed() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (d *reader) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	x := d.b[:n]
	d.b = d.b[n:]
	return x
}

func (d *reader) cells(t *tier, cells []int64) {
	for from := 0; from < len(cells); from += 8 {
		part := cells[from:min(from+8, len(cells))]
		mask := d.take(1)
		if mask == nil || int(mask[0])>>len(part) != 0 {
			d.fail()
			return
		}
		for j := range part {
			part[j] = t.fresh[from+j]
			if mask[0]>>j&1 == 1 {
				if part[j] = d.varint(); part[j] == t.fresh[from+j] {
					d.fail()
				}
			}
		}
	}
}
