package simulate

import (
	"math"
	"strconv"
)

const (
	dims     = 6 // of a style
	dayMS    = 24 * 60 * 60 * 1000
	hourMS   = 60 * 60 * 1000
	minuteMS = 60 * 1000

	maxShoppers = 4 << 20
	maxItems    = 1 << 20
)

// item is one slot of the catalogue. A discontinued item's slot is used again under another number.
type item struct {
	no         uint32
	cat, sub   uint8
	kind       uint8 // which noun of the sub-category
	adjective  uint8
	brand      uint8
	tag        uint8
	zh         bool
	restocking bool
	style      [dims]float32
	quality    float32 // what its buyers find out: N(0,1)
	price      float32 // ln of the price over the category's median
	cents      int64
	cost       int64
	stock      int32
	lot        int32 // how many are bought in at a time
	filledMS   int64 // when it was last bought in
	fromMS     int64 // when it came into the shop
	updates    uint32
}

func (it *item) appendID(b []byte) []byte { return appendSKU(b, it.no) }

// appendSKU writes "SKU-" and at least five digits.
func appendSKU(b []byte, no uint32) []byte {
	b = append(b, "SKU-"...)
	for limit := uint32(10000); limit > no && limit > 1; limit /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, uint64(no), 10)
}

// itemNamed is the inverse of appendID: the slot of the item, or false if there is none of that id (any more).
func (w *World) itemNamed(id string) (uint32, bool) {
	if len(id) < 5 || id[:4] != "SKU-" {
		return 0, false
	}
	no, err := strconv.ParseUint(id[4:], 10, 32)
	if err != nil || no == 0 {
		return 0, false
	}
	slot := uint32(no-1) % uint32(len(w.items))
	return slot, w.items[slot].no == uint32(no)
}

// stockShelf gives slot i a new item. Numbers are slot + 1 + a multiple of the catalogue's size, so that an id finds its slot.
func (w *World) stockShelf(i uint32, no uint32) {
	r := w.rand
	it := &w.items[i]
	*it = item{
		no: no, cat: uint8(int(i) % len(categories)), sub: uint8(r.IntN(3)), kind: uint8(r.IntN(2)),
		adjective: uint8(r.IntN(len(adjectives))), brand: uint8(r.IntN(len(brands))), tag: uint8(r.IntN(len(tags))),
		zh: r.Float64() < w.shop.ChineseShare, fromMS: w.now,
	}
	hidden := w.shop.Nature.Hidden
	for d := range it.style {
		// Items of a sub-category and brand are alike, but no two are the same.
		it.style[d] = float32(0.5*(1-hidden)*w.subStyle[it.cat][it.sub][d] + 0.3*(1-hidden)*w.brandStyle[it.brand][d] + (0.6+0.24*hidden)*r.NormFloat64())
	}
	it.quality = float32(min(w.shop.Nature.Taste, 1) * r.NormFloat64())
	it.price = float32(0.55*r.NormFloat64() + 0.15*float64(it.quality))
	it.setCents(categories[it.cat].cents * math.Exp(float64(it.price)))
	margin := 0.15 + 0.45*r.Float64()
	it.cost = int64(float64(it.cents) * (1 - margin))
	it.lot = int32(3 + 15*r.ExpFloat64())
	it.stock = it.lot
	it.filledMS = w.now
}

// setCents sets the price, rounded as shops do.
func (it *item) setCents(cents float64) {
	switch {
	case cents < 1000:
		it.cents = max(int64(cents/10)*10+9, 99)
	case cents < 10000:
		it.cents = int64(cents/100)*100 + 99
	default:
		it.cents = int64(cents/500)*500 + 499
	}
	it.price = float32(math.Log(float64(it.cents) / categories[it.cat].cents))
}

// popular draws an item of a category as the shop's own lists show them: by Zipf's law over its ranks.
func (w *World) popular(cat int) uint32 {
	shelf := w.shelves[cat]
	rank := int(math.Exp(w.rand.Float64()*w.lnShelf[cat])) - 1
	return shelf[min(rank, len(shelf)-1)]
}

// stirShelf is one thing that happens to the catalogue: a price changes, an item is discontinued and another arrives,
// or an item becomes the talk of the town. It plans the next one.
func (w *World) stirShelf() {
	r := w.rand
	i := uint32(r.IntN(len(w.items)))
	it := &w.items[i]
	switch u := r.Float64(); {
	case u < 0.25:
		up := 0.12 * r.NormFloat64()
		it.setCents(math.Max(float64(it.cents)*math.Exp(up), float64(it.cost)*1.02))
		w.writeItem(it)
	case u < 0.4:
		// The least wanted item of a category goes, another comes and is shown at the front for a while.
		shelf := w.shelves[it.cat]
		last := len(shelf) - 1 - r.IntN(max(len(shelf)/4, 1))
		old := shelf[last]
		w.writeItemRemoved(&w.items[old])
		w.stockShelf(old, w.items[old].no+uint32(len(w.items)))
		w.rerank(it.cat, last, r.IntN(len(shelf)))
		w.writeItem(&w.items[old])
	default:
		shelf := w.shelves[it.cat]
		from := r.IntN(len(shelf))
		to := int(float64(from) * r.Float64())
		if r.Float64() < 0.5 {
			from, to = to, from
		}
		w.rerank(it.cat, from, to)
	}
	perDay := (0.03*float64(len(w.items)) + 2) * max(w.shop.Nature.Arrivals, 1e-3)
	w.plan(w.now+1+int64(r.ExpFloat64()/perDay*dayMS), doShelf, 0, 0)
}

// rerank moves the item at rank from of a category to rank to.
func (w *World) rerank(cat uint8, from, to int) {
	shelf := w.shelves[cat]
	moved := shelf[from]
	if from < to {
		copy(shelf[from:to], shelf[from+1:to+1])
	} else {
		copy(shelf[to+1:from+1], shelf[to:from])
	}
	shelf[to] = moved
}

// take takes n pieces out of stock, and orders more when the last is gone: the faster it sold, the more and the sooner.
func (w *World) take(i uint32, n int32) {
	it := &w.items[i]
	it.stock -= min(n, it.stock)
	if it.stock > 0 || it.restocking {
		return
	}
	it.restocking = true
	lasted := w.now - it.filledMS
	if lasted < 2*dayMS && it.lot < 1<<20 {
		it.lot *= 2
	}
	days := 0.5 + 4*float64(scramble(uint64(it.no)<<16|uint64(it.updates&0xffff)))/mask48
	lead := min(int64(days*dayMS), 2*lasted+minuteMS)
	w.plan(w.now+lead, doRestock, i, it.no)
	w.writeItem(it)
}

// restock brings an item back.
func (w *World) restock(i, no uint32) {
	it := &w.items[i]
	if it.no != no {
		return
	}
	it.restocking = false
	it.stock = it.lot
	it.filledMS = w.now
	w.writeItem(it)
}

// season returns how much the categories are wanted today, in units of utility.
func (w *World) season() *[len(categories)]float32 {
	if day := w.now / dayMS; day != w.seasonDay {
		w.seasonDay = day
		ofYear := math.Mod(float64(day), 365.25)
		for c := range categories {
			w.seasons[c] = float32(w.shop.Nature.Seasons * categories[c].swing * math.Cos(2*math.Pi*(ofYear-categories[c].season)/365.25))
		}
	}
	return &w.seasons
}
