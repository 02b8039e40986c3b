package operators

import (
	"math"
	"math/bits"
	"slices"
)

// impression is a list that was decided, kept until it is known what became of it.
type impression struct {
	id      uint64 // hash of the decision's
	decider uint32
	atMS    int64
	seen    bool // the shop told that it was
	won     bool // some item has reached the goal
	// reactedMS is when an item was clicked last, where that is the goal.
	reactedMS int64
	items     []impressed
}

// impressed is an item of it, with what the model was told of it.
type impressed struct {
	hash     uint64
	base     float32
	place    uint8 // in the decision, from 1
	seenAt   uint8 // where it was seen, from 1; 0: it was not
	won      bool
	features []uint16
}

// tired is how often an item was seen and not clicked.
type tired struct {
	hash uint64
	atMS int64 // last
	n    uint8
}

const (
	keptImpressions = 12
	keptTired       = 96
	comesBackMS     = 10 * 60_000 // after a click, until a list has taught what it can
)

// What is counted of reactions to lists.
const (
	countedShown        = "reactions/shown"         // lists
	countedClicked      = "reactions/clicked"       // clicks
	countedUnknownList  = "reactions/unknown_list"  // of a decision that is not kept for this customer
	countedUnknownItem  = "reactions/unknown_item"  // that the list does not have
	countedUnnamedClick = "reactions/unnamed_click" // on a list of several items
)

func compareImpressions(a, b *impression) int {
	if a.atMS != b.atMS {
		return compare(a.atMS, b.atMS)
	}
	return compare(a.id, b.id)
}

// addImpression takes one in, and says whether the oldest has to go now.
func (c *Customer) addImpression(x impression) (full bool) {
	if len(c.impressions) >= keptImpressions {
		return true
	}
	c.insertImpression(x)
	return false
}

func (c *Customer) insertImpression(x impression) {
	at, found := slices.BinarySearchFunc(c.impressions, &x, func(y impression, x *impression) int { return compareImpressions(&y, x) })
	if !found {
		c.impressions = slices.Insert(grow(c.impressions), at, x)
	}
}

// leastTelling is the list to be forgotten first: the oldest that nobody saw, which teaches nothing, else the oldest.
func (c *Customer) leastTelling() int {
	return max(0, slices.IndexFunc(c.impressions, func(x impression) bool { return !x.seen && !x.won }))
}

func (c *Customer) dropImpression(k int) { c.impressions = slices.Delete(c.impressions, k, k+1) }

func (c *Customer) impressionOf(id uint64) int {
	return slices.IndexFunc(c.impressions, func(x impression) bool { return x.id == id })
}

// win notes that an item has reached the goal; false if it is not of the list.
func (x *impression) win(hash uint64) (found bool) {
	for i := range x.items {
		if x.items[i].hash == hash {
			x.items[i].won, x.won, found = true, true, true
		}
	}
	return found
}

// see notes that an item was seen at a position; false if it is not of the list.
func (x *impression) see(hash uint64, position uint8) (found bool) {
	for i := range x.items {
		if x.items[i].hash == hash {
			x.items[i].seenAt, x.seen, found = position, true, true
		}
	}
	return found
}

// tire notes that an item was seen.
func (c *Customer) tire(hash uint64, atMS int64) {
	x := tired{hash: hash, atMS: atMS, n: 1}
	if k := c.tiredOf(hash); k >= 0 {
		x.n = uint8(min(int(c.tired[k].n)+1, math.MaxUint8))
		x.atMS = max(x.atMS, c.tired[k].atMS)
		c.tired = slices.Delete(c.tired, k, k+1)
	}
	c.insertTired(x)
}

// refresh forgets that an item was seen: it was clicked.
func (c *Customer) refresh(hash uint64) {
	if k := c.tiredOf(hash); k >= 0 {
		c.tired = slices.Delete(c.tired, k, k+1)
	}
}

func (c *Customer) tiredOf(hash uint64) int {
	for k := range c.tired {
		if c.tired[k].hash == hash {
			return k
		}
	}
	return -1
}

func compareTired(a, b *tired) int {
	if a.atMS != b.atMS {
		return compare(a.atMS, b.atMS)
	}
	return compare(a.hash, b.hash)
}

func (c *Customer) insertTired(x tired) {
	at := len(c.tired)
	for at > 0 && compareTired(&c.tired[at-1], &x) > 0 {
		at--
	}
	c.tired = slices.Insert(grow(c.tired), at, x)
	if len(c.tired) > keptTired {
		c.tired = slices.Delete(c.tired, 0, len(c.tired)-keptTired)
	}
}

// rests says whether an item was seen at least n times, the last time since a time.
func (c *Customer) rests(hash uint64, n int, sinceMS int64) bool {
	k := c.tiredOf(hash)
	return k >= 0 && int(c.tired[k].n) >= n && c.tired[k].atMS > sinceMS
}

// tiredBucket buckets how often an item was seen in vain and how long ago: 0 for never.
func (c *Customer) tiredBucket(hash uint64, nowMS int64) int {
	k := c.tiredOf(hash)
	if k < 0 {
		return 0
	}
	hours := bits.Len64(uint64(max(nowMS-c.tired[k].atMS, 0) / 3600_000))
	return 4*min(bits.Len8(c.tired[k].n), 3) + min(hours/2, 3)
}

// lookedBucket buckets when an item was looked at by powers of two of seconds: 0 for not lately.
func (c *Customer) lookedBucket(hash uint64, nowMS int64) int {
	for k := len(c.recent) - 1; k >= 0; k-- {
		if c.recent[k].hash == hash {
			return 1 + min(bits.Len64(uint64(max(nowMS-c.recent[k].atMS, 0)/8000)), 14)
		}
	}
	return 0
}

// mergeImpressions takes those of another in, and keeps the latest.
func (c *Customer) mergeImpressions(o *Customer) {
	for _, x := range o.impressions {
		c.insertImpression(x)
	}
	for len(c.impressions) > keptImpressions {
		c.dropImpression(c.leastTelling())
	}
	for _, x := range o.tired {
		if k := c.tiredOf(x.hash); k >= 0 {
			x.n = uint8(min(int(x.n)+int(c.tired[k].n), math.MaxUint8))
			x.atMS = max(x.atMS, c.tired[k].atMS)
			c.tired = slices.Delete(c.tired, k, k+1)
		}
		c.insertTired(x)
	}
}

// appendImpressions appends their encoding.
func (c *Customer) appendImpressions(w *writer) {
	w.uint(uint64(len(c.impressions)))
	for k := range c.impressions {
		x := &c.impressions[k]
		w.fixed(x.id)
		w.fixed32(x.decider)
		w.time(x.atMS)
		w.uint(bit(x.seen) | bit(x.won)<<1 | bit(x.reactedMS != 0)<<2)
		if x.reactedMS != 0 {
			w.time(x.reactedMS)
		}
		w.uint(uint64(len(x.items)))
		for i := range x.items {
			y := &x.items[i]
			w.fixed(y.hash)
			w.fixed32(math.Float32bits(y.base))
			w.uint(uint64(y.place))
			w.uint(uint64(y.seenAt)<<1 | bit(y.won))
			w.uint(uint64(len(y.features)))
			for _, f := range y.features {
				w.uint(uint64(f))
			}
		}
	}
}

// impressions is the inverse of appendImpressions.
func (r *reader) impressions() []impression {
	list := make([]impression, 0, keptImpressions)
	for range r.count(15) {
		x := impression{id: r.fixed(), decider: r.fixed32(), atMS: r.time()}
		flags := r.limited(7)
		x.seen, x.won = flags&1 == 1, flags&2 == 2
		if flags&4 == 4 {
			if x.reactedMS = r.time(); x.reactedMS == 0 {
				r.failf("a click at no time")
			}
		}
		n := r.limited(uint64(len(r.b) / 15))
		for range n {
			y := impressed{hash: r.fixed(), base: math.Float32frombits(r.fixed32()), place: uint8(r.limited(255))}
			if y.base != y.base {
				r.failf("a base that is no number")
			}
			seen := r.limited(511)
			y.seenAt, y.won = uint8(seen>>1), seen&1 == 1
			for range r.limited(uint64(len(r.b))) {
				y.features = append(y.features, uint16(r.limited(math.MaxUint16)))
			}
			x.items = append(x.items, y)
		}
		if k := len(list); k > 0 && compareImpressions(&list[k-1], &x) >= 0 {
			r.failf("the lists that were shown are out of order")
		}
		list = append(list, x)
	}
	return list
}

// appendTired appends their encoding.
func (c *Customer) appendTired(w *writer) {
	w.uint(uint64(len(c.tired)))
	for _, x := range c.tired {
		w.fixed(x.hash)
		w.time(x.atMS)
		w.uint(uint64(x.n))
	}
}

// tired is the inverse of appendTired.
func (r *reader) tired() []tired {
	n := r.count(10)
	list := make([]tired, 0, n)
	for range n {
		x := tired{hash: r.fixed(), atMS: r.time(), n: uint8(r.limited(255))}
		if k := len(list); k > 0 && compareTired(&list[k-1], &x) >= 0 {
			r.failf("what was seen is out of order")
		}
		list = append(list, x)
	}
	return list
}

// impressionsSize estimates the bytes they take in memory.
func (c *Customer) impressionsSize() int {
	n := 56*cap(c.impressions) + 24*cap(c.tired)
	for k := range c.impressions {
		for i := range c.impressions[k].items {
			n += 48 + 2*len(c.impressions[k].items[i].features)
		}
	}
	return n
}
