package operators

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"nudge/engine"
	"nudge/models"
	"nudge/streams"
)

// Catalog is the shared table of items. It gives every item a row number, by which models know it. Items come from the
// catalogue topic; one that customers met before the catalogue spoke of it gets a row when that is learned.
//
// When all rows are taken a sixteenth of them is emptied: first items that the catalogue removed or never had, then those
// that were not met for longest, by event time in days.
type Catalog struct {
	// evicted is called for every row that is emptied.
	evicted func(row uint32)
	// forgetting is called before forgot changes.
	forgetting func()
	// described is called when what describes an item has changed, or was loaded.
	described func(i models.Item, r *item)

	table  *engine.Table
	limit  int
	hashes []uint64 // by row; 0: free
	gens   []uint8
	marks  []itemMarks
	days   []int32 // since 1970, of the last event or catalogue record
	rows   []item
	free   []uint32 // the lowest is given out first: descending, unless unsorted
	slots  []uint32 // open addressing by hash: row + 1
	count  int
	record streams.CatalogItem // the one being taken in

	unsorted  bool
	evictions uint64 // rows emptied: while it stays, every Item found before is still valid
	told      uint64 // of evictions, those that a counter has
	forgot    bool   // an emptied row was the catalogue's
}

// item is what is known of an item beside its hash and marks.
type item struct {
	id            string
	categories    string // joined by '\n'
	price, cost   int64  // millionths; cost is valid if itemCosted
	stock         int64  // valid if itemCounted
	from, until   int64  // Unix ms of availability; 0: open
	bornMS        int64  // when the catalogue first had it; 0: it never did
	brand         string
	terms         []uint32 // that describe it, ascending
	leaf          uint32   // hash of its first category; 0: none
	fromCatalogue bool
}

type itemMarks uint8

const (
	itemRemoved   itemMarks = 1 << iota // the catalogue took it out
	itemSoldOut                         // its stock is known and used up
	itemScheduled                       // from or until are set
	itemCosted                          // its cost is known
	itemCounted                         // its stock is known
)

func newCatalog(limit int) *Catalog {
	c := &Catalog{limit: max(1, min(limit, models.MaxItems)), slots: make([]uint32, 1<<10)}
	c.table = &engine.Table{Name: "items", Row: c.row, Load: c.load}
	return c
}

// itemsEvicted counts the rows that were emptied, because the catalogue had more items than limits.items.
const itemsEvicted = "items_evicted"

// hashItem identifies an item. 0 is kept for no item.
func hashItem(id string) uint64 {
	if h := xxhash.Sum64String(id); h != 0 {
		return h
	}
	return 1
}

// Len is the number of items.
func (c *Catalog) Len() int { return c.count }

// find returns the item of that hash, or NoItem. It only reads: shards call it side by side.
func (c *Catalog) find(hash uint64) models.Item {
	mask := uint64(len(c.slots) - 1)
	for s := hash & mask; ; s = (s + 1) & mask {
		n := c.slots[s]
		if n == 0 {
			return models.NoItem
		}
		if c.hashes[n-1] == hash {
			return models.MakeItem(n-1, c.gens[n-1])
		}
	}
}

// resolve is find with a cache of the answer: cached is what an earlier call returned.
func (c *Catalog) resolve(hash uint64, cached models.Item) models.Item {
	if n := cached.Row(); cached != models.NoItem && int(n) < len(c.hashes) && c.hashes[n] == hash && c.gens[n] == uint8(cached>>24) {
		return cached
	}
	return c.find(hash)
}

// valid says whether the item still has its row.
func (c *Catalog) valid(i models.Item) bool {
	n := i.Row()
	return i != models.NoItem && int(n) < len(c.hashes) && c.hashes[n] != 0 && c.gens[n] == uint8(i>>24)
}

// sellable says whether an item may be shown.
func (c *Catalog) sellable(i models.Item, nowMS int64) bool {
	if !c.valid(i) {
		return false
	}
	m := c.marks[i.Row()]
	if m&(itemRemoved|itemSoldOut) != 0 || c.forgot && !c.rows[i.Row()].fromCatalogue {
		return false
	}
	if m&itemScheduled != 0 {
		r := &c.rows[i.Row()]
		return (r.from == 0 || nowMS >= r.from) && (r.until == 0 || nowMS < r.until)
	}
	return true
}

func (c *Catalog) id(i models.Item) string { return c.rows[i.Row()].id }

// ensure returns the item, given a row if it had none.
func (c *Catalog) ensure(hash uint64, id string) models.Item {
	if i := c.find(hash); i != models.NoItem {
		return i
	}
	if !c.room() {
		c.evict()
	}
	if c.unsorted {
		slices.SortFunc(c.free, func(a, b uint32) int { return compare(b, a) })
		c.unsorted = false
	}
	var n uint32
	if k := len(c.free); k > 0 {
		n = c.free[k-1]
		c.free = c.free[:k-1]
		c.table.Touch(n)
		c.gens[n]++
	} else {
		n = uint32(len(c.hashes))
		c.table.Touch(n)
		c.extend(n)
	}
	c.hashes[n] = hash
	c.rows[n] = item{id: strings.Clone(id)}
	c.enter(n)
	return models.MakeItem(n, c.gens[n])
}

// room says whether ensure empties no row.
func (c *Catalog) room() bool { return len(c.free) > 0 || len(c.hashes) < c.limit }

func (c *Catalog) extend(row uint32) {
	for len(c.hashes) <= int(row) {
		c.hashes = append(c.hashes, 0)
		c.gens = append(c.gens, 0)
		c.marks = append(c.marks, 0)
		c.days = append(c.days, 0)
		c.rows = append(c.rows, item{})
	}
}

// enter puts a row into the index.
func (c *Catalog) enter(row uint32) {
	c.count++
	if 2*c.count > len(c.slots) {
		c.reindex(2 * len(c.slots))
		return
	}
	mask := uint64(len(c.slots) - 1)
	s := c.hashes[row] & mask
	for c.slots[s] != 0 {
		s = (s + 1) & mask
	}
	c.slots[s] = row + 1
}

func (c *Catalog) reindex(size int) {
	c.slots = make([]uint32, size)
	mask := uint64(size - 1)
	for n, h := range c.hashes {
		if h == 0 {
			continue
		}
		s := h & mask
		for c.slots[s] != 0 {
			s = (s + 1) & mask
		}
		c.slots[s] = uint32(n) + 1
	}
}

// evict empties a sixteenth of the rows.
func (c *Catalog) evict() {
	rows := make([]uint32, 0, len(c.hashes))
	for n, h := range c.hashes {
		if h != 0 {
			rows = append(rows, uint32(n))
		}
	}
	worth := func(n uint32) int32 {
		if c.rows[n].fromCatalogue && c.marks[n]&itemRemoved == 0 {
			return 1
		}
		return 0
	}
	slices.SortFunc(rows, func(a, b uint32) int {
		if d := worth(a) - worth(b); d != 0 {
			return int(d)
		}
		if d := compare(c.days[a], c.days[b]); d != 0 {
			return d
		}
		return compare(c.hashes[a], c.hashes[b])
	})
	for _, n := range rows[:max(1, len(rows)/16)] {
		if c.rows[n].fromCatalogue && !c.forgot {
			if c.forgetting != nil {
				c.forgetting()
			}
			c.forgot = true
		}
		c.table.Touch(n)
		c.hashes[n], c.marks[n], c.days[n], c.rows[n] = 0, 0, 0, item{}
		c.count--
		c.evictions++
		c.free = append(c.free, n)
		if c.evicted != nil {
			c.evicted(n)
		}
	}
	c.unsorted = true
	c.reindex(len(c.slots))
}

// met notes the day of an event of the item.
func (c *Catalog) met(i models.Item, atMS int64) {
	const dayMS = 24 * 3600 * 1000
	if d := int32(atMS / dayMS); d > c.days[i.Row()] {
		c.table.Touch(i.Row())
		c.days[i.Row()] = d
	}
}

// upsert takes in a catalogue record: all that is known of the item is what it says. A record with a fault is none: the
// item stays as it was.
func (c *Catalog) upsert(e *streams.Event) {
	x := &c.record
	if e.CatalogItem(x) != nil || x.ID == "" {
		return
	}
	i := c.ensure(hashItem(x.ID), x.ID)
	n := i.Row()
	c.table.Touch(n)
	r := item{id: c.rows[n].id, categories: clipCategories(x.Categories), price: x.Price, stock: x.Stock, from: x.AvailableFromMS,
		until: x.AvailableUntilMS, fromCatalogue: true, bornMS: c.rows[n].bornMS, brand: strings.Clone(clipText(x.Brand, maxBrandBytes)), terms: termsOf(x)}
	if r.bornMS == 0 {
		r.bornMS = e.TimeMS
	}
	r.leaf = leafOf(r.categories)
	var m itemMarks
	if x.HasMargin {
		r.cost = max(0, x.Price-x.Margin)
		m |= itemCosted
	}
	if x.HasStock {
		m |= itemCounted
		if x.Stock == 0 {
			m |= itemSoldOut
		}
	}
	if r.from != 0 || r.until != 0 {
		m |= itemScheduled
	}
	c.rows[n], c.marks[n] = r, m
	c.met(i, e.TimeMS)
	if c.described != nil {
		c.described(i, &c.rows[n])
	}
}

// remove takes in that the catalogue has the item no longer.
func (c *Catalog) remove(e *streams.Event) {
	if i := c.find(hashItem(e.Item())); i != models.NoItem {
		c.table.Touch(i.Row())
		c.marks[i.Row()] |= itemRemoved
	}
}

// leafOf is a hash of the first of some categories, 0 for none.
func leafOf(categories string) uint32 {
	if categories == "" {
		return 0
	}
	first, _, _ := strings.Cut(categories, "\n")
	return uint32(xxhash.Sum64String(first)) | 1
}

const maxCategories = 512 // bytes kept of an item's categories

func clipCategories(list []string) string {
	n := 0
	for k, x := range list {
		if n += len(x) + 1; n > maxCategories {
			list = list[:k]
			break
		}
	}
	return strings.Join(list, "\n")
}

// row appends key and value of a row. An emptied row keeps its generation.
func (c *Catalog) row(n uint32, key, value []byte) (k, v []byte) {
	key = binary.BigEndian.AppendUint32(key, n)
	if int(n) >= len(c.hashes) { // written as it was before it was first given out
		return key, nil
	}
	w := writer{b: append(value, c.gens[n])}
	if c.hashes[n] == 0 {
		return key, w.b
	}
	r := &c.rows[n]
	w.b = append(w.b, byte(c.marks[n]), byte(bit(r.fromCatalogue)))
	w.text(r.id)
	w.text(r.categories)
	w.uint(uint64(r.price))
	w.uint(uint64(r.cost))
	w.int(r.stock)
	w.int(r.from)
	w.int(r.until)
	w.int(int64(c.days[n]))
	if r.bornMS != 0 {
		w.int(r.bornMS)
		w.text(r.brand)
		w.uint(uint64(len(r.terms)))
		for _, t := range r.terms {
			w.fixed32(t)
		}
	}
	return key, w.b
}

func (c *Catalog) load(key, value []byte) error {
	if len(key) != 4 || len(value) == 0 {
		return fmt.Errorf("operators: item row %x: key or value is too short", key)
	}
	n := binary.BigEndian.Uint32(key)
	if n >= models.MaxItems {
		return fmt.Errorf("operators: item row %d: at most %d rows can be", n, models.MaxItems)
	}
	for at := uint32(len(c.hashes)); at < n; at++ { // rows that were never written are free
		c.free = append(c.free, at)
	}
	c.extend(n)
	r := reader{b: value}
	c.gens[n] = r.byte()
	if len(value) == 1 {
		c.free = append(c.free, n)
	} else {
		c.marks[n] = itemMarks(r.byte())
		x := item{fromCatalogue: r.byte() == 1, id: r.text(), categories: r.text(), price: int64(r.uint()), cost: int64(r.uint()),
			stock: r.int(), from: r.int(), until: r.int()}
		c.days[n] = int32(r.int())
		if r.err == nil && len(r.b) > 0 {
			x.bornMS, x.brand = r.int(), r.text()
			x.terms = make([]uint32, r.limited(maxTerms))
			for k := range x.terms {
				if x.terms[k] = r.fixed32(); k > 0 && x.terms[k] <= x.terms[k-1] {
					r.failf("the terms are out of order")
				}
			}
		}
		x.leaf = leafOf(x.categories)
		if r.err == nil && len(r.b) > 0 {
			r.failf("%d bytes too many", len(r.b))
		}
		if r.err != nil {
			return fmt.Errorf("operators: item row %d: %w", n, r.err)
		}
		c.rows[n], c.hashes[n] = x, hashItem(x.id)
		c.enter(n)
		if c.described != nil {
			c.described(models.MakeItem(n, c.gens[n]), &c.rows[n])
		}
	}
	c.unsorted = true
	return nil
}
