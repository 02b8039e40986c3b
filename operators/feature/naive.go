package feature

import (
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"nudge/models"
	"nudge/streams"
)

// Past is an event as it was observed of one entity, kept whole: what an audit computes features of anew.
type Past struct {
	Event               *streams.Event
	Line                int // as in Observation
	TimeMS, WatermarkMS int64
	Categories          []string   // of its lines, as the catalogue had them then
	Order               *PastOrder // of an order what became of it; nil: nothing can
}

// PastOrder is what became of an order.
type PastOrder struct {
	Gone   bool // it was taken back
	Part   bool // a part of it was
	Unsure bool // it was sent back, and whether it was taken back depends on what is remembered
}

// Keep copies an event with what the catalogue says of it now.
func Keep(o *Observation) *Past {
	e := *o.Event
	e.Lines = slices.Clone(e.Lines)
	p := &Past{Event: &e, Line: o.Line, TimeMS: o.TimeMS, WatermarkMS: o.WatermarkMS}
	for i := range e.Lines {
		p.Categories = append(p.Categories, o.Items.Category(e.Lines[i].ID))
	}
	return p
}

// Of is the same event of the entity that one of its lines is about.
func (p *Past) Of(line int) *Past {
	x := *p
	x.Line = line
	return &x
}

// Category implements Items.
func (p *Past) Category(item string) string {
	for i := range p.Event.Lines {
		if p.Event.Lines[i].ID == item {
			return p.Categories[i]
		}
	}
	return ""
}

// History is the events of one entity by time, those of the same time as they came.
type History struct{ past []*Past }

// Add takes in an event.
func (h *History) Add(p *Past) {
	at := len(h.past)
	for at > 0 && h.past[at-1].TimeMS > p.TimeMS {
		at--
	}
	h.past = slices.Insert(h.past, at, p)
}

// Join takes in those of another.
func (h *History) Join(o *History) {
	for _, p := range o.past {
		h.Add(p)
	}
}

// within are the events of [from, to).
func (h *History) within(from, to int64) []*Past {
	at := func(ms int64) int {
		return sort.Search(len(h.past), func(k int) bool { return h.past[k].TimeMS >= ms })
	}
	i := at(from)
	return h.past[i:max(i, at(to))]
}

// Expected is what a feature must be, within an error: 0 for those that are exact; for sketches a share of the value, and as much beside it.
type Expected struct {
	Value Value
	Error float64
	Slack float64
}

// Why a feature can't be computed from the raw events.
const (
	PassedLate     = "an event or the decision came so late that a window may have been gone"
	PassedReturned = "a part of an order was sent back, or one that may be remembered no more"
	PassedSampled  = "topk of more values than it lists exactly"
	PassedStandard = "standardised by what all customers' values were"
)

// sampled is one value of a source.
type sampled struct {
	atMS   int64
	number int64
	text   string
}

// Naive computes feature i from the raw events, without tiles, columns and sketches, as of a time and the watermark up to which the entity's tiles may
// be gone. Where it can't be, passed says why.
func (s *Set) Naive(i int, h *History, nowMS, watermarkMS int64) (x Expected, passed string) {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	if f.standardises() >= 0 {
		return x, PassedStandard
	}
	from, to, before := int64(0), int64(0), int64(0)
	if f.span.kind == session {
		if from, to, passed = s.naiveSession(t, h, nowMS, watermarkMS); passed != "" {
			return x, passed
		}
		before = from
	} else {
		from, to = s.covered(f, nowMS)
		before = from
		if f.agg == aggTrend {
			last := s.index(t, nowMS)
			n := int64(1)
			if f.span.kind == sliding {
				n = f.span.sizeMS / t.resMS
			}
			before = s.startOf(t, last-2*n+1)
		}
		if s.mayBeGone(t, before, watermarkMS) {
			return x, PassedLate
		}
	}
	for _, p := range h.within(before, to) {
		switch {
		case !s.mayCount(f, t, p):
		case f.span.kind != session && s.mayBeGone(t, p.TimeMS, p.WatermarkMS):
			return x, PassedLate
		case !s.knows(f, t, p.Order):
			return x, PassedReturned
		}
	}
	return s.naive(f, t, h, from, to, before, nowMS)
}

// knows says whether it can be told what is left of an order in a feature.
func (s *Set) knows(f *feature, t *tier, o *PastOrder) bool {
	if o == nil || *o == (PastOrder{}) {
		return true
	}
	switch all, some := s.subtracts(f, t); {
	case s.shared && !some:
		return true // it stays
	case s.shared && !all:
		return false
	}
	return !o.Unsure && (o.Gone || !o.Part)
}

// left are the events of [from, to) that a feature still counts.
func (s *Set) left(f *feature, t *tier, h *History, from, to int64) (out []*Past) {
	_, some := s.subtracts(f, t)
	for _, p := range h.within(from, to) {
		if p.Order == nil || !p.Order.Gone || s.shared && !some {
			out = append(out, p)
		}
	}
	return out
}

// mayBeGone says whether the tile of a time may be kept no more.
func (s *Set) mayBeGone(t *tier, ms, watermarkMS int64) bool {
	return t.clock != clockLife && watermarkMS != math.MinInt64 && s.endOf(t, s.index(t, ms))+t.keepMS <= watermarkMS
}

// columnsOf are those that the feature's numbers are of.
func (f *feature) columnsOf(t *tier) []column {
	if f.agg == aggSketch {
		return t.sketches
	}
	return t.cells
}

// mayCount says whether an event may count for a feature.
func (s *Set) mayCount(f *feature, t *tier, p *Past) bool {
	return slices.ContainsFunc(f.cols, func(col int) bool { return s.sources[f.columnsOf(t)[col].source].matches(p.Event) })
}

// Categorised says whether feature i asks for categories of items.
func (s *Set) Categorised(i int) bool {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	return slices.ContainsFunc(f.cols, func(col int) bool {
		x := s.sources[f.columnsOf(t)[col].source]
		is := func(y *field) bool { return y != nil && y.name == "category" }
		return is(x.field) || slices.ContainsFunc(x.filter, func(t term) bool { return is(t.field) })
	})
}

// covered says which times the feature is about, by the tile rule.
func (s *Set) covered(f *feature, nowMS int64) (from, to int64) {
	t := &s.tiers[f.tier]
	last := s.index(t, nowMS)
	switch f.span.kind {
	case lifetime:
		return math.MinInt64, math.MaxInt64
	case sliding:
		return s.startOf(t, last-f.span.sizeMS/t.resMS+1), s.endOf(t, last)
	}
	return s.startOf(t, last), s.endOf(t, last)
}

// naiveSession finds the session that goes on at a time by the gaps between events.
func (s *Set) naiveSession(t *tier, h *History, nowMS, watermarkMS int64) (from, to int64, passed string) {
	var of []*Past
	for _, p := range h.past {
		if s.touches(t, p) {
			of = append(of, p)
		}
	}
	for a := 0; a < len(of); {
		b, late := a, false
		for ; b == a || b < len(of) && of[b].TimeMS-of[b-1].TimeMS <= t.resMS; b++ {
			late = late || of[b].WatermarkMS != math.MinInt64 && of[b].TimeMS+t.resMS < of[b].WatermarkMS
		}
		if first, last := of[a].TimeMS, of[b-1].TimeMS; first-t.resMS <= nowMS && nowMS <= last+t.resMS {
			from, to, passed = first, last+1, "" // the latest that does
			if late || watermarkMS != math.MinInt64 && last+t.resMS < watermarkMS {
				passed = PassedLate
			}
		}
		a = b
	}
	return from, to, passed
}

// touches says whether an event counts for any column of the tier: it then belongs to a session of it.
func (s *Set) touches(t *tier, p *Past) bool {
	for _, columns := range [][]column{t.cells, t.sketches} {
		for _, col := range columns {
			x := s.sources[col.source]
			switch {
			case !x.matches(p.Event):
			case x.field == nil && x.filter == nil, len(s.samples(col.source, []*Past{p}, false)) > 0:
				return true
			}
		}
	}
	return false
}

// samples lists what events have of a source, by time; with texts as texts, too.
func (s *Set) samples(source int, past []*Past, texts bool) (out []sampled) {
	x, o := s.sources[source], &Observation{}
	take := func(n int64, l *streams.Line) {
		v := sampled{atMS: o.TimeMS, number: n}
		if texts && x.field != nil {
			v.text = textOf(x.field, x.prop, o, l)
		}
		out = append(out, v)
	}
	for _, p := range past {
		if x.matches(p.Event) {
			o.Event, o.Line, o.TimeMS, o.Items = p.Event, p.Line, p.TimeMS, p
			x.each(o, take)
		}
	}
	return out
}

func (s *Set) naive(f *feature, t *tier, h *History, from, to, before, nowMS int64) (x Expected, passed string) {
	columns, past := f.columnsOf(t), s.left(f, t, h, from, to)
	of := func(i int) []sampled { return s.samples(columns[f.cols[i]].source, past, f.agg == aggSketch) }
	v := of(0)
	sum := int64(0)
	for _, y := range v {
		sum = add(sum, y.number)
	}
	n := float64(len(v))
	number := math.NaN()
	switch f.agg {
	case aggCount:
		number = n
	case aggSum:
		number = micros(sum)
	case aggDwell:
		number = micros(sum) / 1000
	case aggMean:
		if n > 0 {
			number = micros(sum) / n
		}
	case aggMin, aggMax:
		for k, y := range v {
			if m := micros(y.number); k == 0 || f.agg == aggMin && m < number || f.agg == aggMax && m > number {
				number = m
			}
		}
	case aggSince:
		if n > 0 {
			number = float64(max(0, nowMS-v[len(v)-1].atMS)) / f.unitMS
		}
	case aggRate:
		number = n * float64(f.def.Per.MS()) / float64(f.span.sizeMS)
	case aggRatio:
		up, down := n, float64(len(of(1)))
		if len(f.def.Prior) == 2 {
			up, down = up+f.def.Prior[0], down+f.def.Prior[1]
		}
		if down > 0 {
			number = up / down
		}
	case aggFrequency:
		if n > 0 && nowMS > v[0].atMS {
			number = n * f.unitMS / float64(nowMS-v[0].atMS)
		}
	case aggGap:
		if n > 1 {
			number = float64(v[len(v)-1].atMS-v[0].atMS) / (n - 1) / f.unitMS
		}
	case aggTrend:
		number = (n + 1) / (float64(len(s.samples(columns[f.cols[0]].source, s.left(f, t, h, before, from), false))) + 1)
	case aggSketch:
		if x, passed = naiveSketch(f.sketch, v, nowMS); passed != "" {
			return x, passed
		}
		x.Value.Kind = f.raw
		return s.transformed(f, x), ""
	}
	x.Value = Value{Number: number}
	return s.transformed(f, x), ""
}

func (s *Set) transformed(f *feature, x Expected) Expected {
	if len(f.def.Transform) > 0 {
		x.Value = transform(f, f.def.Transform, x.Value)
	}
	return x
}

func naiveSketch(k sketch, v []sampled, nowMS int64) (x Expected, passed string) {
	x.Value.Number = math.NaN()
	if _, whole := k.(distinctSketch); !whole {
		for i := range v {
			v[i].text = v[i].text[:min(len(v[i].text), MostText)]
		}
	}
	switch k := k.(type) {
	case edgeSketch:
		var best *sampled
		greater := func(a, b *sampled) bool { return k.number && a.number > b.number || !k.number && a.text > b.text }
		for i := range v {
			y := &v[i]
			switch {
			case best == nil, k.first && y.atMS < best.atMS, !k.first && y.atMS > best.atMS, y.atMS == best.atMS && greater(y, best):
				best = y
			}
		}
		if best != nil && k.number {
			x.Value.Number = micros(best.number)
		} else if best != nil {
			x.Value.Text = strings.ToValidUTF8(best.text, "")
		}
	case sequenceSketch:
		sort.SliceStable(v, func(i, j int) bool { return v[i].atMS > v[j].atMS || v[i].atMS == v[j].atMS && v[i].text < v[j].text })
		for _, y := range v[:min(k.k, len(v))] {
			x.Value.List = append(x.Value.List, strings.ToValidUTF8(y.text, ""))
		}
	case distinctSketch:
		kinds := map[string]bool{}
		for _, y := range v {
			kinds[y.text] = true
		}
		x.Value.Number, x.Error, x.Slack = float64(len(kinds)), 3*models.HLLError, 1 // three standard errors, and two that fell into one register
	case topSketch:
		counts := map[string]int{}
		for _, y := range v {
			counts[strings.ToValidUTF8(y.text, "")]++ // cut, perhaps within a character
		}
		if !models.TopKExact(len(v), len(counts)) {
			return x, PassedSampled // which are listed is the sample's choice: its error is held by the tests of models
		}
		texts := slices.Sorted(maps.Keys(counts))
		sort.SliceStable(texts, func(i, j int) bool { return counts[texts[i]] > counts[texts[j]] })
		texts = texts[:min(k.k, len(texts))]
		x.Value.List = texts
	case quantileSketch:
		if len(v) > 0 {
			sort.SliceStable(v, func(i, j int) bool { return v[i].number < v[j].number })
			x.Value.Number, x.Error, x.Slack = micros(v[max(0, int(math.Ceil(k.q*float64(len(v))-1e-9))-1)].number), 0.0101, 2e-6
		}
	case decayedSketch:
		sum := 0.0
		for _, y := range v {
			weight := 1.0
			if y.text != "" || y.number != 0 {
				weight = micros(y.number)
			}
			sum += weight * math.Exp2(-float64(nowMS-y.atMS)/float64(k.halfLifeMS))
		}
		x.Value.Number, x.Error, x.Slack = sum, 1e-6, 2e-6
	}
	return x, ""
}

// Holds says whether a value is what is expected.
func (x *Expected) Holds(v Value) bool {
	w := x.Value
	switch w.Kind {
	case Text:
		return v.Text == w.Text
	case List:
		return slices.Equal(v.List, w.List)
	}
	if math.IsNaN(w.Number) || math.IsNaN(v.Number) {
		return math.IsNaN(w.Number) == math.IsNaN(v.Number)
	}
	return math.Abs(v.Number-w.Number) <= (x.Error+1e-12)*math.Abs(w.Number)+x.Slack
}
