package feature

import (
	"math"
	"testing"
	"time"

	"nudge/streams"
)

// Steps for texts look at what is aggregated, not at the number that becomes of it.
func TestTransformsOfTexts(t *testing.T) {
	texts := func(d Definition, steps ...Transform) Definition {
		d.K, d.Transform = max(d.K, 3), steps
		return d
	}
	s, err := New(map[string]Definition{
		"shoes":  texts(Definition{Last: "any.item"}, Transform{OneHot: "shoes"}),
		"socks":  texts(Definition{Last: "any.item"}, Transform{OneHot: "socks"}),
		"slot":   texts(Definition{First: "any.item"}, Transform{Hash: 1000}),
		"walked": texts(Definition{Sequence: "any.item"}, Transform{OneHot: "boots"}),
		"topped": texts(Definition{TopK: "any.item"}, Transform{OneHot: "socks"}),
	}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var r, nothing Row
	o := Observation{Line: -1, WatermarkMS: math.MinInt64}
	for i, item := range []string{"boots", "shoes"} {
		o.Event = &streams.Event{Type: streams.ProductViewed, Name: "product.viewed", User: "u", Lines: []streams.Line{{ID: item, Quantity: 1}}}
		o.TimeMS = int64(i) * 1000
		s.Observe(&r, &o)
	}
	for name, want := range map[string]float64{"shoes": 1, "socks": 0, "slot": float64(hashText("boots") % 1000), "walked": 1, "topped": 0} {
		i, _ := s.Find(name)
		if v := s.Value(&r, i, 5000); v.Kind != Number || v.Number != want {
			t.Errorf("%s is %+v, want %v", name, v, want)
		}
		v := s.Value(&nothing, i, 5000)
		if unknown := math.IsNaN(v.Number); v.Kind != Number || unknown != (name == "slot") || !unknown && v.Number != 0 {
			t.Errorf("%s of nothing is %+v", name, v)
		}
	}
	_, err = New(map[string]Definition{"x": texts(Definition{Sequence: "any.item"}, Transform{Hash: 8})}, nil, time.UTC)
	if err == nil {
		t.Error("a hash of a list was taken")
	}
}
