package feature

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nudge/streams"
)

// Random streams of events - in order, out of order and late - are observed by a row, and every feature is compared with what the raw events
// say by the same tile rule.

// fact is one raw event, as the naive recomputation sees it.
type fact struct {
	atMS  int64
	typ   string
	item  string
	price int64
	count int32 // pieces; 0 is one
	value int64
	order string
}

func (f *fact) event() *streams.Event {
	e := &streams.Event{Type: streams.ParseType(f.typ), Name: f.typ, User: "u1", TimeMS: f.atMS}
	if f.item != "" {
		e.Lines = []streams.Line{{ID: f.item, Price: f.price, HasPrice: true, Quantity: max(1, f.count)}}
	}
	if f.typ == "order.completed" {
		e.Value, e.HasValue = f.value, true
	}
	if f.order != "" {
		e.Props = streams.Props(fmt.Sprintf(`{"order":%q}`, f.order))
	}
	return e
}

func drawFact(t *rapid.T, from, to int64) fact {
	f := fact{atMS: rapid.Int64Range(from, to).Draw(t, "at"), typ: rapid.SampledFrom([]string{"product.viewed", "product.clicked", "order.completed", "page.viewed"}).Draw(t, "type")}
	if f.typ != "page.viewed" {
		f.item = rapid.SampledFrom([]string{"p1", "p2", "p3", "p4", "p5", "p6"}).Draw(t, "item")
		f.price = rapid.Int64Range(0, 5_000_000).Draw(t, "price")
		f.count = rapid.SampledFrom([]int32{0, 1, 2, 7, streams.MaxQuantity}).Draw(t, "pieces")
	}
	f.value = f.price * 2
	if f.typ == "order.completed" && rapid.Bool().Draw(t, "named") {
		f.order = rapid.SampledFrom([]string{"o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10", "o11", "o12"}).Draw(t, "order")
	}
	return f
}

func durations(texts ...string) (out []Duration) {
	for _, s := range texts {
		var d Duration
		if err := d.UnmarshalText([]byte(s)); err != nil {
			panic(err)
		}
		out = append(out, d)
	}
	return out
}

// windows are spans in each of which every exact feature is compared.
var windows = map[string]Window{
	"life":     {},
	"sliding":  {Sliding: durations("5m", "1h", "24h", "7d")},
	"by":       {Sliding: durations("10m"), By: durations("1m")[0]},
	"tumbling": {Tumbling: durations("1m", "1h")},
	"calendar": {Calendar: []string{"day", "week"}},
}

func definitions() map[string]Definition {
	defs := map[string]Definition{}
	for name, w := range windows {
		for agg, d := range map[string]Definition{
			"count": {Count: []string{"product.viewed"}}, "any": {Count: []string{"any"}}, "two": {Count: []string{"product.viewed", "product.clicked"}},
			"sum": {Sum: "order.completed.value"}, "mean": {Mean: "product.viewed.price"}, "min": {Min: "any.price"}, "max": {Max: "any.price"},
			"paid": {Sum: "any.amount"}, "paidmean": {Mean: "order.completed.amount"}, "paidleast": {Min: "any.amount"}, "paidmost": {Max: "any.amount"},
			"paidmiddle": {Quantile: "any.amount", Q: 0.5},
			"bulk":       {Sum: "any.price", If: map[string][]string{"amount": {">= 6", "< 1000"}}},
			"cheap":      {Count: []string{"product.viewed"}, If: map[string][]string{"price": {"< 1"}}},
			"p1":         {Count: []string{"any"}, If: map[string][]string{"item": {"p1", "p2"}}},
			"ratio":      {Ratio: []string{"product.clicked", "product.viewed"}, Prior: []float64{1, 5}},
			"gap":        {Gap: []string{"product.viewed"}},
			"last":       {Last: "any.item"},
			"first":      {First: "product.viewed.price"},
			"seq":        {Sequence: "product.viewed.item", K: 5},
			"top":        {TopK: "any.item", K: 3},
			"kinds":      {Distinct: "any.item"},
			"middle":     {Quantile: "any.price", Q: 0.5},
		} {
			set := d
			set.SetDefaults()
			d.Unit, d.K = set.Unit, max(d.K, 1)
			d.Window = w
			defs[agg+"_"+name] = d
		}
	}
	defs["since"] = Definition{Since: []string{"product.viewed"}, Unit: "s"}
	defs["paiddecayed"] = Definition{Decayed: "any.amount", HalfLife: durations("1h")[0]}
	defs["decayed"] = Definition{Decayed: "product.viewed", HalfLife: durations("1h")[0]}
	return defs
}

// fromFacts computes a feature from the raw events.
func (s *Set) fromFacts(f *feature, facts []fact, nowMS int64) any {
	from, to := s.covered(f, nowMS)
	var in []fact
	for _, x := range facts {
		if x.atMS >= from && x.atMS < to {
			in = append(in, x)
		}
	}
	sort.SliceStable(in, func(i, j int) bool { return in[i].atMS < in[j].atMS })
	pick := func(keep func(*fact) bool) (out []fact) {
		for _, x := range in {
			if keep(&x) {
				out = append(out, x)
			}
		}
		return out
	}
	typed := func(types ...string) []fact {
		return pick(func(x *fact) bool { return slices.Contains(types, x.typ) })
	}
	priced := pick(func(x *fact) bool { return x.item != "" })
	name, _, _ := strings.Cut(f.base, "_")
	switch name {
	case "count":
		return float64(len(typed("product.viewed")))
	case "any":
		return float64(len(in))
	case "two":
		return float64(len(typed("product.viewed", "product.clicked")))
	case "cheap":
		n := 0
		for _, x := range typed("product.viewed") {
			if x.price < streams.Micro {
				n++
			}
		}
		return float64(n)
	case "p1":
		return float64(len(pick(func(x *fact) bool { return x.item == "p1" || x.item == "p2" })))
	case "sum":
		sum := int64(0)
		for _, x := range typed("order.completed") {
			sum += x.value
		}
		return micros(sum)
	case "mean":
		views := typed("product.viewed")
		sum := int64(0)
		for _, x := range views {
			sum += x.price
		}
		if len(views) == 0 {
			return math.NaN()
		}
		return micros(sum) / float64(len(views))
	case "min", "max":
		if len(priced) == 0 {
			return math.NaN()
		}
		x := priced[0].price
		for _, y := range priced {
			if name == "min" {
				x = min(x, y.price)
			} else {
				x = max(x, y.price)
			}
		}
		return micros(x)
	case "paid", "paidmean", "paidleast", "paidmost", "paidmiddle":
		var paid []int64
		sum := int64(0)
		for _, x := range priced {
			if name != "paidmean" || x.typ == "order.completed" {
				paid = append(paid, x.price*int64(max(1, x.count)))
				sum += paid[len(paid)-1]
			}
		}
		slices.Sort(paid)
		switch {
		case name == "paid":
			return micros(sum)
		case len(paid) == 0:
			return math.NaN()
		case name == "paidmean":
			return micros(sum) / float64(len(paid))
		case name == "paidleast":
			return micros(paid[0])
		case name == "paidmost":
			return micros(paid[len(paid)-1])
		}
		return within{micros(paid[(len(paid)-1)/2]), 0.0101}
	case "bulk":
		sum := int64(0)
		for _, x := range priced {
			if paid := x.price * int64(max(1, x.count)); paid >= 6*streams.Micro && paid < 1000*streams.Micro {
				sum += x.price
			}
		}
		return micros(sum)
	case "paiddecayed":
		sum := 0.0
		for _, x := range priced {
			sum += micros(x.price*int64(max(1, x.count))) * math.Exp2(-float64(nowMS-x.atMS)/3_600_000)
		}
		return within{sum, 1e-6}
	case "ratio":
		return (float64(len(typed("product.clicked"))) + 1) / (float64(len(typed("product.viewed"))) + 5)
	case "gap":
		v := typed("product.viewed")
		if len(v) < 2 {
			return math.NaN()
		}
		return float64(v[len(v)-1].atMS-v[0].atMS) / float64(len(v)-1) / 86_400_000
	case "last":
		best := fact{atMS: math.MinInt64}
		for _, x := range priced {
			if x.atMS > best.atMS || x.atMS == best.atMS && x.item > best.item {
				best = x
			}
		}
		return best.item
	case "first":
		v := typed("product.viewed")
		if len(v) == 0 {
			return math.NaN()
		}
		best := v[0]
		for _, x := range v {
			if x.atMS == best.atMS && x.price > best.price {
				best = x
			}
		}
		return micros(best.price)
	case "seq":
		v := typed("product.viewed")
		sort.SliceStable(v, func(i, j int) bool { return v[i].atMS > v[j].atMS || v[i].atMS == v[j].atMS && v[i].item < v[j].item })
		var out []string
		for _, x := range v[:min(5, len(v))] {
			out = append(out, x.item)
		}
		return out
	case "top":
		counts := map[string]int{}
		for _, x := range priced {
			counts[x.item]++
		}
		items := slices.Sorted(maps.Keys(counts))
		sort.SliceStable(items, func(i, j int) bool { return counts[items[i]] > counts[items[j]] })
		return items[:min(3, len(items))]
	case "kinds":
		kinds := map[string]bool{}
		for _, x := range priced {
			kinds[x.item] = true
		}
		return float64(len(kinds)) // so few that a HyperLogLog is exact
	case "middle":
		if len(priced) == 0 {
			return math.NaN()
		}
		sort.SliceStable(priced, func(i, j int) bool { return priced[i].price < priced[j].price })
		return within{micros(priced[(len(priced)-1)/2].price), 0.0101}
	case "since":
		last := int64(math.MinInt64)
		for _, x := range typed("product.viewed") {
			last = max(last, x.atMS)
		}
		if last == math.MinInt64 {
			return math.NaN()
		}
		return float64(max(0, nowMS-last)) / 1000
	case "decayed":
		sum := 0.0
		for _, x := range typed("product.viewed") {
			sum += math.Exp2(-float64(nowMS-x.atMS) / 3_600_000)
		}
		return within{sum, 1e-6}
	}
	panic(f.base)
}

// within is a number that may be missed by a share of it.
type within struct{ want, share float64 }

func agrees(v Value, want any) bool {
	switch w := want.(type) {
	case float64:
		return v.Number == w || math.IsNaN(w) && math.IsNaN(v.Number) || math.Abs(v.Number-w) < 1e-12*math.Abs(w)
	case within:
		return math.Abs(v.Number-w.want) <= w.share*math.Abs(w.want)+2e-6
	case string:
		return v.Text == w
	case []string:
		return slices.Equal(v.List, w)
	}
	return false
}

var zones = []string{"UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"}

func drawSet(t *rapid.T) *Set {
	zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(definitions(), nil, zone)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// drawBegin is a time near which summer time begins or ends in Berlin or New York, or nothing happens.
func drawBegin(t *rapid.T) int64 {
	days := []string{"2026-03-07T20:00:00Z", "2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-10-31T20:00:00Z", "2026-06-30T23:00:00Z", "1970-01-02T00:00:00Z"}
	at, err := time.Parse(time.RFC3339, rapid.SampledFrom(days).Draw(t, "begin"))
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}

func TestFeaturesAgreeWithTheRawEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSet(t)
		begin := drawBegin(t)
		var row Row
		o := Observation{Line: -1, WatermarkMS: math.MinInt64}
		var facts []fact
		clock := begin
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			clock += rapid.SampledFrom([]int64{0, 1000, 30_000, 600_000, 7_200_000, 100_000_000}).Draw(t, "step")
			x := drawFact(t, clock-rapid.SampledFrom([]int64{0, 0, 5000, 3_600_000, 90_000_000}).Draw(t, "late"), clock)
			o.WatermarkMS = clock - 2000
			o.Event, o.TimeMS = x.event(), x.atMS
			s.Observe(&row, &o)
			facts = append(facts, x)
			if rapid.IntRange(0, 7).Draw(t, "encode") == 0 {
				row = reencode(t, s, &row)
			}
		}
		now := clock + rapid.SampledFrom([]int64{0, 1, 59_999, 3_600_000, 86_400_000}).Draw(t, "now")
		compare(t, s, &row, facts, now)
	})
}

func compare(t *rapid.T, s *Set, row *Row, facts []fact, nowMS int64) {
	var view View
	view.Look(s, row, nowMS)
	for i := range s.features {
		f := &s.features[i]
		v, want := s.Value(row, i, nowMS), s.fromFacts(f, facts, nowMS)
		if x := view.Value(i); !reflect.DeepEqual(x, v) && !(math.IsNaN(x.Number) && math.IsNaN(v.Number)) {
			t.Fatalf("%s: in a view %+v, by itself %+v", f.name, x, v)
		}
		var plain []byte
		written, known := view.AppendJSON(nil, i)
		if k := v.Kind == Number && !math.IsNaN(v.Number) || v.Text != "" || len(v.List) > 0; k != known {
			t.Fatalf("%s is %+v and written as %q", f.name, v, written)
		} else if known && f.kind == Number {
			plain = streams.AppendJSONNumber(nil, v.Number)
		} else if known {
			plain = v.appendJSON(nil)
		}
		if string(plain) != string(written) {
			t.Fatalf("%s is %s and written as %s", f.name, plain, written)
		}
		var past History
		for k := range facts {
			past.Add(&Past{Event: facts[k].event(), Line: -1, TimeMS: facts[k].atMS, WatermarkMS: math.MinInt64, Categories: []string{""}})
		}
		if x, passed := s.Naive(i, &past, nowMS, math.MinInt64); passed == "" && !x.Holds(v) {
			t.Fatalf("%s: the row says %+v, the audit expects %+v", f.name, v, x)
		}
		if !agrees(v, want) {
			t.Fatalf("%s at %s in %v: the row says %+v, the raw events %v\nevents %+v", f.name, time.UnixMilli(nowMS).UTC(), s.zone, v, want, facts)
		}
	}
}

// reencode writes a row and reads it back: the same bytes, and the same row.
func reencode(t *rapid.T, s *Set, r *Row) Row {
	b := s.AppendBinary(nil, r)
	back, err := s.Decode(b, s.Layout())
	if err != nil {
		t.Fatalf("decode %x: %v", b, err)
	}
	if again := s.AppendBinary(nil, &back); string(again) != string(b) {
		t.Fatalf("encoded again:\n%x\n%x", b, again)
	}
	return back
}

func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSet(t)
		begin := drawBegin(t)
		var all []fact
		rows := make([]Row, 3)
		for i := range rows {
			o := Observation{Line: -1, WatermarkMS: math.MinInt64}
			for range rapid.IntRange(0, 12).Draw(t, "events") {
				x := drawFact(t, begin, begin+200_000_000)
				o.Event, o.TimeMS = x.event(), x.atMS
				s.Observe(&rows[i], &o)
				all = append(all, x)
			}
		}
		copyOf := func(r *Row) *Row {
			c := reencode(t, s, r)
			return &c
		}
		merged := func(order ...int) *Row {
			into := &Row{}
			for _, i := range order {
				s.Merge(into, copyOf(&rows[i]), &Observation{WatermarkMS: math.MinInt64})
			}
			return into
		}
		left := merged(0, 1, 2)
		right := copyOf(&rows[0])
		s.Merge(right, merged(2, 1), &Observation{WatermarkMS: math.MinInt64})
		for _, other := range []*Row{merged(2, 1, 0), merged(1, 0, 2), right} {
			if a, b := s.AppendBinary(nil, left), s.AppendBinary(nil, other); string(a) != string(b) {
				t.Fatalf("merged in another order:\n%x\n%x", a, b)
			}
		}
		compare(t, s, left, all, begin+200_000_000)
	})
}
