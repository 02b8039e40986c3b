package latency

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantilesAreNeverBelowAndHardlyAboveTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<38), 1, 200).Draw(t, "µs")
		var h Histogram
		for _, v := range values {
			h.Add(time.Duration(v) * time.Microsecond)
		}
		slices.Sort(values)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
			want := time.Duration(values[min(int(q*float64(len(values))), len(values)-1)]) * time.Microsecond
			got := h.Quantile(q)
			if got < want || got > want+want/64+time.Microsecond {
				t.Fatalf("quantile %v of %v µs: got %v, want %v", q, values, got, want)
			}
		}
		if want := time.Duration(values[len(values)-1]) * time.Microsecond; h.Max() != want {
			t.Fatalf("max: got %v, want %v", h.Max(), want)
		}
	})
}

func TestEmptyHistogram(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Fatalf("got %v, %v, %d", h.Quantile(0.5), h.Max(), h.Count())
	}
}
