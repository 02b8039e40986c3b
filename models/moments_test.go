package models

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Moments agree with sums over all values, whatever the parts, and are read back as they were.
func TestMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 2, 100).Draw(t, "values")
		cut := rapid.IntRange(0, len(values)).Draw(t, "cut")
		var a, b Moments
		sum, squares := 0.0, 0.0
		for i, x := range values {
			if i < cut {
				a.Add(x)
			} else {
				b.Add(x)
			}
			sum += x
		}
		b.Add(math.NaN())
		a.Merge(&b)
		n := float64(len(values))
		for _, x := range values {
			squares += (x - sum/n) * (x - sum/n)
		}
		spread := math.Sqrt(squares / n)
		if spread < 1e-3 {
			return
		}
		x := values[0]
		want, got := (x-sum/n)/spread, a.Standardise(x)
		if math.Abs(want-got) > 1e-6*(1+math.Abs(want)) {
			t.Fatalf("%v stands at %v, want %v", x, got, want)
		}
		var back Moments
		if err := back.UnmarshalBinary(a.AppendBinary(nil)); err != nil || back != a {
			t.Fatalf("read back as %+v, %v", back, err)
		}
	})
	var m Moments
	m.Add(5)
	if m.Standardise(9) != 0 {
		t.Error("one value has a spread")
	}
	m.Add(5)
	if m.Standardise(9) != 0 {
		t.Error("two values that are the same have a spread")
	}
	for _, bad := range [][]byte{nil, make([]byte, 23), append([]byte{0xff, 0xf8}, make([]byte, 22)...)} {
		if m.UnmarshalBinary(bad) == nil {
			t.Errorf("%x is read", bad)
		}
	}
}
