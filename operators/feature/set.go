package feature

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"nudge/models"
	"nudge/streams"
)

// Set is the compiled features of one entity. It is not changed after New and may be used by several goroutines.
type Set struct {
	features []feature
	sources  []*source
	tiers    []tier
	on       [streams.NumTypes]plan
	closings []closing
	zone     *time.Location
	layout   Layout
	counted  []int64 // events of each source, while somebody counts
	declared int     // number of sources that features are taken of; those after them only say what an order had
	orders   []int   // sources that an order taken back leaves again, then, if there are any, those of its value and pieces
	held     []heldColumn
	shared   bool // rows are everybody's and remember no orders
	own      plan // of an order in a row that remembers it
	value    int  // of orders: the order's value
	pieces   int  // of orders: its pieces
}

// feature is one feature of a Set.
type feature struct {
	name   string
	base   string // the name in the definition; it may have made several
	agg    aggregate
	tier   int
	cols   []int  // of the tier's cells or, for a sketch, of its sketches
	sketch sketch // how it reads its column, which features of another k or q share
	span   span
	def    *Definition
	kind   Kind
	raw    Kind // before its transforms
	unitMS float64
	key    string

	moments *models.Moments // of a step that standardises; nil: none
}

type aggregate uint8

const (
	aggCount aggregate = iota
	aggSum
	aggMean
	aggMin
	aggMax
	aggSince
	aggRate
	aggRatio
	aggFrequency
	aggGap
	aggDwell
	aggTrend
	aggSketch // what its column says
)

// span is the part of a tier's tiles that a feature is about.
type span struct {
	kind   spanKind
	sizeMS int64
	label  string // how it is written
}

type spanKind uint8

const (
	lifetime spanKind = iota
	sliding
	tumbling
	session
	calendar
)

// clock is how a tier cuts time into tiles.
type clock uint8

const (
	clockLife clock = iota
	clockTile
	clockSession
	clockDay
	clockWeek
)

// tier is one ring of tiles, and what is held in each.
type tier struct {
	clock    clock
	resMS    int64 // length of a tile; the gap of a session
	keepMS   int64 // for how long after its end a tile is still part of some window
	cells    []column
	sketches []column
	closings []int // of those that close on it
	closes   bool  // one of them with the tile itself
	fresh    []int64
}

// column is one partial aggregate of a tile.
type column struct {
	op     op
	source int
	sketch sketch // of a sketch
	key    string
	held   int // of Set.held the number + 1; 0: what an order counts for in it can be subtracted, or no order counts
}

type op uint8

const (
	opCount op = iota
	opSum
	opMin
	opMax
	opFirstMS
	opLastMS
	opSketch
)

// plan is what an event of one type sets off.
type plan struct {
	sources []int
	tiers   []update
}

type update struct {
	tier     int
	cells    []cellOp
	sketches []sketchOp
	held     []int // sources of what lies with an order
}

type cellOp struct {
	col    int
	op     op
	source int
}

type sketchOp struct{ col, source int }

// tiles are the resolutions of sliding windows.
var tiles = []int64{10_000, 60_000, 300_000, 3_600_000, 86_400_000}

// tileOf is the largest tile of which the window has at least 24, or the smallest that divides it.
func tileOf(windowMS int64) int64 {
	best := tiles[0]
	for _, t := range tiles {
		if windowMS >= 24*t && windowMS%t == 0 {
			best = t
		}
	}
	return best
}

// Output declares that the windows of some features are put out when they close.
type Output struct {
	Name     string
	Features []string // names as defined, or as made of them
}

// New compiles the definitions of one entity, whose rows remember their orders. An error is a *Fault, its Key the feature's name and what of it is at
// fault.
func New(defs map[string]Definition, outputs []Output, zone *time.Location) (*Set, error) {
	return compile(&compiler{set: &Set{zone: zone}, sources: map[string]int{}}, defs, outputs)
}

// NewShared is New for an entity whose rows are everybody's: they remember no orders, and are told what to take back (TakeBackOf).
func NewShared(defs map[string]Definition, outputs []Output, zone *time.Location) (*Set, error) {
	return compile(&compiler{set: &Set{zone: zone, shared: true}, sources: map[string]int{}}, defs, outputs)
}

func compile(c *compiler, defs map[string]Definition, outputs []Output) (*Set, error) {
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		def := defs[name]
		if err := c.add(name, &def); err != nil {
			if err.Key != "" {
				err.Key = "." + err.Key
			}
			err.Key = name + err.Key
			return nil, err
		}
	}
	for i, o := range outputs {
		if err := c.output(i, o); err != nil {
			return nil, err
		}
	}
	c.finish()
	return c.set, nil
}

type compiler struct {
	set     *Set
	sources map[string]int
}

// add compiles one definition into a feature for each of its windows.
func (c *compiler) add(name string, d *Definition) *Fault {
	spans, fault := spansOf(d)
	if fault != nil {
		return fault
	}
	for i, sp := range spans {
		if slices.ContainsFunc(spans[:i], func(x tiling) bool { return x.label == sp.label }) {
			return &Fault{Key: "window", Found: "two windows of " + sp.label, Allowed: "declare a feature for each"}
		}
		f := feature{name: name, base: name, span: sp.span, def: d, kind: Number, unitMS: unitMS(d.Unit)}
		if len(spans) > 1 {
			f.name = name + "_" + sp.label
		}
		if slices.ContainsFunc(c.set.features, func(g feature) bool { return g.name == f.name }) {
			return &Fault{Key: "window", Found: "a feature " + f.name + " is there already", Allowed: "rename one of them"}
		}
		f.tier = c.tier(sp.clock, sp.resMS, sp.keepMS)
		if fault := c.aggregate(&f, d); fault != nil {
			return fault
		}
		f.key = fmt.Sprintf("%d %v %d %v", f.agg, f.span, f.tier, f.cols)
		if fault := checkTransforms(d, f.kind); fault != nil {
			return fault
		}
		f.raw = f.kind
		if len(d.Transform) > 0 {
			f.kind = Number
		}
		c.set.features = append(c.set.features, f)
	}
	return nil
}

// tiling is a span with the tier that serves it.
type tiling struct {
	span
	clock         clock
	resMS, keepMS int64
}

func spansOf(d *Definition) (out []tiling, fault *Fault) {
	w := &d.Window
	for _, x := range w.Sliding {
		ms := x.MS()
		res := tileOf(ms)
		if w.By > 0 {
			res = w.By.MS()
			if ms%res != 0 || ms/res > 10_000 {
				return nil, &Fault{Key: "window.by", Found: w.By.String(), Allowed: "want a part of " + x.String() + " that divides it, at least a ten thousandth"}
			}
		} else if ms%res != 0 {
			return nil, &Fault{Key: "window", Found: x.String(), Allowed: "want a multiple of 10 s, or by: with what the window's edge moves by"}
		}
		keep := ms
		if len(d.Trend) > 0 {
			keep *= 2
		}
		out = append(out, tiling{span{sliding, ms, x.String()}, clockTile, res, keep})
	}
	if w.By > 0 && len(w.Sliding) == 0 {
		return nil, &Fault{Key: "window.by", Found: w.By.String(), Allowed: "it goes with sliding; remove it"}
	}
	for _, x := range w.Tumbling {
		keep := int64(0)
		if len(d.Trend) > 0 {
			keep = x.MS()
		}
		out = append(out, tiling{span{tumbling, x.MS(), x.String()}, clockTile, x.MS(), keep})
	}
	for _, x := range w.Session {
		out = append(out, tiling{span{session, x.MS(), x.String()}, clockSession, x.MS(), 0})
	}
	for _, x := range w.Calendar {
		clock := clockDay
		if x == "week" {
			clock = clockWeek
		}
		keep := int64(0)
		if len(d.Trend) > 0 {
			keep = 8 * 24 * 3600_000
		}
		out = append(out, tiling{span{calendar, 0, x}, clock, 0, keep})
	}
	if len(out) == 0 {
		out = append(out, tiling{span{lifetime, 0, "lifetime"}, clockLife, 0, 0})
	}
	return out, nil
}

// tier returns the tier of that clock, made if need be, keeping its tiles for at least as long.
func (c *compiler) tier(clock clock, resMS, keepMS int64) int {
	for i := range c.set.tiers {
		if t := &c.set.tiers[i]; t.clock == clock && t.resMS == resMS {
			t.keepMS = max(t.keepMS, keepMS)
			return i
		}
	}
	c.set.tiers = append(c.set.tiers, tier{clock: clock, resMS: resMS, keepMS: keepMS})
	return len(c.set.tiers) - 1
}

func (c *compiler) source(s *source) int {
	if i, ok := c.sources[s.key]; ok {
		return i
	}
	c.sources[s.key] = len(c.set.sources)
	c.set.sources = append(c.set.sources, s)
	return len(c.set.sources) - 1
}

// cell returns the number of a cell column of a tier, made if need be.
func (c *compiler) cell(t int, o op, source int) int {
	key := strconv.Itoa(int(o)) + " " + c.set.sources[source].key
	cells := &c.set.tiers[t].cells
	if i := slices.IndexFunc(*cells, func(x column) bool { return x.key == key }); i >= 0 {
		return i
	}
	*cells = append(*cells, column{op: o, source: source, key: key})
	return len(*cells) - 1
}

func (c *compiler) sketch(t int, k sketch, source int) int {
	key := k.key() + " " + c.set.sources[source].key
	list := &c.set.tiers[t].sketches
	if i := slices.IndexFunc(*list, func(x column) bool { return x.key == key }); i >= 0 {
		return i
	}
	*list = append(*list, column{op: opSketch, source: source, sketch: k, key: key})
	return len(*list) - 1
}

// output declares closings: one for each window of the features that it names.
func (c *compiler) output(number int, o Output) *Fault {
	var of []int
	for _, name := range o.Features {
		one, found := c.set.Find(name)
		for i := range c.set.features {
			if i == one || c.set.features[i].base == name {
				found = true
				of = append(of, i)
			}
		}
		if !found {
			return &Fault{Key: o.Name, Found: strconv.Quote(name), Allowed: "want a declared feature", Near: c.names(), Word: name}
		}
	}
	for _, i := range of {
		f := &c.set.features[i]
		t := &c.set.tiers[f.tier]
		if f.span.kind == lifetime {
			return &Fault{Key: o.Name, Found: strconv.Quote(f.name) + " has no window", Allowed: "want features whose windows close: tumbling, sliding by, session or calendar"}
		}
		k := slices.IndexFunc(c.set.closings, func(x closing) bool { return x.output == number && x.tier == f.tier && x.span == f.span })
		if k < 0 {
			k = len(c.set.closings)
			c.set.closings = append(c.set.closings, closing{output: number, name: o.Name, tier: f.tier, span: f.span})
			t.closings = append(t.closings, k)
		}
		c.set.closings[k].features = append(c.set.closings[k].features, i)
		t.closes = t.closes || f.span.kind == tumbling || f.span.kind == calendar
	}
	return nil
}

func (c *compiler) names() (names []string) {
	for i := range c.set.features {
		names = append(names, c.set.features[i].base)
	}
	return slices.Compact(names)
}

// finish makes the plans of event types, and what is derived from the tiers.
func (c *compiler) finish() {
	s := c.set
	for i := range s.tiers {
		t := &s.tiers[i]
		t.fresh = make([]int64, len(t.cells))
		for j := range t.cells {
			t.fresh[j] = freshOf(t.cells[j].op)
		}
	}
	for i := range s.closings {
		s.closings[i].prepare(s)
	}
	c.orders()
	for typ := streams.PageViewed; typ < streams.NumTypes; typ++ {
		p := &s.on[typ]
		has := make([]bool, len(s.sources))
		for i, x := range s.sources {
			has[i] = x.any && typ != streams.DecisionRequested || typ != streams.Custom && x.builtin&(1<<typ) != 0 || typ == streams.Custom && len(x.custom) > 0
			if has[i] {
				p.sources = append(p.sources, i)
			}
		}
		for i := range s.tiers {
			u := update{tier: i}
			for j, col := range s.tiers[i].cells {
				if has[col.source] {
					u.cells = append(u.cells, cellOp{j, col.op, col.source})
				}
			}
			for j, col := range s.tiers[i].sketches {
				if has[col.source] {
					u.sketches = append(u.sketches, sketchOp{j, col.source})
				}
			}
			if len(u.cells)+len(u.sketches) > 0 {
				p.tiers = append(p.tiers, u)
			}
		}
	}
	s.own = s.holding(&s.on[streams.OrderCompleted])
	s.layout = s.layoutOf()
}

func unitMS(unit string) float64 {
	return map[string]float64{"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]
}

// Len is the number of features.
func (s *Set) Len() int { return len(s.features) }

// Name is the name of feature i, as conditions and decisions have it.
func (s *Set) Name(i int) string { return s.features[i].name }

// Base is the name that feature i is defined by; a definition with several windows makes several features.
func (s *Set) Base(i int) string { return s.features[i].base }

// KindOf is the kind of value that feature i has.
func (s *Set) KindOf(i int) Kind { return s.features[i].kind }

// Find is the number of the feature of that name. Of several windows one may be named as it was written: views_24h is views_1d.
func (s *Set) Find(name string) (i int, ok bool) {
	if i = slices.IndexFunc(s.features, func(f feature) bool { return f.name == name }); i >= 0 {
		return i, true
	}
	at := strings.LastIndexByte(name, '_')
	var span Duration
	if at < 0 || span.UnmarshalText([]byte(name[at+1:])) != nil {
		return -1, false
	}
	i = slices.IndexFunc(s.features, func(f feature) bool { return f.base == name[:at] && f.name != f.base && f.span.label == span.String() })
	return i, i >= 0
}
