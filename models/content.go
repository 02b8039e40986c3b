package models

import (
	"cmp"
	"math"
	"slices"
)

// Content finds items that are described alike: an inverted index from terms (of a title, brand, categories, price band, ...) to items.
//
//	score(i) = Σ_t weight(t) · idf(t) / √terms(i)      over the terms t of i that the query has
//	weight(t) = Σ_j History^j                            over the history's items j that have t, the latest 0; of a word searched for 2 more
//
// It learns nothing: it is what the catalogue says, and is built again from that. The newest ContentScanned items of a
// term are looked at, so what is new is found on its first day and a common term costs no more than another.
type Content struct {
	terms map[uint32]*posting
	items []content // by row
	count int
	dirty []uint32 // terms whose items are out of order
}

type content struct {
	item   Item
	bornMS int64
	terms  []uint32 // ascending
}

// posting are the items of a term, the newest last unless unsorted.
type posting struct {
	items    []Item
	unsorted bool
}

// The bounds of a question.
const (
	ContentScanned = 256 // items of a term
	contentTerms   = 16  // of a query, those that say most
	contentHistory = 0.7
	contentSearch  = 2
)

// ContentScratch is what one goroutine needs to ask.
type ContentScratch struct{ terms []wanted }

type wanted struct {
	term   uint32
	weight float32
	source Item
	most   float32 // part of source
}

// NewContent returns an empty index.
func NewContent() *Content { return &Content{terms: map[uint32]*posting{}} }

// Set says what terms describe an item that came into the catalogue at a time. terms are ascending, and kept.
func (c *Content) Set(item Item, bornMS int64, terms []uint32) {
	n := item.Row()
	if int(n) >= len(c.items) {
		c.items = append(c.items, make([]content, int(n)+1-len(c.items))...)
	}
	x := &c.items[n]
	if x.item == item && x.bornMS == bornMS && slices.Equal(x.terms, terms) && len(terms) > 0 {
		return
	}
	c.Forget(n)
	if len(terms) == 0 {
		return
	}
	*x = content{item, bornMS, terms}
	c.count++
	for _, t := range terms {
		p := c.terms[t]
		if p == nil {
			p = &posting{}
			c.terms[t] = p
		}
		if k := len(p.items); k > 0 && !p.unsorted && c.older(p.items[k-1], item) > 0 {
			p.unsorted = true
			c.dirty = append(c.dirty, t)
		}
		p.items = append(p.items, item)
	}
}

// Forget takes out the item of a row.
func (c *Content) Forget(row uint32) {
	if int(row) >= len(c.items) || len(c.items[row].terms) == 0 {
		return
	}
	x := &c.items[row]
	for _, t := range x.terms {
		p := c.terms[t]
		if at := slices.Index(p.items, x.item); at >= 0 {
			p.items = slices.Delete(p.items, at, at+1)
		}
		if len(p.items) == 0 {
			delete(c.terms, t)
		}
	}
	*x = content{}
	c.count--
}

// older orders the items of a term.
func (c *Content) older(a, b Item) int {
	if d := cmp.Compare(c.items[a.Row()].bornMS, c.items[b.Row()].bornMS); d != 0 {
		return d
	}
	return cmp.Compare(a, b)
}

// Settle must be called after the last Set: it puts the items of terms in order.
func (c *Content) Settle() {
	for _, t := range c.dirty {
		if p := c.terms[t]; p != nil && p.unsorted {
			slices.SortFunc(p.items, c.older)
			p.unsorted = false
		}
	}
	c.dirty = c.dirty[:0]
}

// Terms are the terms of an item. The slice is the index's own.
func (c *Content) Terms(i Item) []uint32 {
	if i == NoItem || int(i.Row()) >= len(c.items) || c.items[i.Row()].item != i {
		return nil
	}
	return c.items[i.Row()].terms
}

// Score adds what is described like the items of a history, the latest first, and by terms that were searched for, to a scratch: what is found by those
// alone has no source. It reads the index only.
func (c *Content) Score(to *Scratch, s *ContentScratch, history []Item, searched []uint32) {
	s.terms = s.terms[:0]
	want := func(t uint32, weight float32, source Item) {
		at, found := slices.BinarySearchFunc(s.terms, t, func(x wanted, t uint32) int { return cmp.Compare(x.term, t) })
		if !found {
			s.terms = slices.Insert(s.terms, at, wanted{term: t, source: source})
		}
		x := &s.terms[at]
		x.weight += weight
		if weight > x.most {
			x.most, x.source = weight, source
		}
	}
	for _, t := range searched {
		if c.terms[t] != nil {
			want(t, contentSearch, NoItem)
		}
	}
	weight := float32(1)
	for _, i := range history {
		for _, t := range c.Terms(i) {
			want(t, weight, i)
		}
		weight *= contentHistory
	}
	for k := range s.terms {
		s.terms[k].weight *= c.idf(s.terms[k].term)
	}
	slices.SortFunc(s.terms, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.term, b.term))
	})
	for _, x := range s.terms[:min(len(s.terms), contentTerms)] {
		p := c.terms[x.term]
		for _, i := range p.items[max(0, len(p.items)-ContentScanned):] {
			to.add(i, x.weight*float32(1/math.Sqrt(float64(len(c.items[i.Row()].terms)))), x.source)
		}
	}
}

// idf is how much a term says: log2 of one in how many items has it.
func (c *Content) idf(term uint32) float32 {
	return float32(Log(float64(c.count+1)/float64(len(c.terms[term].items))) / math.Ln2)
}

// Alike is how much two items have in common: the share of their terms that both have (Jaccard 1912), 0 where nothing is known of one.
func (c *Content) Alike(a, b Item) float32 {
	x, y := c.Terms(a), c.Terms(b)
	if len(x)+len(y) == 0 {
		return 0
	}
	both := 0
	for i, j := 0, 0; i < len(x) && j < len(y); {
		switch {
		case x[i] == y[j]:
			both, i, j = both+1, i+1, j+1
		case x[i] < y[j]:
			i++
		default:
			j++
		}
	}
	return float32(both) / float32(len(x)+len(y)-both)
}
