package feature

import (
	"fmt"
	"math"
	"testing"
	"time"

	"nudge/streams"
)

// perUser are the columns and windows of the streams benchmark's query A.
func perUser() map[string]Definition {
	w := Window{Tumbling: durations("1m", "1h", "1d")}
	defs := map[string]Definition{
		"sum": {Sum: "any.price", Window: w}, "min": {Min: "any.price", Window: w}, "max": {Max: "any.price", Window: w}, "mean": {Mean: "any.price", Window: w},
	}
	for _, typ := range []string{"list.viewed", "product.viewed", "product.clicked", "product.added", "order.completed", "product.removed"} {
		defs[typ] = Definition{Count: []string{typ}, Window: w}
	}
	return defs
}

// BenchmarkObserve takes an event into a row, and closes the windows that end.
func BenchmarkObserve(b *testing.B) {
	sliding := func(n int, spans ...string) map[string]Definition {
		defs := map[string]Definition{}
		for i := range n {
			typ := []string{"product.viewed", "product.clicked", "product.added", "page.viewed"}[i%4]
			d := Definition{Count: []string{typ}, Window: Window{Sliding: durations(spans[i%len(spans)])}}
			if i%3 == 1 {
				d = Definition{Sum: typ + ".price", Window: d.Window}
			}
			defs[fmt.Sprint("f", i)] = d
		}
		return defs
	}
	for _, x := range []struct {
		name    string
		defs    map[string]Definition
		outputs []Output
	}{
		{"query A", perUser(), []Output{{"a", []string{"list.viewed", "product.viewed", "product.clicked", "product.added", "order.completed", "product.removed", "sum", "min", "max", "mean"}}}},
		{"one window of 5 min", sliding(1, "5m"), nil},
		{"one window of 90 days", sliding(1, "90d"), nil},
		{"5 features", sliding(5, "1h", "24h"), nil},
		{"60 features over 8 windows", sliding(60, "5m", "10m", "1h", "2h", "24h", "7d", "30d", "90d"), nil},
	} {
		b.Run(x.name, func(b *testing.B) {
			s, err := New(x.defs, x.outputs, time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			var row Row
			o := Observation{Line: -1, WatermarkMS: math.MinInt64}
			closer := Closer{Entity: []byte(`"user":"u1"`), Emit: func(*Closed) {}}
			e := &streams.Event{Type: streams.ProductViewed, Lines: []streams.Line{{ID: "p1", Price: 5_000_000, HasPrice: true, Quantity: 1}}}
			types := []streams.Type{streams.ListViewed, streams.ProductViewed, streams.ProductClicked, streams.ProductAdded, streams.PageViewed}
			b.ReportAllocs()
			at := int64(0)
			for i := 0; b.Loop(); i++ {
				at += 15_000
				later := o.Visits[:0]
				for _, visit := range o.Visits {
					if visit <= at-2000 {
						s.Due(&row, visit, &closer)
					} else {
						later = append(later, visit)
					}
				}
				o.Visits = later
				e.Type = types[i%len(types)]
				o.Event, o.TimeMS, o.WatermarkMS = e, at, at-2000
				s.Observe(&row, &o)
			}
		})
	}
}

// BenchmarkSketches takes an event into a window of one sketch that has met a thousand values: what Estimate goes by.
func BenchmarkSketches(b *testing.B) {
	day := Window{Sliding: durations("1d")}
	for _, x := range []struct {
		name string
		def  Definition
	}{
		{"distinct", Definition{Distinct: "product.viewed.item", Window: day}},
		{"top_k", Definition{TopK: "product.viewed.item", K: 5, Window: day}},
		{"quantile", Definition{Quantile: "product.viewed.price", Q: .5, Window: day}},
		{"decayed", Definition{Decayed: "product.viewed", HalfLife: Duration(time.Hour)}},
		{"last", Definition{Last: "product.viewed.item"}},
		{"sequence", Definition{Sequence: "product.viewed.item", K: 20}},
	} {
		b.Run(x.name, func(b *testing.B) {
			s, err := New(map[string]Definition{"f": x.def}, nil, time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			var row Row
			o := Observation{Line: -1, WatermarkMS: math.MinInt64}
			e := &streams.Event{Type: streams.ProductViewed, Lines: []streams.Line{{HasPrice: true, Quantity: 1}}}
			ids := make([]string, 1000)
			for i := range ids {
				ids[i] = fmt.Sprint("SKU-", i)
			}
			events := make([]string, 100_000)
			for i := range events {
				events[i] = fmt.Sprint("e", i)
			}
			for i := 0; b.Loop(); i++ {
				e.ID = events[i%len(events)]
				e.Lines[0].ID, e.Lines[0].Price = ids[i*7%1000], int64(i*7%1000+1)*1_000_000
				o.Event, o.TimeMS = e, int64(i)*1000
				s.Observe(&row, &o)
			}
		})
	}
}
