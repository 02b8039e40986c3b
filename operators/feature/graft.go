package feature

import "slices"

// Graft gives rows that another set has written what they lack under this one: columns that only this set has, and tiles of longer ago. It takes
// them out of rows of this set that were made of the same events.
type Graft struct {
	set    *Set
	tiers  []missing
	orders bool
	had    []bool // of set.held: whether the rows have it
}

// missing is what the rows lack of a tier.
type missing struct {
	whole           bool // all of it
	longer          bool // tiles that the other set did not keep so long
	cells, sketches []int
}

// NewGraft says what rows that old has written lack; nil where that is nothing.
func (s *Set) NewGraft(old *Set) *Graft {
	g := &Graft{set: s, tiers: make([]missing, len(s.tiers))}
	any := false
	for i := range s.tiers {
		t, m := &s.tiers[i], &g.tiers[i]
		k := slices.IndexFunc(old.tiers, func(o tier) bool { return o.clock == t.clock && o.resMS == t.resMS })
		if k < 0 {
			m.whole, any = true, true
			continue
		}
		o := &old.tiers[k]
		m.cells, m.sketches = lacking(t.cells, o.cells), lacking(t.sketches, o.sketches)
		m.longer = t.keepMS > o.keepMS
		// What counts as a session depends on the columns: with more of them it may begin earlier and end later.
		m.whole = t.clock == clockSession && len(m.cells)+len(m.sketches) > 0
		any = any || m.whole || m.longer || len(m.cells)+len(m.sketches) > 0
	}
	for _, i := range s.orders {
		known := slices.ContainsFunc(old.orders, func(k int) bool { return old.sources[k].key == s.sources[i].key })
		g.orders = g.orders || !known
	}
	for i := range s.held {
		had := slices.ContainsFunc(old.held, func(h heldColumn) bool { return h.same(&s.held[i]) })
		g.had, g.orders = append(g.had, had), g.orders || !had
	}
	if !any && !g.orders {
		return nil
	}
	return g
}

// lacking lists the columns of ours that theirs does not have.
func lacking(ours, theirs []column) (cols []int) {
	for j, k := range same(ours, theirs) {
		if k < 0 {
			cols = append(cols, j)
		}
	}
	return cols
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
		case m.longer || len(m.cells)+len(m.sketches) > 0:
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
