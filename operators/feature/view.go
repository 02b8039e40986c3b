package feature

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"nudge/streams"
)

// View reads the features of one row as of one time. What several of them need is looked up once. It is reused by Look.
type View struct {
	set   *Set
	row   *Row
	nowMS int64
	at    []place // by tier
	parts [][]byte
}

// mostParts is of how many parts the next element of a sequence is looked for in all of them, instead of merging them first.
const mostParts = 10

// place is which tiles of a tier are within a window of a size: [from, to).
type place struct {
	known    bool
	sizeMS   int64
	from, to int
}

// Look turns the view to a row and a time. The row must not change while the view is read.
func (v *View) Look(s *Set, r *Row, nowMS int64) {
	v.set, v.row, v.nowMS = s, r, nowMS
	if cap(v.at) < len(s.tiers) {
		v.at = make([]place, len(s.tiers))
	}
	v.at = v.at[:len(s.tiers)]
	clear(v.at)
}

var noRing ring

// window returns the tiles that a feature is about.
func (v *View) window(f *feature) (t *tier, g *ring, from, to int) {
	t = &v.set.tiers[f.tier]
	if v.row.tiers == nil {
		return t, &noRing, 0, 0
	}
	g = &v.row.tiers[f.tier]
	p := &v.at[f.tier]
	if !p.known || p.sizeMS != f.span.sizeMS {
		*p = place{known: true, sizeMS: f.span.sizeMS}
		p.from, p.to = v.set.within(f, t, g, v.nowMS)
	}
	return t, g, p.from, p.to
}

// Value is what feature i says.
func (v *View) Value(i int) Value {
	f := &v.set.features[i]
	t, g, from, to := v.window(f)
	return v.set.valueOf(v.row, f, t, g, from, to, v.nowMS)
}

// AppendJSON appends the value of feature i as JSON; nothing, and false, if it is not known.
func (v *View) AppendJSON(b []byte, i int) (out []byte, known bool) {
	f := &v.set.features[i]
	t, g, from, to := v.window(f)
	if len(f.def.Transform) == 0 {
		switch f.agg {
		case aggCount:
			return strconv.AppendInt(b, cell(t, g, f.cols[0], from, to), 10), true
		case aggSum, aggMin, aggMax:
			a := v.set.column(v.row, f, t, g, 0, from, to)
			if f.agg != aggSum && a == t.fresh[f.cols[0]] {
				return b, false
			}
			if a > -exactMicros && a < exactMicros {
				return appendMicro(b, a), true
			}
		case aggSketch:
			if s, ok := f.sketch.(sequenceSketch); ok {
				if v.parts = v.set.partsOf(v.parts[:0], v.row, f, t, g, from, to); len(v.parts) <= mostParts {
					return s.appendJSON(b, v.parts)
				}
			}
		}
	}
	x := v.set.valueOf(v.row, f, t, g, from, to, v.nowMS)
	return x.appendKnown(b)
}

// exactMicros is up to how many millionths a float64 is the decimal that appendMicro writes.
const exactMicros = 1_000_000_000_000_000

func (v *Value) appendKnown(b []byte) (out []byte, known bool) {
	switch v.Kind {
	case Text:
		if v.Text == "" {
			return b, false
		}
	case List:
		if len(v.List) == 0 {
			return b, false
		}
	default:
		if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
			return b, false
		}
		return streams.AppendJSONNumber(b, v.Number), true
	}
	return v.appendJSON(b), true
}

// appendJSON writes what value lists of the merged parts, which it shortens.
func (s sequenceSketch) appendJSON(b []byte, parts [][]byte) (out []byte, known bool) {
	start := len(b)
	for range s.k {
		next := 0
		for i := 1; i < len(parts); i++ {
			if compareElements(parts[i], parts[next]) < 0 {
				next = i
			}
		}
		if len(parts) == 0 {
			break
		}
		elements := parts[next]
		n := 9 + int(elements[8])
		text := elements[9:n]
		if parts[next] = elements[n:]; len(elements) == n {
			parts = slices.Delete(parts, next, next+1)
		}
		for len(text) > 0 && text[len(text)-1] >= utf8.RuneSelf && !utf8.Valid(text) { // cut within a rune
			text = text[:len(text)-1]
		}
		b = append(b, ',')
		b = streams.AppendJSONString(b, unsafe.String(unsafe.SliceData(text), len(text)))
	}
	if len(b) == start {
		return b, false
	}
	b[start] = '['
	return append(b, ']'), true
}
