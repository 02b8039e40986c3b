package feature

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"nudge/streams"
)

// source is what an aggregate is taken of: a field of some event types, where a filter holds.
type source struct {
	key     string // says the same in the same words
	any     bool
	builtin uint64   // bit per type
	custom  []string // names of custom types
	field   *field   // nil: the event itself
	prop    string   // of props.<name>
	numeric bool     // of a prop: values that are no numbers do not count
	filter  []term
}

// field is one that events have. Fields of a line are taken once for each.
type field struct {
	name   string
	ofLine bool
	number func(o *Observation, l *streams.Line) (int64, bool) // millionths
	text   func(o *Observation, l *streams.Line) string
}

var fields = []field{
	{"price", true, func(_ *Observation, l *streams.Line) (int64, bool) { return l.Price, l.HasPrice }, nil},
	{"quantity", true, func(_ *Observation, l *streams.Line) (int64, bool) { return int64(l.Quantity) * streams.Micro, true }, nil},
	{"amount", true, func(_ *Observation, l *streams.Line) (int64, bool) { return amountOf(l), l.HasPrice }, nil},
	{"position", true, func(_ *Observation, l *streams.Line) (int64, bool) {
		return int64(l.Position) * streams.Micro, l.Position > 0
	}, nil},
	{"item", true, nil, func(_ *Observation, l *streams.Line) string { return l.ID }},
	{"category", true, nil, func(o *Observation, l *streams.Line) string {
		if o.Items == nil {
			return ""
		}
		return o.Items.Category(l.ID)
	}},
	{"value", false, func(o *Observation, _ *streams.Line) (int64, bool) { return o.Event.Value, o.Event.HasValue }, nil},
	{"type", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Name }},
	{"session", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Session }},
	{"user", false, nil, func(o *Observation, _ *streams.Line) string {
		if o.Event.User != "" {
			return o.Event.User
		}
		return o.Event.Anon
	}},
	{"decision", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Decision }},
	{"channel", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Channel }},
	{"locale", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Locale }},
	{"page", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Page }},
	{"referrer", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Referrer }},
	{"campaign", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Campaign }},
	{"device", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Device }},
	{"source", false, nil, func(o *Observation, _ *streams.Line) string { return o.Event.Context.Source }},
}

// amountOf is what a line comes to: its price for each of its pieces. It is no more than money can be, so that a sum of many is exact.
func amountOf(l *streams.Line) int64 { return min(times(l.Price, int64(l.Quantity)), streams.MaxMicro) }

// Fields names the fields of events that aggregates and filters may name, props.<name> aside.
func Fields() (names []string) {
	for i := range fields {
		names = append(names, fields[i].name)
	}
	return names
}

// anyType stands for every event type.
const anyType = "any"

// uncounted are the types that no feature is ever given, with the reason.
var uncounted = map[streams.Type]string{
	streams.UserMerged:   "a merge joins what both customers' events have counted for",
	streams.UserErased:   "an erasure removes what the customer's events have counted for",
	streams.ItemUpserted: "the catalogue is no doing of a customer",
	streams.ItemRemoved:  "the catalogue is no doing of a customer",
}

// parseSource reads "order.completed.value", or with wantField false "order.completed".
func parseSource(names []string, wantField bool, filter map[string][]string) (*source, error) {
	s := &source{}
	for _, name := range names {
		typ, fieldName := splitEvent(name)
		switch {
		case typ == anyType:
			s.any = true
		case streams.ParseType(typ) == streams.Invalid:
			return nil, &Fault{Found: strconv.Quote(name), Allowed: "want an event type such as product.viewed or custom.<name>, or any" + fieldHint(wantField), Near: append(streams.TypeNames(), anyType), Word: typ}
		case uncounted[streams.ParseType(typ)] != "":
			return nil, &Fault{Found: strconv.Quote(name), Allowed: "want a type that counts for somebody: " + uncounted[streams.ParseType(typ)]}
		case streams.ParseType(typ) == streams.Custom:
			s.custom = append(s.custom, typ)
		default:
			s.builtin |= 1 << streams.ParseType(typ)
		}
		if !wantField {
			if fieldName != "" {
				return nil, &Fault{Found: strconv.Quote(name), Allowed: "want the event type alone", Suggestion: typ}
			}
			continue
		}
		f, prop, err := parseField(fieldName)
		if err != nil {
			return nil, err
		}
		s.field, s.prop = f, prop
	}
	slices.Sort(s.custom)
	for _, name := range slices.Sorted(maps.Keys(filter)) {
		t, fault := parseTerm(name, filter[name])
		if fault == nil {
			fault = s.matchable(&t)
		}
		if fault != nil {
			fault.Key = "if." + name + fault.Key
			return nil, fault
		}
		s.filter = append(s.filter, t)
	}
	s.key = fmt.Sprintf("%v %x %q %s", s.any, s.builtin, s.custom, s.prop)
	if s.field != nil {
		s.key += " " + s.field.name
	}
	for _, t := range s.filter {
		s.key += fmt.Sprintf(" if %s %s %q %v", t.field.name, t.prop, t.texts, t.bounds)
	}
	return s, nil
}

func fieldHint(want bool) string {
	if want {
		return ", with a field: order.completed.value"
	}
	return ""
}

// splitEvent takes the event type off the front of a path: two words, or any.
func splitEvent(path string) (typ, field string) {
	words := strings.SplitN(path, ".", 3)
	if words[0] == anyType {
		_, field, _ = strings.Cut(path, ".")
		return anyType, field
	}
	if len(words) < 3 {
		return path, ""
	}
	return words[0] + "." + words[1], words[2]
}

// propField stands for every props.<name>; the name is beside it.
var propField = field{name: "props", number: nil, text: nil}

func parseField(name string) (*field, string, error) {
	if prop, ok := strings.CutPrefix(name, "props."); ok && prop != "" {
		return &propField, prop, nil
	}
	var names []string
	for i := range fields {
		if fields[i].name == name {
			return &fields[i], "", nil
		}
		names = append(names, fields[i].name)
	}
	found := strconv.Quote(name)
	if name == "" {
		found = "no field"
	}
	return nil, "", &Fault{Found: found, Allowed: "want a field after the event type: " + strings.Join(names, ", ") + " or props.<name>", Near: names, Word: name}
}

// matches says whether an event is one of those that are counted, its lines aside.
func (s *source) matches(e *streams.Event) bool {
	if s.any && e.Type != streams.DecisionRequested || s.builtin&(1<<e.Type) != 0 && e.Type != streams.Custom {
		return true
	}
	return e.Type == streams.Custom && slices.Contains(s.custom, e.Name)
}

// takeNumbers has the source take numbers alone, and says whether it has any. A prop may have both, and is another source where its texts count.
func (s *source) takeNumbers() bool {
	if s.field == &propField && !s.numeric {
		s.numeric = true
		s.key += " number"
	}
	return s.field == &propField || s.field.number != nil
}

func numberOf(f *field, prop string, o *Observation, l *streams.Line) (int64, bool) {
	if f == &propField {
		v, ok := o.Event.Props.Get(prop)
		if !ok {
			return 0, false
		}
		return v.Micro()
	}
	if f.number == nil {
		return 0, false
	}
	return f.number(o, l)
}

// textOf is the value of a field as a text; a number is written out.
func textOf(f *field, prop string, o *Observation, l *streams.Line) string {
	switch {
	case f == &propField:
		v, ok := o.Event.Props.Get(prop)
		if !ok {
			return ""
		}
		if text, ok := v.Text(); ok {
			return text
		}
		return string(v)
	case f.text != nil:
		return f.text(o, l)
	}
	n, ok := f.number(o, l)
	if !ok {
		return ""
	}
	return string(appendMicro(nil, n))
}

func hashText(s string) uint64 { return xxhash.Sum64String(s) }

// Fault is what is wrong with a definition.
type Fault struct {
	Key        string // of the definition that is at fault: "sum", "window.by"; "" for all of it
	Found      string
	Allowed    string
	Suggestion string
	Near       []string // words that may have been meant with Word
	Word       string
}

func (f *Fault) Error() string {
	s := f.Found + ": " + f.Allowed
	if f.Key != "" {
		s = f.Key + ": " + s
	}
	return s
}
