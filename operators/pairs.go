package operators

import (
	"encoding/binary"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// pairLesson is an item that was put into a cart or order, beside others as a rule.
type pairLesson struct {
	hash     uint64
	atMS     int64
	weight   float32
	from, to int32 // of partners, the latest first
}

// repeat is a purchase: gapMS after the one before of the same item, 0 for the first.
type repeat struct {
	hash  uint64
	gapMS int64
}

// sold is an item that was sold, or sent back.
type sold struct {
	hash     uint64
	quantity uint32
	back     bool
}

const (
	weightCart  = 1
	weightOrder = 2
)

// pairCart notes what an item is put beside; of this and what follows, the lines that count.
func (s *scratch) pairCart(c *Customer, lines []streams.Line, count lineSet, nowMS int64) {
	for i := range lines {
		if !count.has(i) {
			continue
		}
		hash, from := hashItem(lines[i].ID), len(s.partners)
		for k := len(c.cart) - 1; k >= 0 && len(s.partners)-from < learnedHistory; k-- {
			if c.cart[k].hash != hash {
				s.partners = append(s.partners, c.cart[k].hash)
			}
		}
		s.addPair(hash, nowMS, weightCart, from)
	}
}

// pairOrder notes what was ordered together.
func (s *scratch) pairOrder(lines []streams.Line, count lineSet, nowMS int64) {
	for i := range lines {
		if !count.has(i) {
			continue
		}
		hash, from := hashItem(lines[i].ID), len(s.partners)
		for k := i - 1; k >= 0 && len(s.partners)-from < learnedHistory; k-- {
			if other := hashItem(lines[k].ID); other != hash {
				s.partners = append(s.partners, other)
			}
		}
		s.addPair(hash, nowMS, weightOrder, from)
	}
}

func (s *scratch) addPair(hash uint64, nowMS int64, weight float32, from int) {
	s.pairs = append(s.pairs, pairLesson{hash: hash, atMS: nowMS, weight: weight, from: int32(from), to: int32(len(s.partners))})
}

// noteRepeats notes what is bought for the first time, and what again; before it is.
func (s *scratch) noteRepeats(c *Customer, lines []streams.Line, count lineSet, nowMS int64) {
	for i := range lines {
		if !count.has(i) {
			continue
		}
		x := repeat{hash: hashItem(lines[i].ID)}
		for k := range c.bought {
			if b := &c.bought[k]; b.hash == x.hash {
				x.gapMS = nowMS - b.atMS
			}
		}
		if x.gapMS == 0 || x.gapMS >= models.SameOccasionMS {
			s.repeats = append(s.repeats, x)
		}
	}
}

// noteSold notes what was sold, or sent back.
func (s *scratch) noteSold(lines []streams.Line, count lineSet, kept bool) {
	for i := range lines {
		if count.has(i) {
			s.sold = append(s.sold, sold{hashItem(lines[i].ID), uint32(min(max(lines[i].Quantity, 1), 1000)), !kept})
		}
	}
}

// learnPairs takes in what the shards noted; after the lessons, which have given every item its row.
func (p *Program) learnPairs(s *scratch) {
	for i := range s.pairs {
		l := &s.pairs[i]
		item := p.catalog.find(l.hash)
		s.asking = s.asking[:0]
		for _, hash := range s.partners[l.from:l.to] {
			s.asking = append(s.asking, p.catalog.find(hash))
		}
		p.goesWith.Learn(item, s.asking, l.atMS, l.weight)
	}
	for _, x := range s.repeats {
		if i := p.catalog.find(x.hash); i != models.NoItem {
			p.repurchase.Learn(i, p.catalog.rows[i.Row()].leaf, x.gapMS)
		}
	}
	for _, x := range s.sold {
		i := p.catalog.find(x.hash)
		if i == models.NoItem {
			continue
		}
		if group := p.catalog.rows[i.Row()].leaf; x.back {
			p.returns.Learn(i, group, 0, x.quantity)
		} else {
			p.returns.Learn(i, group, x.quantity, 0)
		}
	}
	s.pairs, s.partners, s.repeats, s.sold = s.pairs[:0], s.partners[:0], s.repeats[:0], s.sold[:0]
}

// pairTables are the shared state of what goes with what, of what is bought again and of what is sent back.
func (p *Program) pairTables() []*engine.Table {
	goes := &engine.Table{Name: "goes_with",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			return binary.BigEndian.AppendUint32(key, i), orNil(p.goesWith.AppendRow(value, i))
		},
		Load: func(key, value []byte) error {
			return p.loadDecayed(key, value, p.halfLives.togetherChanged, p.goesWith.Touch, p.goesWith.LoadRow)
		}}
	again := &engine.Table{Name: "bought_again",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			return binary.BigEndian.AppendUint32(key, i), orNil(p.repurchase.AppendRow(value, i))
		},
		Load: func(key, value []byte) error { return loadRow(key, value, p.repurchase.LoadRow) }}
	back := &engine.Table{Name: "sent_back",
		Row: func(i uint32, key, value []byte) (k, v []byte) {
			return binary.BigEndian.AppendUint32(key, i), orNil(p.returns.AppendRow(value, i))
		},
		Load: func(key, value []byte) error { return loadRow(key, value, p.returns.LoadRow) }}
	p.goesWith.Touch, p.repurchase.Touch, p.returns.Touch = goes.Touch, again.Touch, back.Touch
	return []*engine.Table{goes, again, back}
}
