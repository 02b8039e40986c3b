package feature

import (
	"math"
	"slices"
	"strconv"

	"nudge/models"
	"nudge/streams"
)

// Kind is the kind of value that a feature has.
type Kind uint8

// The kinds of value.
const (
	Number Kind = iota
	Text
	List
)

// Value is what a feature says: a Number, which is not a number where nothing is known, a Text, "" where nothing is known, or a List.
type Value struct {
	Kind   Kind
	Number float64
	Text   string
	List   []string
}

// Value is feature i of a row as of a time. It changes nothing.
func (s *Set) Value(r *Row, i int, nowMS int64) Value {
	f := &s.features[i]
	t := &s.tiers[f.tier]
	if r.tiers == nil {
		return s.valueOf(r, f, t, &noRing, 0, 0, nowMS)
	}
	g := &r.tiers[f.tier]
	from, to := s.within(f, t, g, nowMS)
	return s.valueOf(r, f, t, g, from, to, nowMS)
}

// valueOf is a feature over tiles [from, to).
func (s *Set) valueOf(r *Row, f *feature, t *tier, g *ring, from, to int, nowMS int64) Value {
	v := s.raw(r, f, t, g, from, to, nowMS)
	if f.agg == aggTrend {
		before, until := s.before(f, t, g, from, nowMS)
		v.Number = (v.Number + 1) / (float64(s.sum(f, t, g, before, until)) + 1)
	}
	if len(f.def.Transform) > 0 {
		v = transform(f, f.def.Transform, v)
	}
	return v
}

// within says which tiles the feature is about at a time: [from, to).
func (s *Set) within(f *feature, t *tier, g *ring, nowMS int64) (from, to int) {
	stride := t.stride()
	n := len(g.cells) / stride
	if t.clock == clockSession {
		for at := n - 1; at >= 0; at-- {
			if first, last := g.cells[at*stride], g.cells[at*stride+1]; first-t.resMS <= nowMS && nowMS <= last+t.resMS {
				return at, at + 1
			}
		}
		return 0, 0
	}
	last := s.index(t, nowMS)
	first := last
	switch f.span.kind {
	case sliding:
		first = last - f.span.sizeMS/t.resMS + 1
	case lifetime:
		first, last = 0, 0
	}
	return between(t, g, first, last)
}

// before is within for the window before the one that begins with tile from.
func (s *Set) before(f *feature, t *tier, g *ring, _ int, nowMS int64) (from, to int) {
	last := s.index(t, nowMS)
	n := int64(1)
	if f.span.kind == sliding {
		n = f.span.sizeMS / t.resMS
	}
	return between(t, g, last-2*n+1, last-n)
}

// between returns the tiles numbered first to last.
func between(t *tier, g *ring, first, last int64) (from, to int) {
	stride := t.stride()
	to = len(g.cells) / stride
	for to > 0 && g.cells[(to-1)*stride] > last {
		to--
	}
	from = to
	for from > 0 && g.cells[(from-1)*stride] >= first {
		from--
	}
	return from, to
}

// cell merges a column over tiles.
func cell(t *tier, g *ring, col, from, to int) int64 {
	stride, head := t.stride(), t.head()
	if to == from+1 {
		return g.cells[from*stride+head+col]
	}
	x := t.fresh[col]
	for at := from; at < to; at++ {
		switch y := g.cells[at*stride+head+col]; t.cells[col].op {
		case opCount, opSum:
			x = add(x, y)
		case opMin, opFirstMS:
			x = min(x, y)
		default:
			x = max(x, y)
		}
	}
	return x
}

func (s *Set) sum(f *feature, t *tier, g *ring, from, to int) int64 {
	return cell(t, g, f.cols[0], from, to)
}

// raw is the feature over tiles [from, to), before transforms. Of a trend it is the window's own number.
func (s *Set) raw(r *Row, f *feature, t *tier, g *ring, from, to int, nowMS int64) Value {
	if f.agg == aggSketch {
		return s.sketched(r, f, t, g, from, to, nowMS)
	}
	a := s.column(r, f, t, g, 0, from, to)
	v := Value{Number: math.NaN()}
	switch f.agg {
	case aggCount, aggTrend:
		v.Number = float64(a)
	case aggSum:
		v.Number = micros(a)
	case aggMean:
		if n := cell(t, g, f.cols[1], from, to); n > 0 {
			v.Number = micros(a) / float64(n)
		}
	case aggMin, aggMax:
		if a != t.fresh[f.cols[0]] {
			v.Number = micros(a)
		}
	case aggSince:
		if a != math.MinInt64 {
			v.Number = float64(max(0, nowMS-a)) / f.unitMS
		}
	case aggRate:
		v.Number = float64(a) * float64(f.def.Per.MS()) / float64(f.span.sizeMS)
	case aggRatio:
		up, down := float64(a), float64(cell(t, g, f.cols[1], from, to))
		if len(f.def.Prior) == 2 {
			up, down = up+f.def.Prior[0], down+f.def.Prior[1]
		}
		if down > 0 {
			v.Number = up / down
		}
	case aggFrequency:
		if first := s.column(r, f, t, g, 1, from, to); a > 0 && nowMS > first {
			v.Number = float64(a) * f.unitMS / float64(nowMS-first)
		}
	case aggGap:
		if a > 1 {
			v.Number = float64(s.column(r, f, t, g, 2, from, to)-s.column(r, f, t, g, 1, from, to)) / float64(a-1) / f.unitMS
		}
	case aggDwell:
		v.Number = micros(a) / 1000
	}
	return v
}

func (s *Set) sketched(r *Row, f *feature, t *tier, g *ring, from, to int, nowMS int64) Value {
	v := f.sketch.value(s.sketchOf(r, f, t, g, from, to), nowMS)
	v.Kind = f.raw
	return v
}

func micros(m int64) float64 { return float64(m) / streams.Micro }

// appendValue writes the feature over tiles as JSON, exactly where it is a count or an amount.
func (s *Set) appendValue(b []byte, r *Row, f *feature, t *tier, g *ring, from, to int, nowMS int64) []byte {
	if len(f.def.Transform) == 0 {
		switch f.agg {
		case aggCount:
			return strconv.AppendInt(b, cell(t, g, f.cols[0], from, to), 10)
		case aggSum:
			return appendMicro(b, cell(t, g, f.cols[0], from, to))
		case aggMin, aggMax:
			if a := s.column(r, f, t, g, 0, from, to); a != t.fresh[f.cols[0]] {
				return appendMicro(b, a)
			}
			return append(b, "null"...)
		case aggMean:
			n := cell(t, g, f.cols[1], from, to)
			if n == 0 {
				return append(b, "null"...)
			}
			sum := cell(t, g, f.cols[0], from, to)
			return appendMicro(b, floorDiv(2*sum+n, 2*n)) // to the nearest millionth
		}
	}
	v := s.raw(r, f, t, g, from, to, nowMS)
	if f.agg == aggTrend {
		before, until := s.before(f, t, g, from, nowMS-1)
		v.Number = (v.Number + 1) / (float64(s.sum(f, t, g, before, until)) + 1)
	}
	if len(f.def.Transform) > 0 {
		v = transform(f, f.def.Transform, v)
	}
	return v.appendJSON(b)
}

// appendJSON writes null for what is not known.
func (v *Value) appendJSON(b []byte) []byte {
	switch {
	case v.Kind == Text && v.Text != "":
		return streams.AppendJSONString(b, v.Text)
	case v.Kind == List && len(v.List) > 0:
		for i, x := range v.List {
			b = streams.AppendJSONString(append(b, "[,"[min(i, 1)]), x)
		}
		return append(b, ']')
	case v.Kind == Number && !math.IsNaN(v.Number) && !math.IsInf(v.Number, 0):
		return strconv.AppendFloat(b, v.Number, 'g', -1, 64)
	}
	return append(b, "null"...)
}

// appendMicro writes millionths as a decimal number.
func appendMicro(b []byte, m int64) []byte {
	u := uint64(m)
	if m < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendUint(b, u/streams.Micro, 10)
	f := u % streams.Micro
	if f == 0 {
		return b
	}
	b = append(b, '.')
	for d := uint64(streams.Micro / 10); f > 0; d /= 10 {
		b = append(b, byte('0'+f/d))
		f %= d
	}
	return b
}

// transform applies the steps to a value.
func transform(f *feature, steps []Transform, v Value) Value {
	for i := range steps {
		x := &steps[i]
		n := v.Number
		switch {
		case x.Fill != nil:
			if math.IsNaN(n) {
				n = *x.Fill
			}
		case len(x.Clip) == 2:
			n = min(max(n, x.Clip[0]), x.Clip[1])
		case x.Log:
			n = models.Log(1 + max(n, 0))
		case x.Standardise:
			if f.moments != nil && !math.IsNaN(n) {
				n = f.moments.Standardise(n)
			}
		case len(x.Bucket) > 0:
			at := 0
			for at < len(x.Bucket) && n >= x.Bucket[at] {
				at++
			}
			if !math.IsNaN(n) {
				n = float64(at)
			}
		case x.OneHot != "":
			n = 0
			if v.Kind == Text && v.Text == x.OneHot || v.Kind == List && slices.Contains(v.List, x.OneHot) {
				n = 1
			}
		case x.Hash > 0:
			if v.Kind == Text && v.Text != "" {
				n = float64(hashText(v.Text) % uint64(x.Hash))
			}
		}
		v = Value{Kind: Number, Number: n}
	}
	return v
}

// checkTransforms makes sure that every step has one key and something to work on.
func checkTransforms(d *Definition, kind Kind) *Fault {
	for i := range d.Transform {
		x := &d.Transform[i]
		n := 0
		for _, used := range []bool{x.Fill != nil, x.Clip != nil, x.Log, x.Standardise, len(x.Bucket) > 0, x.OneHot != "", x.Hash > 0} {
			if used {
				n++
			}
		}
		onText := x.OneHot != "" || x.Hash > 0
		key := "transform[" + strconv.Itoa(i) + "]"
		switch {
		case len(x.OneHot) > MostText:
			return &Fault{Key: key + ".one_hot", Found: "a text of " + strconv.Itoa(len(x.OneHot)) + " bytes", Allowed: "of texts the first " + strconv.Itoa(MostText) + " bytes are kept: write those"}
		case n != 1:
			return &Fault{Key: key, Found: strconv.Itoa(n) + " steps in one", Allowed: "want one of {fill: 0}, {clip: [0, 100]}, {log: true}, {standardise: true}, {bucket: [1, 10]}, {one_hot: gold}, {hash: 1024}"}
		case x.Clip != nil && len(x.Clip) == 2 && x.Clip[0] > x.Clip[1]:
			return &Fault{Key: key + ".clip", Found: "a lower bound above the upper", Allowed: "want the lower bound first, [0, 100]"}
		case x.Clip != nil && len(x.Clip) != 2:
			return &Fault{Key: key + ".clip", Found: strconv.Itoa(len(x.Clip)) + " bounds", Allowed: "want the lower and the upper bound, [0, 100]"}
		case !slices.IsSorted(x.Bucket):
			return &Fault{Key: key + ".bucket", Found: "edges out of order", Allowed: "want them ascending"}
		case x.Standardise && slices.ContainsFunc(d.Transform[:i], func(y Transform) bool { return y.Standardise }):
			return &Fault{Key: key + ".standardise", Found: "a second one", Allowed: "the moments of one are kept; remove it"}
		case onText && kind == Number:
			return &Fault{Key: key, Found: "a step for texts on a number", Allowed: "one_hot goes with first, last, topk and sequence, hash with first and last"}
		case x.Hash > 0 && kind == List:
			return &Fault{Key: key, Found: "a hash of a list", Allowed: "hash goes with first and last; of a list one_hot says whether a text is in it"}
		case !onText && kind != Number:
			return &Fault{Key: key, Found: "a step for numbers on a text", Allowed: "begin with one_hot or hash"}
		}
		kind = Number
	}
	return nil
}
