package models

// Scratch gathers the candidates of one scoring. It is made once by its owner and used again: a small hash table that
// stays in the first-level cache, and the list of what is in it.
type Scratch struct {
	slots []uint16 // open addressing: index + 1 into found
	found []Candidate
	used  []uint16 // slots taken
	top   []Candidate
	near  nearTable   // sessions, while Neighbours scores
	worth groupWorths // while Choices scores
}

// Candidate is an item that was spoken for.
type Candidate struct {
	Item   Item
	Source Item    // the item of the history that spoke loudest for it
	Score  float32 // of all sources
	Weight float32 // of Source
}

const scratchSlots = 1 << 12 // at least twice MaxHistory * 48

// NewScratch returns an empty scratch.
func NewScratch() *Scratch { return &Scratch{slots: make([]uint16, scratchSlots)} }

// Reset empties the scratch.
func (s *Scratch) Reset() {
	for _, slot := range s.used {
		s.slots[slot] = 0
	}
	s.used, s.found = s.used[:0], s.found[:0]
}

// Len is the number of candidates.
func (s *Scratch) Len() int { return len(s.found) }

// Add lets an item be spoken for without a source.
func (s *Scratch) Add(i Item, score float32) { s.add(i, score, NoItem) }

func (s *Scratch) add(i Item, score float32, source Item) {
	at, fresh := s.Place(i)
	if at < 0 {
		return
	}
	c := &s.found[at]
	if fresh {
		*c = Candidate{Item: i, Source: source, Score: score, Weight: score}
		return
	}
	c.Score += score
	if score > c.Weight {
		c.Weight, c.Source = score, source
	}
}

// Place finds an item among the candidates, or adds it; -1 where there is no more room.
func (s *Scratch) Place(i Item) (at int, fresh bool) {
	h := uint32(i) * 0x9E3779B1 >> 20
	for {
		n := s.slots[h]
		if n == 0 {
			if len(s.found) == scratchSlots/2 {
				return -1, false
			}
			s.found = append(s.found, Candidate{Item: i})
			s.slots[h] = uint16(len(s.found))
			s.used = append(s.used, uint16(h))
			return len(s.found) - 1, true
		}
		if s.found[n-1].Item == i {
			return int(n - 1), false
		}
		h = (h + 1) & (scratchSlots - 1)
	}
}

// Top returns the n best candidates that keep lets through, by score descending, then item ascending. The slice is the
// scratch's own. keep is only asked about candidates that would be among the best so far.
func (s *Scratch) Top(n int, keep func(Item) bool) []Candidate {
	s.top = s.top[:0]
	if n <= 0 {
		return s.top
	}
	for k := range s.found {
		c := &s.found[k]
		if len(s.top) == n && !before(c, &s.top[n-1]) || !keep(c.Item) {
			continue
		}
		if len(s.top) < n {
			s.top = append(s.top, Candidate{})
		}
		at := len(s.top) - 1
		for at > 0 && before(c, &s.top[at-1]) {
			s.top[at] = s.top[at-1]
			at--
		}
		s.top[at] = *c
	}
	return s.top
}

func before(a, b *Candidate) bool { return a.Score > b.Score || a.Score == b.Score && a.Item < b.Item }
