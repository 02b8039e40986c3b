package feature

import (
	"math"
	"slices"

	"nudge/streams"
)

// Row is what is remembered of one entity. The zero Row is one of whom nothing is known.
type Row struct {
	tiers  []ring
	orders []placed
}

// ring holds the tiles of one tier in the order of time. A tile is its head - the number of the tile, or the first and last time of a
// session - and its cells; sketches lie beside, those of a tile together.
type ring struct {
	cells    []int64
	sketches [][]byte
}

// Items says what the catalogue knows of an item.
type Items interface {
	Category(item string) string // "" if it is not known
}

// Observation is one event being observed. It is reused.
type Observation struct {
	Event       *streams.Event
	Line        int // the line that is about the entity; -1: all of them
	TimeMS      int64
	WatermarkMS int64 // math.MinInt64 before the first
	// LagMS is how far the windows that were closed are behind the watermark: rows of several shards are closed by the least watermark.
	// NothingClosed where none was yet.
	LagMS int64
	Items Items

	// Visits are the times at which Due is to be called for the row. Late counts tiers for which the event came too late. Both add up
	// until the caller resets them.
	Visits []int64
	Late   int

	measures []measure // by source
	values   []int64   // of one source, for sketches
}

// NothingClosed as a lag says that no window can have been closed.
const NothingClosed = math.MaxInt64

// closedMS is up to when windows were closed.
func (o *Observation) closedMS() int64 {
	if o.WatermarkMS == math.MinInt64 || o.LagMS == NothingClosed {
		return math.MinInt64
	}
	return o.WatermarkMS - o.LagMS
}

// measure is what one event says of one source.
type measure struct {
	n        int64
	sum      int64
	min, max int64
}

// head is the number of words before a tile's cells.
func (t *tier) head() int {
	if t.clock == clockSession {
		return 2
	}
	return 1
}

func (t *tier) stride() int { return t.head() + len(t.cells) }

// Observe takes an event into the row. The row remembers what orders count for, and a cancellation or refund takes that back.
func (s *Set) Observe(r *Row, o *Observation) {
	if len(s.orders) == 0 {
		s.Add(r, o)
		return
	}
	if o.Event.Type == streams.OrderCompleted && OrderID(o.Event) != 0 {
		if s.add(r, o, &s.own) {
			s.place(r, o)
		}
		return
	}
	s.Add(r, o)
	switch o.Event.Type {
	case streams.OrderCancelled, streams.OrderRefunded:
		back := ReturnOf(o.Event)
		s.TakeBack(r, &back, o)
	}
}

// Add takes an event into the row, orders and what is sent back like any other, and says whether it counts for anything.
func (s *Set) Add(r *Row, o *Observation) (counts bool) { return s.add(r, o, &s.on[o.Event.Type]) }

func (s *Set) add(r *Row, o *Observation, p *plan) (counts bool) {
	if len(p.sources) == 0 {
		return false
	}
	counts = s.measure(p, o)
	if s.counted != nil {
		for _, i := range p.sources {
			if o.measures[i].n > 0 {
				s.counted[i]++
			}
		}
	}
	if !counts {
		return false
	}
	if r.tiers == nil {
		r.tiers = make([]ring, len(s.tiers))
	}
	for i := range p.tiers {
		s.update(r, o, &p.tiers[i])
	}
	return true
}

// measure evaluates the sources of a plan and says whether any that a feature is taken of has a value.
func (s *Set) measure(p *plan, o *Observation) (any bool) {
	if len(o.measures) < len(s.sources) {
		o.measures = make([]measure, len(s.sources))
	}
	e := o.Event
	for _, i := range p.sources {
		x := s.sources[i]
		m := &o.measures[i]
		*m = measure{min: math.MaxInt64, max: math.MinInt64}
		if e.Type == streams.Custom && !x.matches(e) {
			continue
		}
		if x.field == nil && x.filter == nil {
			m.n = 1
			any = any || i < s.declared
			continue
		}
		x.each(o, func(n int64, _ *streams.Line) {
			m.n++
			m.sum = add(m.sum, n)
			m.min, m.max = min(m.min, n), max(m.max, n)
		})
		any = any || m.n > 0 && i < s.declared
	}
	return any
}

// each calls f for every value that the event has of the source: a number in millionths where it is one, else 0, and the line it is of.
func (x *source) each(o *Observation, f func(n int64, l *streams.Line)) {
	e := o.Event
	ofLine := x.field != nil && x.field.ofLine
	if !ofLine {
		for i := range x.filter {
			ofLine = ofLine || x.filter[i].field.ofLine
		}
	}
	one := func(l *streams.Line) bool {
		if !x.passes(o, l) {
			return false
		}
		if x.field == nil {
			f(0, l)
			return true
		}
		n, ok := numberOf(x.field, x.prop, o, l)
		if !ok && (x.numeric || x.field.number != nil || textOf(x.field, x.prop, o, l) == "") {
			return false
		}
		f(n, l)
		return true
	}
	if !ofLine {
		one(nil)
		return
	}
	if o.Line >= 0 {
		one(&e.Lines[o.Line])
		return
	}
	for i := range e.Lines {
		if one(&e.Lines[i]) && (x.field == nil || !x.field.ofLine) {
			return // an event is counted once, and has its value once, whatever the number of its lines that pass
		}
	}
}

// add adds with saturation.
func add(a, b int64) int64 {
	c := a + b
	if (a > 0) == (b > 0) && (c > 0) != (a > 0) && a != 0 && b != 0 {
		if a > 0 {
			return math.MaxInt64
		}
		return math.MinInt64
	}
	return c
}

func (s *Set) update(r *Row, o *Observation, u *update) {
	hit := false
	for _, c := range u.cells {
		hit = hit || o.measures[c.source].n > 0
	}
	for _, c := range u.sketches {
		hit = hit || o.measures[c.source].n > 0
	}
	for _, source := range u.held {
		hit = hit || o.measures[source].n > 0
	}
	if !hit {
		return
	}
	t := &s.tiers[u.tier]
	g := &r.tiers[u.tier]
	at := s.locate(t, g, o)
	if at < 0 {
		o.Late++
		return
	}
	if t.closes && o.TimeMS < o.WatermarkMS && s.endOf(t, g.cells[at*t.stride()]) <= o.WatermarkMS {
		o.Late++ // its window was put out already
	}
	cells := g.cells[at*t.stride()+t.head():][:len(t.cells)]
	for _, c := range u.cells {
		m := &o.measures[c.source]
		if m.n == 0 {
			continue
		}
		x := &cells[c.col]
		switch c.op {
		case opCount:
			*x += m.n
		case opSum:
			*x = add(*x, m.sum)
		case opMin:
			*x = min(*x, m.min)
		case opMax:
			*x = max(*x, m.max)
		case opFirstMS:
			*x = min(*x, o.TimeMS)
		case opLastMS:
			*x = max(*x, o.TimeMS)
		}
	}
	for _, c := range u.sketches {
		if o.measures[c.source].n == 0 {
			continue
		}
		x := s.sources[c.source]
		b := &g.sketches[at*len(t.sketches)+c.col]
		k := t.sketches[c.col].sketch
		x.each(o, func(n int64, l *streams.Line) {
			*b = k.add(*b, sample{atMS: o.TimeMS, number: n, line: l, source: x, o: o})
		})
	}
}

// locate returns the number of the tile of a time, made if need be; -1 if it is too late for it.
func (s *Set) locate(t *tier, g *ring, o *Observation) int {
	if t.clock == clockSession {
		return s.locateSession(t, g, o)
	}
	stride := t.stride()
	index := s.index(t, o.TimeMS)
	at := len(g.cells)/stride - 1
	for at >= 0 && g.cells[at*stride] > index {
		at--
	}
	if at >= 0 && g.cells[at*stride] == index {
		return at
	}
	if o.WatermarkMS != math.MinInt64 && t.clock != clockLife {
		if s.endOf(t, index)+t.keepMS <= o.WatermarkMS {
			return -1
		}
		if closed := o.closedMS(); closed != math.MinInt64 {
			at -= s.evict(t, g, closed)
		}
	}
	s.schedule(t, g, index, o)
	at++
	g.insert(t, at, index, 0)
	return at
}

// index is the number of the tile of a time.
func (s *Set) index(t *tier, ms int64) int64 {
	switch t.clock {
	case clockTile:
		return floorDiv(ms, t.resMS)
	case clockDay:
		return s.dayOf(ms)
	case clockWeek:
		return floorDiv(s.dayOf(ms)-4, 7) // day 4 of 1970 was a Monday
	}
	return 0
}

// startOf and endOf are the times at which a tile begins and ends.
func (s *Set) startOf(t *tier, index int64) int64 {
	switch t.clock {
	case clockTile:
		return index * t.resMS
	case clockDay:
		return s.midnight(index)
	case clockWeek:
		return s.midnight(index*7 + 4)
	}
	return math.MinInt64
}

func (s *Set) endOf(t *tier, index int64) int64 {
	if t.clock == clockTile {
		return (index + 1) * t.resMS
	}
	if t.clock == clockLife {
		return math.MaxInt64
	}
	return s.startOf(t, index+1)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a < 0 && q*b != a {
		q--
	}
	return q
}

// evict drops the tiles that no window reaches any more, and says how many.
func (s *Set) evict(t *tier, g *ring, watermarkMS int64) int {
	stride, n := t.stride(), 0
	for n*stride < len(g.cells) && s.endOf(t, g.cells[n*stride])+t.keepMS <= watermarkMS {
		n++
	}
	g.remove(t, 0, n)
	return n
}

// remove takes n tiles out from the one at on.
func (g *ring) remove(t *tier, at, n int) {
	if n == 0 {
		return
	}
	stride, m := t.stride(), len(t.sketches)
	g.cells = append(g.cells[:at*stride], g.cells[(at+n)*stride:]...)
	if m > 0 {
		rest := append(g.sketches[:at*m], g.sketches[(at+n)*m:]...)
		clear(g.sketches[len(rest):])
		g.sketches = rest
	}
}

// insert makes an empty tile at a place.
func (g *ring) insert(t *tier, at int, head, head2 int64) {
	stride := t.stride()
	if n := len(g.cells) + stride; n > cap(g.cells) { // by little: most entities have few tiles
		grown := make([]int64, len(g.cells), max(stride, n+n/2/stride*stride))
		copy(grown, g.cells)
		g.cells = grown
	}
	g.cells = g.cells[:len(g.cells)+stride]
	copy(g.cells[(at+1)*stride:], g.cells[at*stride:])
	tile := g.cells[at*stride:][:stride]
	tile[0] = head
	if t.head() == 2 {
		tile[1] = head2
	}
	copy(tile[t.head():], t.fresh)
	for range len(t.sketches) {
		g.sketches = slices.Insert(g.sketches, at*len(t.sketches), nil)
	}
}

// locateSession returns the session that a time belongs to, which may make two into one.
func (s *Set) locateSession(t *tier, g *ring, o *Observation) int {
	stride, ms := t.stride(), o.TimeMS
	at := 0
	for ; at*stride < len(g.cells); at++ {
		first, last := &g.cells[at*stride], &g.cells[at*stride+1]
		if ms < *first-t.resMS {
			break
		}
		if ms > *last+t.resMS {
			continue
		}
		*first, *last = min(*first, ms), max(*last, ms)
		if next := (at + 1) * stride; next < len(g.cells) && g.cells[next] <= g.cells[at*stride+1]+t.resMS {
			g.cells[at*stride+1] = g.cells[next+1]
			s.join(t, g, at, at+1)
			g.remove(t, at+1, 1)
		}
		return at
	}
	if o.WatermarkMS != math.MinInt64 {
		if ms+t.resMS < o.WatermarkMS {
			return -1
		}
		if closed := o.closedMS(); len(t.closings) == 0 && closed != math.MinInt64 {
			for n := len(g.cells) / stride; n > 0 && g.cells[1]+t.resMS < closed; n-- {
				g.remove(t, 0, 1)
				at = max(at-1, 0)
			}
		}
	}
	g.insert(t, at, ms, ms)
	if len(t.closings) > 0 {
		o.Visits = append(o.Visits, ms+t.resMS+1)
	}
	return at
}

// join takes the cells and sketches of one tile into another.
func (s *Set) join(t *tier, g *ring, into, from int) {
	stride, head, m := t.stride(), t.head(), len(t.sketches)
	mergeCells(t, g.cells[into*stride+head:][:len(t.cells)], g.cells[from*stride+head:][:len(t.cells)])
	for j := range t.sketches {
		g.sketches[into*m+j] = t.sketches[j].sketch.merge(g.sketches[into*m+j], g.sketches[from*m+j])
	}
}

func mergeCells(t *tier, into, from []int64) {
	for j := range t.cells {
		switch t.cells[j].op {
		case opCount, opSum:
			into[j] = add(into[j], from[j])
		case opMin, opFirstMS:
			into[j] = min(into[j], from[j])
		case opMax, opLastMS:
			into[j] = max(into[j], from[j])
		}
	}
}

// find returns the number of the tile of a time, -1 if there is none.
func (s *Set) find(t *tier, g *ring, ms int64) int {
	stride := t.stride()
	for at := len(g.cells)/stride - 1; at >= 0; at-- {
		if t.clock == clockSession {
			if g.cells[at*stride] <= ms && ms <= g.cells[at*stride+1] {
				return at
			}
		} else if g.cells[at*stride] == s.index(t, ms) {
			return at
		}
	}
	return -1
}

// Size estimates the bytes that the row takes in memory beside itself.
func (r *Row) Size() int {
	n := 48 * cap(r.tiers)
	for i := range r.tiers {
		g := &r.tiers[i]
		n += 8*cap(g.cells) + 24*cap(g.sketches)
		for _, b := range g.sketches {
			n += cap(b)
		}
	}
	for i := range r.orders {
		n += 64 + 8*len(r.orders[i].values) + 24*len(r.orders[i].held)
		for _, b := range r.orders[i].held {
			n += cap(b)
		}
	}
	return n
}

// Empty says whether nothing is remembered.
func (r *Row) Empty() bool {
	for i := range r.tiers {
		if len(r.tiers[i].cells) > 0 {
			return false
		}
	}
	return len(r.orders) == 0
}
