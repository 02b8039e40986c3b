package models

import (
	"math"
	"slices"
)

// Neighbours finds recent sessions that resemble a session, and what was met in them (Jannach, Ludewig 2017: V-SkNN; Garg et al.
// 2019: STAN; Kersbergen et al. 2022: VMIS-kNN, whose bounded inverted index it uses).
//
//	like(n)  = Σ_j History^j over the query's items a_0 (the latest), a_1, … that session n holds · 2^(-age/HalfLife) / √length(n)
//	score(b) = √log(1 + sessions/sessions with b) · Σ over the Nearest sessions n of like(n) · Σ_j History^j Gap^(d-1)
//
// where d is the distance in n between the last place of a_j and that of b; b before a_j counts Backward times as much. History, Gap and
// Backward differ much between shops, so the model chooses them itself: one learned item in 16 is first guessed with each of a few manners,
// and the one whose guesses had a better reciprocal rank than the first's, by more than chance, is in force.
//
// A session keeps its last SessionItems items, an item the numbers of the last PerItem sessions that met it, and the model the last
// Sessions sessions: what is older is forgotten. Of a day it learns the first DailyItems items of a session. Bad input: no item teaches nothing, a time before the session's last is taken at that.
type Neighbours struct {
	// TouchSession and TouchItem are called before a session's or an item's row changes. nil: nobody has to know.
	TouchSession, TouchItem func(row uint32)

	opt      NeighboursOptions
	fadeStep float64   // a millisecond's
	sessions []session // by number modulo Sessions
	items    []visitors
	open     map[uint64]sessionNumber // those that are kept, by what names them
	last     sessionNumber            // given out

	trials  [len(manners)]trial
	manner  int // the one that did best so far
	learned uint64
	scratch *Scratch // of the manners' guesses
	history []Item
}

// manner is how a neighbour's items are weighed. Shops differ in it: in some what comes after matters, in others whatever was met together.
type manner struct{ History, Gap, Backward float64 }

var manners = [...]manner{{.7, .8, .3}, {.5, .65, .8}, {.6, .7, .5}, {.8, .85, .2}}

// trial is how much better than the first a manner has come true: sums of the differences of the reciprocal ranks of what came next, and of
// their squares, decayed.
type trial struct{ gain, square float64 }

var pasts, gaps = func() (p [len(manners)][MaxHistory]float32, g [len(manners)][SessionItems]float32) {
	for i, m := range manners {
		x := 1.0
		for k := range p[i] {
			p[i][k] = float32(x)
			x *= m.History
		}
		x = 1
		for k := range g[i] {
			g[i][k] = float32(x)
			x *= m.Gap
		}
	}
	return p, g
}()

// try lets every manner say what comes next in a session, and takes in what came.
func (m *Neighbours) try(s *session, item Item) {
	const ranks, fade = 20, 1 - 1.0/16384
	m.history = m.history[:0]
	for k := int(s.n) - 1; k >= 0; k-- {
		if !slices.Contains(m.history, s.items[k]) {
			m.history = append(m.history, s.items[k])
		}
	}
	last := m.history[0]
	if item == last {
		return
	}
	var ranked [len(manners)]float64
	for k := range ranked {
		m.scratch.Reset()
		m.score(m.scratch, m.history, s.number, s.lastMS, k)
		for at, c := range m.scratch.Top(ranks, func(i Item) bool { return i != last }) {
			if c.Item == item {
				ranked[k] = 1 / float64(at+1)
			}
		}
	}
	// The best of those whose gain can hardly be chance.
	const sure = 2.5 // standard deviations
	m.manner = 0
	for k := range m.trials {
		t, d := &m.trials[k], ranked[k]-ranked[0]
		t.gain, t.square = float64(t.gain*fade)+d, float64(t.square*fade)+float64(d*d)
		if t.gain > math.Sqrt(t.square)*sure && t.gain > m.trials[m.manner].gain {
			m.manner = k
		}
	}
}

// Full says whether a session has taught what it may on a day.
func (m *Neighbours) Full(key uint64, timeMS int64) bool {
	s := m.find(m.open[key])
	return s != nil && s.day == DayOf(timeMS) && s.today >= DailyItems
}

// SessionItems is how many items a session keeps.
const SessionItems = 16

// NeighboursOptions are the parameters of Neighbours.
type NeighboursOptions struct {
	Sessions   int   // kept, at most 1<<31
	PerItem    int   // sessions that an item points to
	Nearest    int   // sessions that speak
	HalfLifeMS int64 // of a session's weight
}

// DefaultNeighbours returns the measured options.
func DefaultNeighbours() NeighboursOptions {
	return NeighboursOptions{Sessions: 1 << 20, PerItem: 256, Nearest: 256, HalfLifeMS: 7 * 24 * 3600_000}
}

// sessionNumber counts sessions; 0 is none's.
type sessionNumber uint32

type session struct {
	key    uint64
	day    int32              // of the last item, since 1970
	today  uint16             // items on it
	items  [SessionItems]Item // in order
	lastMS int64
	number sessionNumber
	n      uint8
}

type visitors struct {
	sessions []sessionNumber // a ring once it is full
	at       uint16          // of the oldest in the ring
	item     Item
	met      uint32 // sessions that met it, of all times
}

// NewNeighbours returns an empty model.
func NewNeighbours(opt NeighboursOptions) *Neighbours {
	m := &Neighbours{opt: opt, open: map[uint64]sessionNumber{}, fadeStep: fadeSteps / float64(opt.HalfLifeMS)}
	m.scratch = NewScratch()
	return m
}

// Learn takes in that an item was met in the session of a key, which is not 0. One that was forgotten meanwhile begins anew.
func (m *Neighbours) Learn(key uint64, item Item, timeMS int64) {
	if item == NoItem || key == 0 || m.Full(key, timeMS) {
		return
	}
	in := m.open[key]
	if in == 0 {
		if m.last++; m.last == 0 {
			m.last++
		}
		in = m.last
		m.open[key] = in
	}
	slot := uint32(in) % uint32(m.opt.Sessions)
	if int(slot) >= len(m.sessions) {
		m.sessions = append(m.sessions, make([]session, int(slot)+1-len(m.sessions))...)
	}
	if m.TouchSession != nil {
		m.TouchSession(slot)
	}
	if was := &m.sessions[slot]; was.number != in {
		delete(m.open, was.key)
		*was = session{key: key, number: in, lastMS: math.MinInt64}
	}
	s := &m.sessions[slot]
	if m.learned++; m.learned%tryEvery == 0 && s.n > 0 {
		m.try(s, item)
	}
	s.lastMS = max(s.lastMS, timeMS)
	if day := DayOf(timeMS); day != s.day {
		s.day, s.today = day, 0
	}
	s.today++
	met := false
	for _, x := range s.items[:s.n] {
		met = met || x == item
	}
	if s.n == SessionItems {
		copy(s.items[:], s.items[1:])
		s.n--
	}
	s.items[s.n] = item
	s.n++
	if !met {
		m.visit(item, in)
	}
}

// visit notes that a session met an item.
func (m *Neighbours) visit(item Item, in sessionNumber) {
	row := item.Row()
	if int(row) >= len(m.items) {
		m.items = append(m.items, make([]visitors, int(row)+1-len(m.items))...)
	}
	if m.TouchItem != nil {
		m.TouchItem(row)
	}
	v := &m.items[row]
	if v.item != item {
		*v = visitors{item: item}
	}
	v.met++
	if len(v.sessions) < m.opt.PerItem {
		v.sessions = append(v.sessions, in)
		return
	}
	v.sessions[v.at] = in
	if v.at++; int(v.at) == len(v.sessions) {
		v.at = 0
	}
}

// find returns a session that is still held.
func (m *Neighbours) find(number sessionNumber) *session {
	if number == 0 {
		return nil
	}
	slot := uint32(number) % uint32(m.opt.Sessions)
	if int(slot) >= len(m.sessions) || m.sessions[slot].number != number {
		return nil
	}
	return &m.sessions[slot]
}

// neighbour is a session that resembles the query.
type neighbour struct {
	number sessionNumber
	like   float32
	match  uint8 // the latest item of the query that it holds
}

// Score adds what was met in the nearest sessions to s, as of a time; history has no item twice, the latest first. The session
// of the key self does not speak: it is the query's own. It reads the model only.
func (m *Neighbours) Score(s *Scratch, history []Item, self uint64, timeMS int64) {
	m.score(s, history, m.open[self], timeMS, m.manner)
}

// tryEvery is how often the manners are tried: they cost as much as several answers.
const tryEvery = 16

func (m *Neighbours) score(s *Scratch, history []Item, self sessionNumber, timeMS int64, manner int) {
	past, gap, backward := &pasts[manner], &gaps[manner], float32(manners[manner].Backward)
	if len(history) > MaxHistory {
		history = history[:MaxHistory]
	}
	near := &s.near
	near.reset()
	for j, h := range history {
		if h == NoItem || int(h.Row()) >= len(m.items) || m.items[h.Row()].item != h {
			continue
		}
		v := &m.items[h.Row()]
		w := past[j]
		// From the latest on: where the table fills up, the oldest are left out.
		for k := range v.sessions {
			at := int(v.at) - 1 - k
			if at < 0 {
				at += len(v.sessions)
			}
			if n := v.sessions[at]; n != self {
				near.add(n, w, uint8(j))
			}
		}
	}
	found := near.found[:0]
	for _, x := range near.found {
		n := m.find(x.number)
		if n == nil {
			continue
		}
		x.like *= m.fade(timeMS-n.lastMS) * shorter[n.n]
		found = append(found, x)
	}
	near.found = found
	for _, x := range near.nearest(m.opt.Nearest) {
		n := m.find(x.number)
		for j, match := range history {
			place := -1
			for k := int(n.n) - 1; k >= 0; k-- {
				if n.items[k] == match {
					place = k
					break
				}
			}
			if place < 0 {
				continue
			}
			w := x.like * past[j]
			back := float32(w * backward)
			for k := range int(n.n) {
				b := n.items[k]
				switch {
				case k > place:
					s.add(b, float32(w*gap[k-place-1]), match)
				case k < place:
					s.add(b, float32(back*gap[place-k-1]), match)
				}
			}
		}
	}
	everyone := float32(max(m.last, 1))
	for k := range s.found {
		c := &s.found[k]
		met := float32(0)
		if row := c.Item.Row(); int(row) < len(m.items) && m.items[row].item == c.Item {
			met = float32(m.items[row].met)
		}
		if met == 0 { // the item is gone
			c.Score = 0
			continue
		}
		c.Score *= rarity(everyone / met)
	}
}

// rarity is √log(1+x) of x to four binary digits, from a table.
func rarity(x float32) float32 {
	return rarities[min(math.Float32bits(x)>>19, uint32(len(rarities)-1))]
}

var rarities = func() (t [1 << 12]float32) {
	for i := range 255 << 4 { // the rest stands for infinity
		t[i] = float32(math.Sqrt(Log(1 + float64(math.Float32frombits(uint32(i)<<19)))))
	}
	for i := 255 << 4; i < len(t); i++ {
		t[i] = t[255<<4-1]
	}
	return t
}()

// shorter is 1/√n.
var shorter = func() (t [SessionItems + 1]float32) {
	for n := 1; n < len(t); n++ {
		t[n] = float32(1 / math.Sqrt(float64(n)))
	}
	return t
}()

// fadeSteps divide a half-life: a fade is right to .3 %.
const fadeSteps = 256

var fades = func() (t [fadeSteps]float32) {
	for k := range t {
		t[k] = float32(1 / Exp2(float64(k)/fadeSteps))
	}
	return t
}()

// fade is 2^(-age/HalfLife).
func (m *Neighbours) fade(ageMS int64) float32 {
	if ageMS <= 0 || m.opt.HalfLifeMS <= 0 {
		return 1
	}
	step := uint64(float64(ageMS) * m.fadeStep)
	whole := min(step/fadeSteps, 126)
	return fades[step%fadeSteps] * math.Float32frombits(uint32(127-whole)<<23)
}

// nearTable gathers the sessions that resemble one query.
type nearTable struct {
	slots []uint16
	found []neighbour
	used  []uint16
}

const nearSlots = 1 << 13

func (t *nearTable) reset() {
	if t.slots == nil {
		t.slots = make([]uint16, nearSlots)
	}
	for _, slot := range t.used {
		t.slots[slot] = 0
	}
	t.used, t.found = t.used[:0], t.found[:0]
}

func (t *nearTable) add(number sessionNumber, w float32, j uint8) {
	h := uint32(number) * 0x9E3779B1 >> 19
	for {
		n := t.slots[h]
		if n == 0 {
			if len(t.found) == nearSlots/2 {
				return
			}
			t.found = append(t.found, neighbour{number, w, j})
			t.slots[h] = uint16(len(t.found))
			t.used = append(t.used, uint16(h))
			return
		}
		if x := &t.found[n-1]; x.number == number {
			x.like += w
			return
		}
		h = (h + 1) & (nearSlots - 1)
	}
}

// nearest moves the n nearest to the front, in no order, and returns them.
func (t *nearTable) nearest(n int) []neighbour {
	x := t.found
	if len(x) <= n {
		return x
	}
	closer := func(a, b neighbour) bool { return a.like > b.like || a.like == b.like && a.number > b.number }
	from, to := 0, len(x)-1
	for from < to {
		pivot := x[from+(to-from)/2]
		i, j := from, to
		for i <= j {
			for closer(x[i], pivot) {
				i++
			}
			for closer(pivot, x[j]) {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i++
				j--
			}
		}
		switch {
		case n-1 <= j:
			to = j
		case n-1 >= i:
			from = i
		default:
			return x[:n]
		}
	}
	return x[:n]
}

// metItem is an item with the sessions that met it.
type metItem struct {
	item Item
	met  uint32
}

// mostMet puts an item to its place in a list of those that most sessions have met, of all times.
func (m *Neighbours) mostMet(list []metItem, item Item, most int) []metItem {
	if int(item.Row()) >= len(m.items) || m.items[item.Row()].item != item || m.items[item.Row()].met == 0 {
		return list
	}
	x := metItem{item, m.items[item.Row()].met}
	before := func(y metItem) bool { return x.met > y.met || x.met == y.met && x.item < y.item }
	at := len(list)
	switch {
	case at < most:
		list = append(list, x)
	case before(list[at-1]):
		at--
	default:
		return list
	}
	for ; at > 0 && before(list[at-1]); at-- {
		list[at] = list[at-1]
	}
	list[at] = x
	return list
}

// Forget empties an item's row: its item is gone.
func (m *Neighbours) Forget(row uint32) {
	if int(row) >= len(m.items) || m.items[row].met == 0 {
		return
	}
	if m.TouchItem != nil {
		m.TouchItem(row)
	}
	m.items[row] = visitors{}
}

// Erase forgets a session.
func (m *Neighbours) Erase(key uint64) {
	in := m.open[key]
	if in == 0 {
		return
	}
	slot := uint32(in) % uint32(m.opt.Sessions)
	if m.TouchSession != nil {
		m.TouchSession(slot)
	}
	delete(m.open, key)
	m.sessions[slot] = session{}
}
