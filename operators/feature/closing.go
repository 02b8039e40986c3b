package feature

import (
	"math"
	"slices"
	"strconv"

	"nudge/streams"
)

// closing is one kind of window that is put out when it closes, with the features that it has.
type closing struct {
	output   int
	name     string
	tier     int
	span     span
	features []int

	cells    []int // columns of the features: a window in which none holds anything is not put out
	sketches []int

	begin  []byte   // of the JSON, up to the entity
	window []byte   // from the entity to the start
	fields [][]byte // before each feature's value
}

// prepare writes down the parts of the JSON that do not change.
func (c *closing) prepare(s *Set) {
	c.begin = strconv.AppendQuote([]byte(`{"v":1,"output":`), c.name)
	c.begin = append(c.begin, ',')
	c.window = strconv.AppendQuote([]byte(`,"window":`), c.span.label)
	c.window = append(c.window, `,"start":"`...)
	c.fields = nil
	for i, f := range c.features {
		for _, col := range s.features[f].cols {
			if s.features[f].agg == aggSketch {
				c.sketches = append(c.sketches, col)
			} else if !slices.Contains(c.cells, col) {
				c.cells = append(c.cells, col)
			}
		}
		lead := byte(',')
		if i == 0 {
			lead = '{'
		}
		c.fields = append(c.fields, append(strconv.AppendQuote([]byte{lead}, s.features[f].base), ':'))
	}
}

// schedule asks for the visits that a tile's windows need when they close. The tile is not there yet.
func (s *Set) schedule(t *tier, g *ring, index int64, o *Observation) {
	closed := o.closedMS()
	for _, i := range t.closings {
		end := s.endOf(t, index)
		if c := &s.closings[i]; c.span.kind != sliding {
			if end > closed {
				o.Visits = append(o.Visits, end)
			}
			continue
		} else if next, alive := s.nextClosing(t, g, c, closed); !alive || next > end {
			if closed != math.MinInt64 {
				end = max(end, (floorDiv(closed, t.resMS)+1)*t.resMS)
			}
			if end <= index*t.resMS+c.span.sizeMS {
				o.Visits = append(o.Visits, end)
			}
		}
	}
}

// nextClosing is when the next sliding window with a tile in it closes.
func (s *Set) nextClosing(t *tier, g *ring, c *closing, watermarkMS int64) (atMS int64, ok bool) {
	stride := t.stride()
	for at := 0; at*stride < len(g.cells); at++ {
		start := g.cells[at*stride] * t.resMS
		if watermarkMS == math.MinInt64 {
			return start + t.resMS, true
		}
		if start+c.span.sizeMS > watermarkMS {
			return max(start+t.resMS, (floorDiv(watermarkMS, t.resMS)+1)*t.resMS), true
		}
	}
	return 0, false
}

// Wants says whether events of a type count for anything.
func (s *Set) Wants(t streams.Type) bool { return len(s.on[t].tiers) > 0 }

// Leaves appends when what an event of a type at a time has counted for in feature i counts no more, because time has passed: some sliding windows may see
// it a twelfth of their size longer, so that a busy entity is not looked at for each of its events. A trend counts it in two windows, one after the other.
// Nothing is appended where time changes nothing, or at no time of its own.
func (s *Set) Leaves(atMS []int64, i int, e streams.Type, ms int64) []int64 {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	switch {
	case !s.observes(f, e):
	case t.clock == clockSession:
		atMS = append(atMS, ms+t.resMS+1)
	case f.span.kind == tumbling || f.span.kind == calendar:
		atMS = append(atMS, s.endOf(t, s.index(t, ms)))
	case f.span.kind == sliding && t.clock == clockTile:
		n := f.span.sizeMS / t.resMS
		step := max(1, n/12) * t.resMS
		windows := int64(1)
		if f.agg == aggTrend {
			windows = 2
		}
		for k := range windows {
			atMS = append(atMS, -floorDiv(-(s.index(t, ms)+(k+1)*n)*t.resMS, step)*step)
		}
	}
	return atMS
}

// Reaches is when the time since an event of a type at a time reaches a number, in the unit of feature i; up to a twelfth later, as with Leaves. ok
// is false where the feature is no time since such an event.
func (s *Set) Reaches(i int, number float64, e streams.Type, ms int64) (atMS int64, ok bool) {
	f := &s.features[i]
	after := number * f.unitMS
	changes := func(x Transform) bool { return x.Fill == nil }
	if f.agg != aggSince || slices.ContainsFunc(f.def.Transform, changes) || !s.observes(f, e) || !(after > 0 && after < 1<<52) {
		return 0, false
	}
	step := max(60_000, int64(after)/12)
	return -floorDiv(-(ms+int64(after)+1), step) * step, true
}

// observes says whether events of a type may count for a feature.
func (s *Set) observes(f *feature, e streams.Type) bool {
	return slices.ContainsFunc(s.on[e].tiers, func(u update) bool { return u.tier == f.tier })
}

// Pending calls f with the times at which Due is to be called for a row whose windows were closed up to a time: for a row that was read back.
func (s *Set) Pending(r *Row, closedMS int64, f func(atMS int64)) {
	if r.tiers == nil {
		return
	}
	for i := range s.closings {
		x := &s.closings[i]
		t, g := &s.tiers[x.tier], &r.tiers[x.tier]
		stride := t.stride()
		switch x.span.kind {
		case sliding:
			if at, ok := s.nextClosing(t, g, x, closedMS); ok {
				f(at)
			}
		case session:
			for at := 0; at*stride < len(g.cells); at++ {
				f(g.cells[at*stride+1] + t.resMS + 1)
			}
		default:
			for at := 0; at*stride < len(g.cells); at++ {
				if end := s.endOf(t, g.cells[at*stride]); end > closedMS {
					f(end)
				}
			}
		}
	}
}

// Closer takes the windows that close.
type Closer struct {
	// Entity is the member of the JSON that says whose the windows are, such as "user":"u-42".
	Entity []byte
	// Emit takes one closed window, which is only valid during the call.
	Emit   func(w *Closed)
	Visits []int64 // as in Observation

	closed Closed
}

// Closed is one window that closed.
type Closed struct {
	Output         int    // its number
	Window         string // as the pipeline writes it
	StartMS, EndMS int64  // of a session: its first and its last event
	JSON           []byte
}

// Due closes the windows that end at a time at which a visit was asked for.
func (s *Set) Due(r *Row, atMS int64, c *Closer) {
	if r.tiers == nil {
		return
	}
	for i := range s.closings {
		x := &s.closings[i]
		t, g := &s.tiers[x.tier], &r.tiers[x.tier]
		switch x.span.kind {
		case tumbling, calendar:
			if at := s.ending(t, g, atMS); at >= 0 {
				s.emit(x, r, t, g, at, at+1, s.startOf(t, g.cells[at*t.stride()]), atMS, c)
			}
		case sliding:
			s.closeSliding(x, r, t, g, atMS, c)
		case session:
			s.closeSessions(x, r, t, g, atMS, c)
		}
	}
	for i := range s.tiers { // what was only kept to be closed goes
		if t := &s.tiers[i]; len(t.closings) > 0 && t.clock != clockSession {
			s.evict(t, &r.tiers[i], atMS)
		}
	}
}

// ending returns the tile that ends at a time, or -1.
func (s *Set) ending(t *tier, g *ring, atMS int64) int {
	stride := t.stride()
	for at := 0; at*stride < len(g.cells); at++ {
		switch end := s.endOf(t, g.cells[at*stride]); {
		case end == atMS:
			return at
		case end > atMS:
			return -1
		}
	}
	return -1
}

func (s *Set) closeSliding(x *closing, r *Row, t *tier, g *ring, atMS int64, c *Closer) {
	if floorDiv(atMS, t.resMS)*t.resMS != atMS {
		return
	}
	stride := t.stride()
	from, to, next := -1, 0, int64(math.MaxInt64)
	for at := 0; at*stride < len(g.cells); at++ {
		start := g.cells[at*stride] * t.resMS
		if start < atMS && start >= atMS-x.span.sizeMS {
			if from < 0 {
				from = at
			}
			to = at + 1
		}
		if start+x.span.sizeMS > atMS {
			next = min(next, max(start, atMS)+t.resMS)
		}
	}
	if from >= 0 {
		s.emit(x, r, t, g, from, to, atMS-x.span.sizeMS, atMS, c)
	}
	if next != math.MaxInt64 {
		c.Visits = append(c.Visits, next)
	}
}

func (s *Set) closeSessions(x *closing, r *Row, t *tier, g *ring, atMS int64, c *Closer) {
	stride := t.stride()
	last := t.closings[len(t.closings)-1] == t.closingOf(s, x)
	for at := 0; at*stride < len(g.cells); {
		end := g.cells[at*stride+1]
		if end+t.resMS+1 > atMS {
			if last {
				c.Visits = append(c.Visits, end+t.resMS+1)
			}
			at++
			continue
		}
		s.emit(x, r, t, g, at, at+1, g.cells[at*stride], end, c)
		if last {
			g.remove(t, at, 1)
		} else {
			at++
		}
	}
}

func (t *tier) closingOf(s *Set, x *closing) int {
	for _, i := range t.closings {
		if &s.closings[i] == x {
			return i
		}
	}
	return -1
}

// Flush closes all windows that are open: those that end after the watermark.
func (s *Set) Flush(r *Row, watermarkMS int64, c *Closer) {
	if r.tiers == nil {
		return
	}
	for i := range s.closings {
		x := &s.closings[i]
		t, g := &s.tiers[x.tier], &r.tiers[x.tier]
		stride := t.stride()
		switch x.span.kind {
		case sliding:
			for at, ok := s.nextClosing(t, g, x, watermarkMS); ok; {
				c.Visits = c.Visits[:0]
				s.closeSliding(x, r, t, g, at, c)
				if ok = len(c.Visits) > 0; ok {
					at = c.Visits[0]
				}
			}
		case session:
			for at := 0; at*stride < len(g.cells); at++ {
				s.emit(x, r, t, g, at, at+1, g.cells[at*stride], g.cells[at*stride+1], c)
			}
		default:
			for at := 0; at*stride < len(g.cells); at++ {
				if index := g.cells[at*stride]; s.endOf(t, index) > watermarkMS {
					s.emit(x, r, t, g, at, at+1, s.startOf(t, index), s.endOf(t, index), c)
				}
			}
		}
	}
	c.Visits = c.Visits[:0]
}

// empty says whether the closing's columns hold nothing in tiles [from, to): others keep tiles of the same tier.
func (x *closing) empty(t *tier, g *ring, from, to int) bool {
	stride, head, m := t.stride(), t.head(), len(t.sketches)
	for at := from; at < to; at++ {
		tile := g.cells[at*stride+head:][:len(t.cells)]
		for _, col := range x.cells {
			if tile[col] != t.fresh[col] {
				return false
			}
		}
		for _, col := range x.sketches {
			if len(g.sketches[at*m+col]) > 0 {
				return false
			}
		}
	}
	return true
}

// holdsAny says whether an order within tiles [from, to) has anything of the closing's columns.
func (s *Set) holdsAny(x *closing, r *Row, t *tier, g *ring, from, to int) bool {
	for k := range r.orders {
		p := &r.orders[k]
		has := func(held int) bool {
			if held == 0 {
				return false
			}
			_, has := s.held[held-1].own(p, held)
			return has
		}
		if slices.ContainsFunc(x.cells, func(col int) bool { return has(t.cells[col].held) }) || slices.ContainsFunc(x.sketches, func(col int) bool { return has(t.sketches[col].held) }) {
			if at := s.find(t, g, p.atMS); at >= from && at < to {
				return true
			}
		}
	}
	return false
}

// emit writes one closed window: tiles [from, to) of the ring.
func (s *Set) emit(x *closing, r *Row, t *tier, g *ring, from, to int, startMS, endMS int64, c *Closer) {
	if x.empty(t, g, from, to) && !s.holdsAny(x, r, t, g, from, to) {
		return
	}
	b := append(c.closed.JSON[:0], x.begin...)
	b = append(b, c.Entity...)
	b = append(b, x.window...)
	b = streams.AppendTime(b, startMS)
	b = append(b, `","end":"`...)
	b = streams.AppendTime(b, endMS)
	b = append(b, `","features":`...)
	for i, n := range x.features {
		b = append(b, x.fields[i]...)
		b = s.appendValue(b, r, &s.features[n], t, g, from, to, endMS)
	}
	b = append(b, '}', '}')
	c.closed = Closed{Output: x.output, Window: x.span.label, StartMS: startMS, EndMS: endMS, JSON: b}
	c.Emit(&c.closed)
}
