package feature_test

import (
	"fmt"
	"math"
	"time"

	"nudge/operators/feature"
	"nudge/streams"
)

func Example() {
	s, err := feature.New(map[string]feature.Definition{
		"views_1h": {Count: []string{"product.viewed"}, Window: feature.Window{Sliding: []feature.Duration{feature.Duration(time.Hour)}}},
	}, nil, time.UTC)
	if err != nil {
		panic(err)
	}
	var row feature.Row
	o := feature.Observation{Line: -1, WatermarkMS: math.MinInt64}
	for minute := range int64(3) {
		o.Event = &streams.Event{Type: streams.ProductViewed}
		o.TimeMS = minute * 60_000
		s.Observe(&row, &o)
	}
	i, _ := s.Find("views_1h")
	fmt.Println(s.Value(&row, i, 2*60_000).Number, s.Value(&row, i, 61*60_000).Number)
	// Output: 3 1
}
