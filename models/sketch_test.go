package models_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"nudge/models"
)

// The sketches that live in their bytes, each with what it adds of a number.
var sketches = []struct {
	name  string
	add   func(b []byte, x int64) []byte
	merge func(into, from []byte) []byte
	check func(b []byte) error
}{
	{"HyperLogLog", func(b []byte, x int64) []byte { return models.HLLAdd(b, xxhash.Sum64String(fmt.Sprint(x))) }, models.HLLMerge, models.HLLCheck},
	{"Quantiles", models.QuantilesAdd, models.QuantilesMerge, models.QuantilesCheck},
	{"Quantiles below 0, too", func(b []byte, x int64) []byte { return models.QuantilesAdd(b, (x-1500)*(x-1500)*(x-1500)) }, models.QuantilesMerge, models.QuantilesCheck},
	{"TopK", func(b []byte, x int64) []byte { return models.TopKAdd(b, occurrence(int(x)), fmt.Sprint("t", x%150)) }, models.TopKMerge, models.TopKCheck},
	{"TopK of few", func(b []byte, x int64) []byte { return models.TopKAdd(b, occurrence(int(x)), fmt.Sprint("t", x%50)) }, models.TopKMerge, models.TopKCheck},
	{"Decayed", func(b []byte, x int64) []byte { return models.DecayedAdd(b, x%1000+1, x*50, 60_000) }, models.DecayedMerge, models.DecayedCheck},
}

// However values are split and in whatever order they come, the bytes are the same: so merging is associative and commutative.
func TestSketchesAreOrderFree(t *testing.T) {
	for _, k := range sketches {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				values := rapid.SliceOfN(rapid.Int64Range(0, 3000), 0, 400).Draw(t, "values")
				parts := make([][]byte, 3)
				var all []byte
				for _, x := range values {
					all = k.add(all, x)
					i := rapid.IntRange(0, 2).Draw(t, "part")
					parts[i] = k.add(parts[i], x)
				}
				for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
					var merged []byte
					for _, i := range order {
						merged = k.merge(merged, slices.Clone(parts[i]))
					}
					if string(merged) != string(all) {
						t.Fatalf("merged in the order %v:\n%x\nadded one by one:\n%x", order, merged, all)
					}
				}
				right := k.merge(slices.Clone(parts[1]), slices.Clone(parts[2]))
				if got := k.merge(slices.Clone(parts[0]), right); string(got) != string(all) {
					t.Fatalf("a(bc):\n%x\nadded one by one:\n%x", got, all)
				}
				if err := k.check(all); err != nil {
					t.Fatalf("%x: %v", all, err)
				}
			})
		})
	}
}

func TestSketchErrors(t *testing.T) {
	for _, n := range []int{1, 10, 500, 5000, 200_000} {
		var hll []byte
		for i := range n {
			hll = models.HLLAdd(hll, xxhash.Sum64String(fmt.Sprint("v", i)))
		}
		if got := models.HLLEstimate(hll); math.Abs(got-float64(n)) > 0.08*float64(n)+0.5 { // three and a half standard errors
			t.Errorf("%d distinct values are estimated as %v", n, got)
		}
	}
	for _, from := range []int64{0, 300_000, 2_000_000} {
		var q []byte
		var values []int64
		for i := range int64(5000) {
			x := i*i%1_000_003 - from
			values = append(values, x)
			q = models.QuantilesAdd(q, x)
		}
		slices.Sort(values)
		for _, p := range []float64{0, 0.01, 0.3, 0.5, 0.9, 0.99, 1} {
			want := float64(values[max(0, int(math.Ceil(p*float64(len(values))))-1)])
			if got := models.QuantilesValue(q, p); math.Abs(got-want) > 0.0101*math.Abs(want) {
				t.Errorf("from %d on the %v-quantile is %v, want %v within 1 %%", -from, p, got, want)
			}
		}
	}
	var least []byte
	least = models.QuantilesAdd(models.QuantilesAdd(least, math.MinInt64), math.MaxInt64)
	if low, high := models.QuantilesValue(least, 0), models.QuantilesValue(least, 1); math.Abs(low+high) > 1 || math.Abs(high-math.MaxInt64) > 0.0101*math.MaxInt64 || models.QuantilesCheck(least) != nil {
		t.Errorf("the least and the greatest number there are come back as %v and %v", low, high)
	}
	var top []byte
	for i := range 60 {
		for n := range i + 1 {
			top = models.TopKAdd(top, occurrence(i, n), fmt.Sprint("text ", i))
		}
	}
	if texts, counts := models.TopKValue(top, 2); !slices.Equal(texts, []string{"text 59", "text 58"}) || !slices.Equal(counts, []uint64{60, 59}) {
		t.Errorf("the top two are %v %v", texts, counts)
	}
	var d []byte
	sum := 0.0
	for i := range int64(200) {
		d = models.DecayedAdd(d, 1_000_000, i*10_000, 60_000)
		sum += math.Exp2(-float64(2_000_000-i*10_000) / 60_000)
	}
	if got := models.DecayedValue(d, 2_000_000, 60_000) / 1e6; math.Abs(got-sum) > 1e-5*sum {
		t.Errorf("the decayed sum is %v, want %v", got, sum)
	}
}

func occurrence(event ...int) uint32 { return uint32(xxhash.Sum64String(fmt.Sprint(event))) }

// Beyond 64 texts the counts come from a sample, whose error is what it should be: the frequent texts are listed, of which there are few.
func TestTopKSamples(t *testing.T) {
	const n, many = 4000, 500
	var off, squares float64
	const runs = 40
	for run := range runs {
		var top []byte
		for i := range n {
			text := fmt.Sprint("rare ", i%many)
			switch {
			case i%10 < 3:
				text = "first" // 30 %
			case i%10 == 3:
				text = "second" // 10 %
			}
			top = models.TopKAdd(top, occurrence(run, i), text)
		}
		if err := models.TopKCheck(top); err != nil {
			t.Fatal(err)
		}
		texts, counts := models.TopKValue(top, 2)
		if !slices.Equal(texts, []string{"first", "second"}) {
			t.Errorf("run %d lists %q", run, texts)
		}
		error := float64(counts[0])/n - 0.3
		off += error / runs
		squares += error * error / runs
		if len(top) > models.TopKMost {
			t.Errorf("it takes %d bytes, at most %d are promised", len(top), models.TopKMost)
		}
	}
	want := math.Sqrt(0.3 * 0.7 / 256)
	if sd := math.Sqrt(squares); sd > 1.5*want || math.Abs(off) > 3.5*want/math.Sqrt(runs) {
		t.Errorf("the share of 30 %% has an error of %v +- %v, want 0 +- %v", off, sd, want)
	}
}

func FuzzSketches(f *testing.F) {
	for i, k := range sketches {
		var b []byte
		for x := range int64(50) {
			b = k.add(b, x*x)
		}
		f.Add(i, b)
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		k := sketches[uint(i)%uint(len(sketches))]
		if k.check(b) != nil {
			return
		}
		if again := k.merge(nil, slices.Clone(b)); string(again) != string(b) {
			t.Fatalf("%s: not canonical:\n%x\n%x", k.name, b, again)
		}
	})
}
