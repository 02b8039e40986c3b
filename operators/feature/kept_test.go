package feature

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A pipeline is changed: rows go on under another set, which shares columns with the one before. From when features are said to cover their windows they
// say what those of a row say that the other set has kept from the beginning; and where the plan says how long that takes, it takes no longer.
func TestFeaturesCoverTheirWindowsWhenTheyAreSaidTo(t *testing.T) {
	defs := definitions()
	for name, w := range map[string]Window{"sliding": {Sliding: durations("1h", "24h")}, "tumbling": {Tumbling: durations("1m", "1h")}, "calendar": {Calendar: []string{"day", "week"}}} {
		defs["trend_"+name] = Definition{Trend: []string{"product.viewed"}, Window: w}
	}
	names := slices.Sorted(maps.Keys(defs))
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		some := map[string]Definition{}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 12).Draw(t, "before") {
			d := defs[name]
			if n := len(d.Window.Sliding); n > 1 { // the longest window of a tier decides for how long its tiles are kept
				d.Window.Sliding = d.Window.Sliding[:rapid.IntRange(1, n).Draw(t, "windows")]
			}
			some[name] = d
		}
		old, err := New(some, nil, zone)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(defs, nil, zone)
		if err != nil {
			t.Fatal(err)
		}
		begin := drawBegin(t)
		var row, whole Row
		o := Observation{Line: -1}
		clock := begin
		traffic := func(take func()) {
			for range rapid.IntRange(0, 40).Draw(t, "events") {
				clock += rapid.SampledFrom([]int64{0, 1000, 30_000, 600_000, 7_200_000, 40_000_000}).Draw(t, "step")
				x := drawFact(t, max(begin, clock-rapid.SampledFrom([]int64{0, 0, 5000, 3_600_000}).Draw(t, "late")), clock)
				o.WatermarkMS = clock
				o.Event, o.TimeMS = x.event(), x.atMS
				s.Observe(&whole, &o)
				take()
			}
		}
		traffic(func() { old.Observe(&row, &o) })
		clock++ // nothing of the time from then on came before
		switchedMS := clock
		if row, err = s.Decode(old.AppendBinary(nil, &row), old.Layout()); err != nil {
			t.Fatal(err)
		}
		before, since := map[string]int64{}, map[string]int64{}
		for _, k := range old.Kept() {
			before[k.Key] = k.KeepMS
		}
		for _, k := range s.Kept() {
			since[k.Key] = switchedMS
			if keep, kept := before[k.Key]; kept {
				since[k.Key] = begin
				if keep < k.KeepMS {
					since[k.Key] = max(begin, s.WholeSince(&k, keep, switchedMS))
				}
			}
		}
		until := make([]int64, s.Len())
		for i := range until {
			from := int64(math.MinInt64)
			for _, key := range s.Reads(i) {
				from = max(from, since[key])
			}
			until[i] = s.Covers(i, from)
			if s.features[i].span.kind == lifetime && from == begin {
				until[i] = begin
			}
			kept, warmMS := s.Origin(i, old)
			if s.features[i].span.kind == lifetime {
				if kept != (from == begin) {
					t.Fatalf("%s: kept %v, since %d; the rows begin at %d", s.Name(i), kept, from, begin)
				}
				continue
			}
			if latest := max(switchedMS+warmMS, s.Covers(i, begin)); until[i] > latest+3600_000 { // a day may have 25 hours
				t.Fatalf("%s: kept %v, warm after %d; the node says that it warms until %d, %d after the change", s.Name(i), kept, warmMS, until[i], until[i]-switchedMS)
			}
		}
		traffic(func() { s.Observe(&row, &o) })
		nowMS := clock + rapid.SampledFrom([]int64{0, 1, 59_999, 3_600_000, 86_400_000}).Draw(t, "now")
		for i := range s.Len() {
			if got, want := s.Value(&row, i, nowMS), s.Value(&whole, i, nowMS); nowMS >= until[i] && !reflect.DeepEqual(got, want) && !(math.IsNaN(got.Number) && math.IsNaN(want.Number)) {
				t.Fatalf("%s at %d, warm since %d: %+v; of a row that has had it from the beginning %+v", s.Name(i), nowMS, until[i], got, want)
			}
		}
	})
}
