package feature

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nudge/streams"
)

// closed is one window that was put out.
type closed struct {
	Output   string
	User     string
	Window   string
	Start    time.Time
	End      time.Time
	Features map[string]*float64
}

func (c *closed) String() string {
	n := func(name string) float64 {
		if v := c.Features[name]; v != nil {
			return *v
		}
		return math.NaN()
	}
	return fmt.Sprintf("%s %d..%d n=%v sum=%v min=%v", c.Window, c.Start.UnixMilli(), c.End.UnixMilli(), n("n"), n("sum"), n("min"))
}

// visitor drives a row as the engine does: visits that the watermark has reached come before the event that moved it.
type visitor struct {
	t      *rapid.T
	s      *Set
	row    Row
	o      Observation
	rounds map[int64]bool
	closer Closer
	out    []string
}

func newVisitor(t *rapid.T, s *Set) *visitor {
	v := &visitor{t: t, s: s, o: Observation{Line: -1, WatermarkMS: math.MinInt64}, rounds: map[int64]bool{}}
	v.closer = Closer{Entity: []byte(`"user":"u1"`), Emit: func(w *Closed) {
		b := w.JSON
		var c closed
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		v.out = append(v.out, c.String())
	}}
	return v
}

func (v *visitor) advance(watermarkMS int64) {
	for {
		v.note()
		due := slices.Sorted(maps.Keys(v.rounds))
		if len(due) == 0 || due[0] > watermarkMS {
			break
		}
		delete(v.rounds, due[0])
		v.s.Due(&v.row, due[0], &v.closer)
	}
	v.o.WatermarkMS = watermarkMS
}

func (v *visitor) note() {
	for _, at := range append(v.o.Visits, v.closer.Visits...) {
		if v.o.WatermarkMS != math.MinInt64 && at <= v.o.WatermarkMS {
			v.t.Fatalf("a visit at %d is asked for when the watermark is at %d", at, v.o.WatermarkMS)
		}
		v.rounds[at] = true
	}
	v.o.Visits, v.closer.Visits = v.o.Visits[:0], v.closer.Visits[:0]
}

// windowed is the naive bookkeeping of one kind of window: its values by the window's end.
type windowed struct {
	label  string
	starts func(ms int64) (starts []int64) // of the windows that a time lies in
	end    func(start int64) int64
	open   map[int64][]int64 // prices by start
}

// naiveSession is an open session: the times and prices of its events.
type naiveSession struct{ times, prices []int64 }

func line(label string, start, end int64, prices []int64) string {
	sum, least := int64(0), int64(math.MaxInt64)
	for _, p := range prices {
		sum += p
		least = min(least, p)
	}
	return fmt.Sprintf("%s %d..%d n=%v sum=%v min=%v", label, start, end, float64(len(prices)), micros(sum), micros(least))
}

func TestWindowsCloseOnce(t *testing.T) {
	base := map[string]Definition{
		"n":   {Count: []string{"product.viewed"}},
		"sum": {Sum: "product.viewed.price"}, "min": {Min: "product.viewed.price"},
	}
	defs := map[string]Definition{}
	kinds := map[string]Window{
		"tumbling": {Tumbling: durations("1m", "1h")}, "sliding": {Sliding: durations("10m"), By: durations("1m")[0]},
		"session": {Session: durations("30s")}, "calendar": {Calendar: []string{"day", "week"}},
	}
	var outputs []Output
	for kind, w := range kinds {
		o := Output{Name: kind}
		for name, d := range base {
			d.Window = w
			defs[name+"."+kind] = d
			o.Features = append(o.Features, name+"."+kind)
		}
		slices.Sort(o.Features)
		outputs = append(outputs, o)
	}
	// Features read between closings must not disturb them.
	defs["read"] = Definition{Count: []string{"any"}, Window: Window{Sliding: durations("1h")}}
	slices.SortFunc(outputs, func(a, b Output) int { return compareInt(int64(a.Name[0]), int64(b.Name[0])) })
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(defs, outputs, zone)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.closings { // the names without the kind, as one pipeline would have them for all windows
			for j, f := range s.closings[i].features {
				name, _ := splitName(s.features[f].base)
				lead := string(s.closings[i].fields[j][0])
				s.closings[i].fields[j] = []byte(lead + `"` + name + `":`)
			}
		}
		v := newVisitor(t, s)
		fixed := func(label string, size int64) *windowed {
			return &windowed{label, func(ms int64) []int64 { return []int64{floorDiv(ms, size) * size} }, func(start int64) int64 { return start + size }, map[int64][]int64{}}
		}
		local := func(label string, c clock) *windowed {
			x := &tier{clock: c}
			return &windowed{label, func(ms int64) []int64 { return []int64{s.startOf(x, s.index(x, ms))} }, func(start int64) int64 { return s.endOf(x, s.index(x, start)) }, map[int64][]int64{}}
		}
		all := []*windowed{fixed("1m", 60_000), fixed("1h", 3_600_000), local("day", clockDay), local("week", clockWeek), {
			"10m", func(ms int64) (out []int64) {
				for b := floorDiv(ms, 60_000) * 60_000; b > ms-600_000; b -= 60_000 {
					out = append(out, b)
				}
				return out
			}, func(start int64) int64 { return start + 600_000 }, map[int64][]int64{},
		}}
		var sessions []*naiveSession
		var want []string
		close := func(watermarkMS int64) {
			for _, w := range all {
				for _, start := range slices.Sorted(maps.Keys(w.open)) {
					if w.end(start) <= watermarkMS {
						want = append(want, line(w.label, start, w.end(start), w.open[start]))
						delete(w.open, start)
					}
				}
			}
			sessions = slices.DeleteFunc(sessions, func(x *naiveSession) bool {
				if last := slices.Max(x.times); last+30_000 < watermarkMS {
					want = append(want, line("30s", slices.Min(x.times), last, x.prices))
					return true
				}
				return false
			})
		}
		clock := drawBegin(t)
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			clock += rapid.SampledFrom([]int64{0, 1000, 29_000, 31_000, 600_000, 7_200_000, 100_000_000}).Draw(t, "step")
			x := drawFact(t, clock-rapid.SampledFrom([]int64{0, 0, 2000, 61_000, 3_600_000}).Draw(t, "late"), clock)
			watermark := clock - 2000
			v.advance(watermark)
			close(watermark)
			v.o.Event, v.o.TimeMS = x.event(), x.atMS
			s.Observe(&v.row, &v.o)
			v.note()
			if rapid.IntRange(0, 5).Draw(t, "encode") == 0 {
				v.row = reencode(t, s, &v.row)
			}
			if x.typ != "product.viewed" {
				continue
			}
			for _, w := range all {
				for _, start := range w.starts(x.atMS) {
					if w.end(start) > watermark {
						w.open[start] = append(w.open[start], x.price)
					}
				}
			}
			joined := &naiveSession{[]int64{x.atMS}, []int64{x.price}}
			rest := slices.DeleteFunc(slices.Clone(sessions), func(y *naiveSession) bool {
				if x.atMS >= slices.Min(y.times)-30_000 && x.atMS <= slices.Max(y.times)+30_000 {
					joined.times, joined.prices = append(joined.times, y.times...), append(joined.prices, y.prices...)
					return true
				}
				return false
			})
			if len(rest) < len(sessions) || x.atMS+30_000 >= watermark {
				sessions = append(rest, joined)
			}
		}
		if rapid.Bool().Draw(t, "flush") {
			s.Flush(&v.row, v.o.WatermarkMS, &v.closer)
			close(math.MaxInt64)
		} else {
			v.advance(clock + 100*86_400_000)
			close(clock + 100*86_400_000)
		}
		slices.Sort(want)
		slices.Sort(v.out)
		if !slices.Equal(v.out, want) {
			t.Fatalf("closed\n got %q\nwant %q", v.out, want)
		}
	})
}

func splitName(name string) (before, after string) {
	for i := range name {
		if name[i] == '.' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// An order that is cancelled leaves counts and sums as if it had not been, where its tiles are kept.
func TestOrdersAreTakenBack(t *testing.T) {
	s, err := New(map[string]Definition{
		"orders": {Count: []string{"order.completed"}}, "spend": {Sum: "order.completed.value", Window: Window{Sliding: durations("90d")}},
		"mean": {Mean: "order.completed.value"}, "day": {Sum: "order.completed.value", Window: Window{Tumbling: durations("1d")}},
	}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	const hour = 3_600_000
	var row Row
	o := Observation{Line: -1, WatermarkMS: math.MinInt64}
	observe := func(typ, order string, atMS, value int64) {
		x := fact{atMS: atMS, typ: typ, item: "p1", value: value, order: order}
		o.Event, o.TimeMS, o.WatermarkMS = x.event(), atMS, max(o.WatermarkMS, atMS-hour)
		s.Observe(&row, &o)
	}
	check := func(nowMS int64, orders, spend, mean float64) {
		t.Helper()
		for name, want := range map[string]float64{"orders": orders, "spend": spend, "mean": mean} {
			i, _ := s.Find(name)
			if v := s.Value(&row, i, nowMS); v.Number != want && !(math.IsNaN(want) && math.IsNaN(v.Number)) {
				t.Errorf("%s at %d h is %v, want %v", name, nowMS/hour, v.Number, want)
			}
		}
	}
	observe("order.completed", "o1", 10*hour, 5*streams.Micro)
	observe("order.completed", "o2", 20*hour, 7*streams.Micro)
	observe("order.completed", "", 21*hour, 1*streams.Micro)
	check(22*hour, 3, 13, 13.0/3)
	observe("order.cancelled", "o1", 30*hour, 0)
	check(30*hour, 2, 8, 4)
	observe("order.refunded", "o1", 31*hour, 0) // a second time changes nothing
	observe("order.refunded", "unknown", 31*hour, 0)
	check(31*hour, 2, 8, 4)
	back, err := s.Decode(s.AppendBinary(nil, &row), s.Layout())
	if err != nil {
		t.Fatal(err)
	}
	row = back
	observe("order.refunded", "o2", 40*hour, 0)
	check(40*hour, 1, 1, 1)
}

// An order that no feature counts leaves nothing behind.
func TestOrdersThatDoNotCount(t *testing.T) {
	s, err := New(map[string]Definition{"app": {Sum: "order.completed.value", If: map[string][]string{"channel": {"app"}}}}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var row Row
	for _, typ := range []string{"order.completed", "order.cancelled"} {
		x := fact{atMS: 1000, typ: typ, item: "p1", value: 5, order: "o1"}
		s.Observe(&row, &Observation{Event: x.event(), Line: -1, TimeMS: 1000, WatermarkMS: math.MinInt64})
		if !row.Empty() || len(s.AppendBinary(nil, &row)) > 0 {
			t.Fatalf("after %s the row holds %+v", typ, row)
		}
	}
}

// A changed pipeline keeps what both have and starts the rest empty.
func TestLayoutsAreAdopted(t *testing.T) {
	before := map[string]Definition{
		"views": {Count: []string{"product.viewed"}, Window: Window{Sliding: durations("1h")}}, "last": {Last: "any.item"}, "orders": {Count: []string{"order.completed"}},
	}
	after := map[string]Definition{
		"seen": before["views"], "clicks": {Count: []string{"product.clicked"}, Window: Window{Sliding: durations("1h")}},
		"last": before["last"], "orders": before["orders"], "spend": {Sum: "order.completed.value"},
	}
	old, err := New(before, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := New(after, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var row Row
	o := Observation{Line: -1, WatermarkMS: math.MinInt64}
	for i, x := range []fact{{atMS: 1000, typ: "product.viewed", item: "p1"}, {atMS: 2000, typ: "product.clicked", item: "p2"}, {atMS: 3000, typ: "order.completed", item: "p2", value: 5, order: "o1"}} {
		o.Event, o.TimeMS = x.event(), x.atMS
		old.Observe(&row, &o)
		if i == 0 && o.Late > 0 {
			t.Fatal("late")
		}
	}
	got, err := fresh.Decode(old.AppendBinary(nil, &row), old.Layout())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"seen": 1, "clicks": 0, "orders": 1, "spend": 0} {
		i, _ := fresh.Find(name)
		if v := fresh.Value(&got, i, 4000); v.Number != want {
			t.Errorf("%s is %v, want %v", name, v.Number, want)
		}
	}
	i, _ := fresh.Find("last")
	if v := fresh.Value(&got, i, 4000); v.Text != "p2" {
		t.Errorf("last is %q, want p2", v.Text)
	}
	x := fact{atMS: 5000, typ: "order.cancelled", order: "o1"}
	o.Event, o.TimeMS = x.event(), x.atMS
	fresh.Observe(&got, &o)
	i, _ = fresh.Find("orders")
	if v := fresh.Value(&got, i, 6000); v.Number != 0 {
		t.Errorf("after the cancellation orders is %v, want 0", v.Number)
	}
	again, err := fresh.Decode(fresh.AppendBinary(nil, &got), fresh.Layout())
	if err != nil || string(fresh.AppendBinary(nil, &again)) != string(fresh.AppendBinary(nil, &got)) {
		t.Errorf("an adopted row is not encoded canonically: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	s, err := New(definitions(), nil, time.UTC)
	if err != nil {
		f.Fatal(err)
	}
	var row Row
	o := Observation{Line: -1, WatermarkMS: math.MinInt64}
	for i := range 20 {
		x := fact{atMS: int64(i) * 100_000, typ: "product.viewed", item: fmt.Sprint("p", i%3), price: int64(i)}
		o.Event, o.TimeMS = x.event(), x.atMS
		s.Observe(&row, &o)
		f.Add(s.AppendBinary(nil, &row))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := s.Decode(b, s.Layout())
		if err != nil {
			return
		}
		if again := s.AppendBinary(nil, &r); string(again) != string(b) {
			t.Fatalf("not canonical:\n%x\n%x", b, again)
		}
		for i := range s.Len() {
			s.Value(&r, i, 1_000_000)
		}
	})
}
