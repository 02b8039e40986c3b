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

// Past is an event as it was observed, kept whole: what an audit computes features of anew.
type Past struct {
	Event               *streams.Event
	TimeMS, WatermarkMS int64
	Categories          []string // of its lines, as the catalogue had them then
}

// Keep copies an event with what the catalogue says of it now.
func Keep(o *Observation) Past {
	e := *o.Event
	e.Lines = slices.Clone(e.Lines)
	p := Past{Event: &e, TimeMS: o.TimeMS, WatermarkMS: o.WatermarkMS}
	for i := range e.Lines {
		p.Categories = append(p.Categories, o.Items.Category(e.Lines[i].ID))
	}
	return p
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

// Expected is what a feature must be, within an error: 0 for those that are exact; for sketches a share of the value, and as much beside it.
type Expected struct {
	Value Value
	Error float64
	Slack float64
}

// sampled is one value of a source.
type sampled struct {
	atMS   int64
	number int64
	text   string
}

// Naive computes feature i from the raw events, without tiles, columns and sketches. Not ok: it can't be, because an event came so late that its
// tile may have been gone, or an order was taken back, or for lack of a bound on the error (top-k beyond k values).
func (s *Set) Naive(i int, past []Past, nowMS int64) (x Expected, ok bool) {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	if f.span.kind == session {
		return s.naiveSession(f, t, past, nowMS)
	}
	from, to := s.covered(f, nowMS)
	before := from
	if f.agg == aggTrend {
		last := s.index(t, nowMS)
		n := int64(1)
		if f.span.kind == sliding {
			n = f.span.sizeMS / t.resMS
		}
		before = s.startOf(t, last-2*n+1)
	}
	for k := range past {
		p := &past[k]
		if p.TimeMS < before || p.TimeMS >= to {
			continue
		}
		if t.clock != clockLife && p.WatermarkMS != math.MinInt64 && s.endOf(t, s.index(t, p.TimeMS)) <= p.WatermarkMS {
			return x, false
		}
	}
	for k := range past { // wherever the order was
		if e := past[k].Event; (e.Type == streams.OrderCancelled || e.Type == streams.OrderRefunded) && s.countsOrders(f, t) {
			return x, false
		}
	}
	return s.naive(f, t, past, from, to, before, nowMS)
}

func (s *Set) countsOrders(f *feature, t *tier) bool {
	return f.agg != aggSketch && slices.ContainsFunc(f.cols, func(col int) bool { return slices.Contains(s.orders, t.cells[col].source) })
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
func (s *Set) naiveSession(f *feature, t *tier, past []Past, nowMS int64) (x Expected, ok bool) {
	var times []int64
	for k := range past {
		if p := &past[k]; s.touches(f, t, p) {
			if p.WatermarkMS != math.MinInt64 && p.TimeMS+t.resMS < p.WatermarkMS {
				return x, false
			}
			times = append(times, p.TimeMS)
		}
	}
	slices.Sort(times)
	from, to := int64(0), int64(0) // nothing
	for a := 0; a < len(times); {
		b := a
		for b+1 < len(times) && times[b+1]-times[b] <= t.resMS {
			b++
		}
		if times[a]-t.resMS <= nowMS && nowMS <= times[b]+t.resMS {
			from, to = times[a], times[b]+1 // the latest that does
		}
		a = b + 1
	}
	return s.naive(f, t, past, from, to, from, nowMS)
}

// touches says whether an event counts for any column of the tier: it then belongs to a session of it.
func (s *Set) touches(f *feature, t *tier, p *Past) bool {
	for _, columns := range [][]column{t.cells, t.sketches} {
		for _, col := range columns {
			if len(s.samples(col.source, []Past{*p}, math.MinInt64, math.MaxInt64)) > 0 {
				return true
			}
		}
	}
	return false
}

// samples lists what events within [from, to) have of a source, by time.
func (s *Set) samples(source int, past []Past, from, to int64) (out []sampled) {
	x := s.sources[source]
	for k := range past {
		p := &past[k]
		if p.TimeMS < from || p.TimeMS >= to || !x.matches(p.Event) {
			continue
		}
		o := &Observation{Event: p.Event, Line: -1, TimeMS: p.TimeMS, Items: p}
		x.each(o, func(n int64, l *streams.Line) {
			v := sampled{atMS: p.TimeMS, number: n}
			if x.field != nil {
				v.text = textOf(x.field, x.prop, o, l)
				v.text = v.text[:min(len(v.text), MostText)]
			}
			out = append(out, v)
		})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].atMS < out[j].atMS })
	return out
}

func (s *Set) naive(f *feature, t *tier, past []Past, from, to, before, nowMS int64) (x Expected, ok bool) {
	columns := t.cells
	if f.agg == aggSketch {
		columns = t.sketches
	}
	of := func(i int) []sampled { return s.samples(columns[f.cols[i]].source, past, from, to) }
	v := of(0)
	sum := int64(0)
	for _, y := range v {
		sum += y.number
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
		number = (n + 1) / (float64(len(s.samples(columns[f.cols[0]].source, past, before, from))) + 1)
	case aggSketch:
		if x, ok = naiveSketch(t.sketches[f.cols[0]].sketch, v, nowMS); !ok {
			return x, false
		}
		x.Value.Kind = f.raw
		return s.transformed(f, x), true
	}
	x.Value = Value{Number: number}
	return s.transformed(f, x), true
}

func (s *Set) transformed(f *feature, x Expected) Expected {
	if len(f.def.Transform) > 0 {
		x.Value = transform(f, f.def.Transform, x.Value)
	}
	return x
}

func naiveSketch(k sketch, v []sampled, nowMS int64) (x Expected, ok bool) {
	x.Value.Number = math.NaN()
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
			counts[y.text[:min(len(y.text), MostText)]]++
		}
		if !models.TopKExact(len(v), len(counts)) {
			return x, false // which are listed is the sample's choice: its error is held by the tests of models
		}
		texts := slices.Sorted(maps.Keys(counts))
		sort.SliceStable(texts, func(i, j int) bool { return counts[texts[i]] > counts[texts[j]] })
		texts = texts[:min(k.k, len(texts))]
		x.Value.List = texts
	case quantileSketch:
		if len(v) > 0 {
			sort.SliceStable(v, func(i, j int) bool { return v[i].number < v[j].number })
			x.Value.Number, x.Error, x.Slack = micros(v[int(k.q*float64(len(v)-1))].number), 0.0101, 2e-6
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
	return x, true
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
