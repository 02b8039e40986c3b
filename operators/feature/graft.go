package feature

import "slices"

// Graft gives rows what they lack of what is kept: columns, and what orders have of their own. It takes it out of rows of the same set that were made of
// the same events.
type Graft struct {
	set    *Set
	tiers  []missing
	orders bool
	had    []bool // of set.held: whether the rows have it
}

// missing is what the rows lack of a tier.
type missing struct {
	whole           bool // all of it
	cells, sketches []int
}

// NewGraft makes one of what rows lack, in the order of Kept; nil where that is nothing.
func (s *Set) NewGraft(lacks []bool) *Graft {
	if !slices.Contains(lacks, true) {
		return nil
	}
	g := &Graft{set: s, tiers: make([]missing, len(s.tiers))}
	for i := range s.tiers {
		t, m := &s.tiers[i], &g.tiers[i]
		m.cells, lacks = lacking(lacks, len(t.cells))
		m.sketches, lacks = lacking(lacks, len(t.sketches))
		// What counts as a session depends on the columns: with more of them it may begin earlier and end later.
		m.whole = t.clock == clockSession && len(m.cells)+len(m.sketches) > 0
	}
	g.orders = slices.Contains(lacks, true)
	for _, lacks := range lacks[len(s.orders):] {
		g.had = append(g.had, !lacks)
	}
	return g
}

// lacking lists which of the next n columns are lacking.
func lacking(lacks []bool, n int) (cols []int, rest []bool) {
	for j := range n {
		if lacks[j] {
			cols = append(cols, j)
		}
	}
	return cols, lacks[n:]
}

// Orders says whether what orders counted for is among what is lacking.
func (g *Graft) Orders() bool { return g != nil && g.orders }

// Take completes a row. from is of no use any more.
func (g *Graft) Take(into, from *Row) {
	if into.tiers == nil && from.tiers != nil {
		into.tiers = make([]ring, len(g.set.tiers))
	}
	if g.orders { // before the tiles: one that makes room goes into those that were kept
		for i := range from.orders {
			g.takeOrder(into, &from.orders[i])
		}
	}
	if from.tiers == nil {
		return
	}
	for i := range g.tiers {
		m, t := &g.tiers[i], &g.set.tiers[i]
		switch {
		case m.whole:
			into.tiers[i] = from.tiers[i]
		case len(m.cells)+len(m.sketches) > 0:
			m.take(t, &into.tiers[i], &from.tiers[i])
		}
	}
}

// takeOrder takes over what an order counts for. What the row had of it before stays: one that it no longer remembers is in its tiles.
func (g *Graft) takeOrder(into *Row, p *placed) {
	own := placed{id: p.id, atMS: p.atMS, values: p.values}
	var before [][]byte
	if at, found := slices.BinarySearchFunc(into.orders, *p, func(a, b placed) int { return comparePlaced(&a, &b) }); found {
		before = into.orders[at].held
		into.orders = slices.Delete(into.orders, at, at+1)
	}
	for i, had := range g.had {
		from := p.held
		if had {
			from = before
		}
		if i < len(from) && len(from[i]) > 0 {
			if own.held == nil {
				own.held = make([][]byte, len(g.had))
			}
			own.held[i] = from[i]
		}
	}
	g.set.insertOrder(into, own)
}

// take goes through the tiles of both rings in the order of time.
func (m *missing) take(t *tier, into, from *ring) {
	stride, head, n := t.stride(), t.head(), len(t.sketches)
	at := 0
	for k := range len(from.cells) / stride {
		tile := from.cells[k*stride:][:stride]
		for at*stride < len(into.cells) && into.cells[at*stride] < tile[0] {
			at++
		}
		sketches := from.sketches[k*n:][:n]
		if at*stride < len(into.cells) && into.cells[at*stride] == tile[0] {
			for _, j := range m.cells {
				into.cells[at*stride+head+j] = tile[head+j]
			}
			for _, j := range m.sketches {
				into.sketches[at*n+j] = sketches[j]
			}
			continue
		}
		second := int64(0)
		if head == 2 {
			second = tile[1]
		}
		into.insert(t, at, tile[0], second)
		copy(into.cells[at*stride+head:][:len(t.cells)], tile[head:])
		copy(into.sketches[at*n:][:n], sketches)
	}
}
