package feature

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"nudge/streams"
)

// term is one field of a filter: one of the values, of categories or what lies below one, or within all of the bounds.
type term struct {
	field   *field
	prop    string
	texts   []string // ascending; of a field that is a number as appendMicro writes it
	numbers []int64  // of a prop: those of the texts that are numbers, in millionths
	bounds  []bound
}

type bound struct {
	op    string
	limit int64 // millionths
}

var comparisons = []string{">=", "<=", ">", "<"}

// parseTerm reads the values that a filter has for a field. What can never match is a fault; its Key is the value's place in the list.
func parseTerm(name string, values []string) (term, *Fault) {
	f, prop, err := parseField(name)
	if err != nil {
		return term{}, err.(*Fault)
	}
	t := term{field: f, prop: prop}
	if len(values) == 0 {
		return t, &Fault{Found: "an empty list", Allowed: "want at least one value, or a comparison with a number such as \">= 100\""}
	}
	for i, v := range values {
		if fault := t.take(name, v); fault != nil {
			fault.Key = "[" + strconv.Itoa(i) + "]"
			return t, fault
		}
	}
	slices.Sort(t.texts)
	if len(t.bounds) > 0 && len(t.texts) > 0 {
		return t, &Fault{Found: "comparisons beside values", Allowed: "want comparisons, which must all hold, or values, of which one must; write two features"}
	}
	if low, high := t.span(); low > high {
		return t, &Fault{Found: "comparisons that no number satisfies", Allowed: "all of them must hold: want a range such as [\">= 100\", \"< 1000\"]"}
	}
	return t, nil
}

// take reads one value.
func (t *term) take(name, v string) *Fault {
	isNumber, isText := t.field.number != nil, t.field.text != nil
	op, rest := splitComparison(v)
	n, numeric := parseNumber(rest)
	switch {
	case op != "" && isText:
		return &Fault{Found: strconv.Quote(v), Allowed: name + " is a text, and texts are not compared: want those that count, such as [app, web]"}
	case op != "" && !slices.Contains(comparisons, op):
		return &Fault{Found: strconv.Quote(v), Allowed: "there is no " + op + ": want the value alone, or a comparison with one of >=, <=, >, <", Suggestion: meantBy(op, rest)}
	case op != "" && !numeric:
		return &Fault{Found: strconv.Quote(v), Allowed: "want a comparison with a number, such as \">= 100\""}
	case op != "":
		t.bounds = append(t.bounds, bound{op, n})
	case isNumber && !numeric:
		return &Fault{Found: strconv.Quote(v), Allowed: name + " is a number: want one such as 100, or a comparison such as \">= 100\""}
	case isNumber:
		t.texts = append(t.texts, string(appendMicro(nil, n)))
	default:
		t.texts = append(t.texts, v)
		if numeric && !isText {
			t.numbers = append(t.numbers, n)
		}
	}
	return nil
}

// splitComparison takes the signs of a comparison off the front of a value.
func splitComparison(v string) (op, rest string) {
	rest = strings.TrimLeft(v, "<>=!~")
	return v[:len(v)-len(rest)], strings.TrimSpace(rest)
}

// meantBy is what was written for a comparison that there is not, where that is clear.
func meantBy(op, rest string) string {
	switch op {
	case "=", "==":
		return rest
	case "=>":
		return ">= " + rest
	case "=<":
		return "<= " + rest
	}
	return ""
}

// parseNumber reads a number in millionths.
func parseNumber(text string) (int64, bool) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= -1e9 && x <= 1e9) {
		return 0, false
	}
	return int64(math.Round(float64(x * streams.Micro))), true
}

// span is the least and the greatest number within the bounds.
func (t *term) span() (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	for _, b := range t.bounds {
		switch b.op {
		case ">=":
			low = max(low, b.limit)
		case ">":
			low = max(low, b.limit+1)
		case "<=":
			high = min(high, b.limit)
		default:
			high = min(high, b.limit-1)
		}
	}
	return low, high
}

// matchable finds a value of the field type that none of the source's events has.
func (s *source) matchable(t *term) *Fault {
	if t.field.name != "type" {
		return nil
	}
	for i, name := range t.texts {
		typ := streams.ParseType(name)
		if typ != streams.Invalid && uncounted[typ] == "" && s.matches(&streams.Event{Type: typ, Name: name}) {
			continue
		}
		fault := &Fault{Key: "[" + strconv.Itoa(i) + "]", Found: strconv.Quote(name), Allowed: "want an event type that the feature is about"}
		if typ == streams.Invalid {
			fault.Near, fault.Word = streams.TypeNames(), name
		}
		return fault
	}
	return nil
}

// passes says whether the filter holds for an event and one of its lines, which is nil for none.
func (s *source) passes(o *Observation, l *streams.Line) bool {
	for i := range s.filter {
		if t := &s.filter[i]; !t.holds(o, l) {
			return false
		}
	}
	return true
}

func (t *term) holds(o *Observation, l *streams.Line) bool {
	if t.field.ofLine && l == nil {
		return false
	}
	if len(t.bounds) > 0 {
		n, ok := numberOf(t.field, t.prop, o, l)
		if !ok {
			return false
		}
		for _, b := range t.bounds {
			if b.op == ">=" && n < b.limit || b.op == "<=" && n > b.limit || b.op == ">" && n <= b.limit || b.op == "<" && n >= b.limit {
				return false
			}
		}
		return true
	}
	text := textOf(t.field, t.prop, o, l)
	if slices.Contains(t.texts, text) {
		return true
	}
	if t.field.name == "category" {
		return slices.ContainsFunc(t.texts, func(path string) bool { return LiesWithin(text, path) })
	}
	if len(t.numbers) == 0 {
		return false
	}
	n, ok := numberOf(t.field, t.prop, o, l)
	return ok && slices.Contains(t.numbers, n)
}
