package feature

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nudge/streams"
)

// aggregate finds the columns that a definition needs.
func (c *compiler) aggregate(f *feature, d *Definition) *Fault {
	given := d.given()
	if len(given) != 1 {
		found := "no aggregate"
		if len(given) > 1 {
			found = "several aggregates: " + strings.Join(given, ", ")
		}
		return &Fault{Found: found, Allowed: "want one of " + strings.Join(aggregates, ", ")}
	}
	key := given[0]
	if fault := d.unused(); fault != nil {
		return fault
	}
	a := &aggregation{c: c, f: f, d: d, key: key}
	a.compile()
	return a.fault
}

var aggregates = []string{"count", "sum", "mean", "min", "max", "first", "last", "distinct", "topk", "quantile", "decayed", "since", "rate", "ratio", "frequency", "gap", "dwell", "rfm", "trend", "sequence"}

// Aggregates names the aggregates that a definition may have.
func Aggregates() []string { return slices.Clone(aggregates) }

// given lists the aggregates that the definition has.
func (d *Definition) given() (keys []string) {
	for _, x := range []struct {
		key  string
		used bool
	}{{"count", len(d.Count) > 0}, {"sum", d.Sum != ""}, {"mean", d.Mean != ""}, {"min", d.Min != ""}, {"max", d.Max != ""}, {"first", d.First != ""},
		{"last", d.Last != ""}, {"distinct", d.Distinct != ""}, {"topk", d.TopK != ""}, {"quantile", d.Quantile != ""}, {"decayed", d.Decayed != ""},
		{"since", len(d.Since) > 0}, {"rate", len(d.Rate) > 0}, {"ratio", len(d.Ratio) > 0}, {"frequency", len(d.Frequency) > 0}, {"gap", len(d.Gap) > 0},
		{"dwell", len(d.Dwell) > 0}, {"rfm", d.RFM != ""}, {"trend", len(d.Trend) > 0}, {"sequence", d.Sequence != ""}} {
		if x.used {
			keys = append(keys, x.key)
		}
	}
	return keys
}

// companions are the keys of a definition that go with some aggregates only.
var companions = []struct {
	key  string
	with []string
}{
	{"half_life", []string{"decayed"}},
	{"per", []string{"rate"}},
	{"prior", []string{"ratio"}},
	{"k", []string{"topk", "sequence"}},
	{"q", []string{"quantile"}},
	{"unit", []string{"since", "frequency", "gap", "rfm"}},
}

// Unused lists what is wrong with keys that are given and do nothing for the definition's aggregate.
func (d *Definition) Unused(isGiven func(key string) bool) (faults []Fault) {
	aggregate := d.given()
	if len(aggregate) != 1 {
		return nil
	}
	for _, x := range companions {
		switch {
		case !isGiven(x.key):
		case !slices.Contains(x.with, aggregate[0]):
			faults = append(faults, Fault{Key: x.key, Found: "a key of another aggregate", Allowed: "it goes with " + strings.Join(x.with, ", ") + "; remove it"})
		case aggregate[0] == "rfm" && d.RFM != "recency":
			faults = append(faults, Fault{Key: x.key, Found: "a key that does nothing", Allowed: d.RFM + " is not a time; remove it"})
		}
	}
	if (aggregate[0] == "since" || aggregate[0] == "decayed") && isGiven("window") {
		faults = append(faults, Fault{Key: "window", Found: "a key of another aggregate", Allowed: aggregate[0] + " has no window; remove it"})
	}
	return faults
}

// unused finds a key that does nothing, as far as the definition alone can tell.
func (d *Definition) unused() *Fault {
	w := &d.Window
	faults := d.Unused(func(key string) bool {
		switch key {
		case "half_life":
			return d.HalfLife != 0
		case "per":
			return d.Per != 0
		case "prior":
			return d.Prior != nil
		case "window":
			return len(w.Sliding)+len(w.Tumbling)+len(w.Session)+len(w.Calendar) > 0
		}
		return false // k, q and unit have defaults
	})
	if len(faults) == 0 {
		return nil
	}
	return &faults[0]
}

// aggregation is one definition being compiled.
type aggregation struct {
	c     *compiler
	f     *feature
	d     *Definition
	key   string
	fault *Fault
}

// of returns the source of event types or, with field, of fields.
func (a *aggregation) of(field bool, names ...string) int {
	if s := a.parse(field, names); s != nil {
		return a.c.source(s)
	}
	return 0
}

// parse is of before the set knows the source; nil if it is at fault.
func (a *aggregation) parse(field bool, names []string) *source {
	s, err := parseSource(names, field, a.d.If)
	if err == nil {
		return s
	}
	if a.fault == nil {
		var f *Fault
		errors.As(err, &f)
		if f.Key == "" {
			f.Key = a.key
		}
		a.fault = f
	}
	return nil
}

// numbers is of for a field that has numbers.
func (a *aggregation) numbers(name string) int {
	s := a.parse(true, []string{name})
	if s == nil {
		return 0
	}
	if !s.takeNumbers() && a.fault == nil {
		a.fault = &Fault{Key: a.key, Found: strconv.Quote(name), Allowed: "want a field that is a number: price, quantity, amount, position, value or props.<name>"}
	}
	return a.c.source(s)
}

// cells sets the feature's columns.
func (a *aggregation) cells(agg aggregate, columns ...any) {
	if a.fault != nil {
		return
	}
	a.f.agg = agg
	for i := 0; i < len(columns); i += 2 {
		a.f.cols = append(a.f.cols, a.c.cell(a.f.tier, columns[i].(op), columns[i+1].(int)))
	}
}

func (a *aggregation) sketch(k sketch, kind Kind, source int) {
	if a.fault != nil {
		return
	}
	a.f.agg, a.f.kind = aggSketch, kind
	a.f.cols, a.f.sketch = []int{a.c.sketch(a.f.tier, k, source)}, k
}

func (a *aggregation) compile() {
	d := a.d
	switch a.key {
	case "count":
		a.cells(aggCount, opCount, a.of(false, d.Count...))
	case "sum":
		a.cells(aggSum, opSum, a.numbers(d.Sum))
	case "mean":
		s := a.numbers(d.Mean)
		a.cells(aggMean, opSum, s, opCount, s)
	case "min":
		a.cells(aggMin, opMin, a.numbers(d.Min))
	case "max":
		a.cells(aggMax, opMax, a.numbers(d.Max))
	case "first", "last":
		s := a.of(true, d.First+d.Last)
		kind := Text
		if a.fault == nil && a.c.set.sources[s].field.number != nil {
			kind = Number
		}
		a.sketch(edgeSketch{first: d.First != "", number: kind == Number}, kind, s)
	case "distinct":
		a.sketch(distinctSketch{}, Number, a.of(true, d.Distinct))
	case "topk":
		a.sketch(topSketch{k: d.K}, List, a.of(true, d.TopK))
	case "sequence":
		a.sketch(sequenceSketch{k: d.K}, List, a.of(true, d.Sequence))
	case "quantile":
		a.sketch(quantileSketch{q: d.Q}, Number, a.numbers(d.Quantile))
	case "decayed":
		if d.HalfLife <= 0 {
			a.fault = &Fault{Key: "half_life", Found: "missing", Allowed: "needed: the time in which the sum is halved, such as 7d"}
			return
		}
		s := 0
		if _, field := splitEvent(d.Decayed); field != "" {
			s = a.numbers(d.Decayed)
		} else {
			s = a.of(false, d.Decayed)
		}
		a.sketch(decayedSketch{halfLifeMS: d.HalfLife.MS()}, Number, s)
	case "since":
		a.cells(aggSince, opLastMS, a.of(false, d.Since...))
	case "rate":
		switch {
		case a.f.span.sizeMS == 0:
			a.fault = &Fault{Key: "window", Found: "no window of a fixed length", Allowed: "want the window that the rate is over, such as 1h"}
		case d.Per <= 0:
			a.fault = &Fault{Key: "per", Found: "missing", Allowed: "needed: the time that the rate is per, such as 1h"}
		}
		a.cells(aggRate, opCount, a.of(false, d.Rate...))
	case "ratio":
		if len(d.Ratio) != 2 || len(d.Prior) != 0 && len(d.Prior) != 2 {
			a.fault = &Fault{Key: "ratio", Found: fmt.Sprintf("%d events and a prior of %d", len(d.Ratio), len(d.Prior)), Allowed: "want two events, [product.clicked, list.viewed], and a prior of two numbers or none"}
			return
		}
		for i, x := range d.Prior {
			if x < 0 && a.fault == nil {
				a.fault = &Fault{Key: fmt.Sprintf("prior[%d]", i), Found: strconv.FormatFloat(x, 'g', -1, 64), Allowed: "want how many events it is as if there had been before: at least 0"}
			}
		}
		a.cells(aggRatio, opCount, a.of(false, d.Ratio[0]), opCount, a.of(false, d.Ratio[1]))
	case "frequency":
		s := a.of(false, d.Frequency...)
		a.cells(aggFrequency, opCount, s, opFirstMS, s)
	case "gap":
		s := a.of(false, d.Gap...)
		a.cells(aggGap, opCount, s, opFirstMS, s, opLastMS, s)
	case "dwell":
		names := make([]string, len(d.Dwell))
		for i, n := range d.Dwell {
			if typ, field := splitEvent(n); field != "" && a.fault == nil {
				a.fault = &Fault{Key: a.key, Found: strconv.Quote(n), Allowed: "want the event type alone", Suggestion: typ}
			}
			names[i] = n + ".props.dwell_ms"
		}
		a.cells(aggDwell, opSum, a.of(true, names...))
	case "trend":
		if a.f.span.kind == lifetime || a.f.span.kind == session {
			a.fault = &Fault{Key: "window", Found: a.f.span.label, Allowed: "want a window that has one before it: sliding, tumbling or calendar"}
		}
		a.cells(aggTrend, opCount, a.of(false, d.Trend...))
	case "rfm":
		order := streams.OrderCompleted.String()
		switch d.RFM {
		case "recency":
			a.cells(aggSince, opLastMS, a.of(false, order))
		case "frequency":
			a.cells(aggCount, opCount, a.of(false, order))
		default:
			a.cells(aggSum, opSum, a.numbers(order+".value"))
		}
	}
}
