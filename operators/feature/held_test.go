package feature

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nudge/streams"
)

// ofOrders is every aggregate over orders, and over whatever happens.
func ofOrders() map[string]Definition {
	defs := map[string]Definition{}
	for name, w := range map[string]Window{"life": {}, "1h": {Sliding: durations("1h")}, "day": {Calendar: []string{"day"}}} {
		for agg, d := range map[string]Definition{
			"count": {Count: []string{"order.completed"}}, "any": {Count: []string{"any"}}, "sum": {Sum: "order.completed.value"}, "mean": {Mean: "any.price"},
			"min": {Min: "order.completed.value"}, "max": {Max: "any.price"}, "first": {First: "order.completed.item"}, "last": {Last: "any.item"},
			"firstprice": {First: "any.price"}, "kinds": {Distinct: "order.completed.item"}, "top": {TopK: "any.item", K: 3}, "middle": {Quantile: "order.completed.value", Q: 0.5},
			"path": {Sequence: "any.item", K: 4}, "gap": {Gap: []string{"order.completed"}}, "often": {Frequency: []string{"any"}},
			"paid": {Sum: "any.amount"}, "paidleast": {Min: "order.completed.amount"}, "paidmiddle": {Quantile: "any.amount", Q: 0.5},
			"dear": {Min: "any.price", If: map[string][]string{"price": {">= 2"}}},
		} {
			d.Unit, d.K, d.Window = "m", max(d.K, 1), w
			defs[agg+"_"+name] = d
		}
	}
	defs["since"] = Definition{Since: []string{"order.completed"}, Unit: "s"}
	defs["heat"] = Definition{Decayed: "any", HalfLife: durations("1h")[0]}
	return defs
}

// An order that is taken back has never been there, whatever is asked of it: a row that was told of it says what one says that was not. Of the last
// eight orders; earlier ones stay. (How far a session reaches is not undone: there is none here.)
func TestOrdersThatAreTakenBackWereNeverThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(ofOrders(), nil, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		begin := drawBegin(t)
		type kept struct {
			atMS  int64
			order string
			facts []int
		}
		var row Row
		var all []fact
		var orders []kept // that can be taken back
		gone := map[int]bool{}
		o := Observation{Line: -1, WatermarkMS: math.MinInt64}
		observe := func(x fact) {
			o.Event, o.TimeMS = x.event(), x.atMS
			s.Observe(&row, &o)
			all = append(all, x)
		}
		for range rapid.IntRange(0, 50).Draw(t, "events") {
			at := begin + rapid.Int64Range(0, 4*3600_000).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				x := drawFact(t, at, at)
				x.order = "" // nothing can take it back
				observe(x)
			case 1:
				x := drawFact(t, at, at)
				x.typ, x.item, x.order = "order.completed", rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(t, "ordered"), fmt.Sprint("n", len(all))
				if len(orders) > 0 && rapid.IntRange(0, 4).Draw(t, "in parts") == 0 {
					k := &orders[rapid.IntRange(0, len(orders)-1).Draw(t, "part of")]
					x.atMS, x.order = k.atMS, k.order
					k.facts = append(k.facts, len(all))
				} else {
					orders = append(orders, kept{x.atMS, x.order, []int{len(all)}})
				}
				observe(x)
			case 2:
				if len(orders) > 0 {
					i := rapid.IntRange(0, len(orders)-1).Draw(t, "cancelled")
					for _, k := range orders[i].facts {
						gone[k] = true
					}
					observe(fact{atMS: at, typ: "order.cancelled", order: orders[i].order})
					orders = slices.Delete(orders, i, i+1)
				}
			default:
				row = reencode(t, s, &row)
			}
			hashed := func(x kept) placed {
				return placed{id: OrderID((&fact{typ: "order.completed", order: x.order}).event()), atMS: x.atMS}
			}
			slices.SortFunc(orders, func(a, b kept) int { x, y := hashed(a), hashed(b); return comparePlaced(&x, &y) })
			orders = orders[max(0, len(orders)-keptOrders):]
		}
		var fresh Row
		var past History
		for k := range all {
			if !gone[k] {
				o.Event, o.TimeMS = all[k].event(), all[k].atMS
				s.Add(&fresh, &o) // which takes nothing back
				past.Add(&Past{Event: all[k].event(), Line: -1, TimeMS: all[k].atMS, WatermarkMS: math.MinInt64, Categories: []string{""}})
			}
		}
		now := begin + rapid.Int64Range(0, 5*3600_000).Draw(t, "now")
		for i := range s.Len() {
			got, want := s.Value(&row, i, now), s.Value(&fresh, i, now)
			if !reflect.DeepEqual(got, want) && !(math.IsNaN(got.Number) && math.IsNaN(want.Number) && got.Text == want.Text && len(got.List)+len(want.List) == 0) && math.Abs(got.Number-want.Number) > 1e-5*math.Abs(want.Number) {
				t.Fatalf("%s: %+v, without what was taken back %+v", s.Name(i), got, want)
			}
		}
	})
}

// Of an order of many lines sketches keep all: it goes into the tiles at once.
func TestLargeOrdersStayInSketches(t *testing.T) {
	s, err := New(map[string]Definition{"kinds": {Distinct: "order.completed.item", Unit: "d"}, "least": {Min: "order.completed.price", Unit: "d"}}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	e := (&fact{typ: "order.completed", order: "o1", item: "p0"}).event()
	for i := range mostHeld {
		e.Lines = append(e.Lines, streams.Line{ID: fmt.Sprint("p", i+1), Price: int64(i + 1), HasPrice: true, Quantity: 1})
	}
	var row Row
	o := Observation{Line: -1, WatermarkMS: math.MinInt64, Event: e}
	s.Observe(&row, &o)
	o.Event = (&fact{typ: "order.cancelled", order: "o1"}).event()
	s.Observe(&row, &o)
	for name, want := range map[string]float64{"kinds": mostHeld + 1, "least": math.NaN()} {
		i, _ := s.Find(name)
		if got := s.Value(&row, i, 0).Number; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// A row that was written when orders had nothing of their own is read: what it counts stays right, and an order of then stays in what can't be subtracted.
func TestRowsOfOrdersThatHadNothingOfTheirOwn(t *testing.T) {
	s, err := New(map[string]Definition{"spend": {Sum: "order.completed.value", Unit: "d"}, "most": {Max: "order.completed.value", Unit: "d"}}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var before Layout
	for line := range strings.Lines(string(s.Layout())) {
		if !strings.HasPrefix(line, "held ") {
			before += Layout(line)
		}
	}
	old, err := parseLayout(before)
	if err != nil || before == s.Layout() {
		t.Fatalf("%q, %v", before, err)
	}
	order := func(atMS int64, id string, value int64) *Observation {
		return &Observation{Line: -1, WatermarkMS: math.MinInt64, TimeMS: atMS, Event: (&fact{typ: "order.completed", order: id, item: "p", value: value}).event()}
	}
	var written Row
	for i, id := range []string{"o1", "o2"} {
		o := order(int64(i), id, int64(i+1)*streams.Micro)
		s.Add(&written, o)
		written.orders = append(written.orders, placed{OrderID(o.Event), o.TimeMS, s.measured(o), nil})
	}
	row, err := s.Decode(old.AppendBinary(nil, &written), before)
	if err != nil {
		t.Fatal(err)
	}
	s.Observe(&row, order(3, "o3", 9*streams.Micro))
	for _, x := range []struct {
		cancelled   string
		spend, most float64
	}{{"", 12, 9}, {"o3", 3, 2}, {"o2", 1, 2}} {
		s.Observe(&row, &Observation{Line: -1, WatermarkMS: math.MinInt64, TimeMS: 5, Event: (&fact{typ: "order.cancelled", order: x.cancelled}).event()})
		spend, _ := s.Find("spend")
		most, _ := s.Find("most")
		if a, b := s.Value(&row, spend, 9).Number, s.Value(&row, most, 9).Number; a != x.spend || b != x.most {
			t.Errorf("without %q %v was spent, %v at most; want %v and %v", x.cancelled, a, b, x.spend, x.most)
		}
	}
}

// Rows of more orders than are remembered merge in any order, what orders have of their own and all.
func TestRowsOfManyOrdersMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		defs := ofOrders()
		defs["visit"] = Definition{Max: "order.completed.value", Window: Window{Session: durations("30m")}, Unit: "d"}
		s, err := New(defs, nil, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]Row, 3)
		for i := range rows {
			o := Observation{Line: -1, WatermarkMS: math.MinInt64}
			for range rapid.IntRange(0, 14).Draw(t, "orders") {
				x := drawFact(t, 0, 0)
				n := rapid.IntRange(0, 25).Draw(t, "order")
				x.typ, x.item, x.order, x.atMS = "order.completed", rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(t, "of"), fmt.Sprint("o", n), int64(n%13)*600_000
				if len(x.order) == 3 && x.price%5 == 0 { // a large one
					e := x.event()
					for k := range 20 {
						e.Lines = append(e.Lines, streams.Line{ID: fmt.Sprint("q", k), Price: int64(k), HasPrice: true, Quantity: 1})
					}
					o.Event = e
				} else {
					o.Event = x.event()
				}
				o.TimeMS = x.atMS
				s.Observe(&rows[i], &o)
			}
		}
		merged := func(order ...int) *Row {
			into := &Row{}
			for _, i := range order {
				from := reencode(t, s, &rows[i])
				s.Merge(into, &from, &Observation{WatermarkMS: math.MinInt64})
			}
			if len(into.orders) > keptOrders {
				t.Fatalf("%d orders are remembered", len(into.orders))
			}
			return into
		}
		left := s.AppendBinary(nil, merged(0, 1, 2))
		right := reencode(t, s, &rows[0])
		s.Merge(&right, merged(2, 1), &Observation{WatermarkMS: math.MinInt64})
		for _, other := range []*Row{merged(2, 1, 0), merged(1, 0, 2), &right} {
			if b := s.AppendBinary(nil, other); string(b) != string(left) {
				t.Fatalf("merged in another order:\n%x\n%x", left, b)
			}
		}
	})
}
