package models

import (
	"math"
	"testing"
)

// The gradient by every weight of the sequence model, and so of each of its layers, is the slope of its loss.
func TestGradients(t *testing.T) {
	for name, opt := range map[string]SequenceOptions{
		"all items": {Dim: 6, Window: 4, Batch: 5, Rate: .01, Sharpness: 3, Reservoir: 50, Whole: 100, Sampled: 100, Every: 5, Slower: 1000, Slowest: 5},
		"dropout":   {Dim: 6, Window: 4, Batch: 5, Rate: .01, Dropout: .3, Sharpness: 3, Reservoir: 50, Whole: 100, Sampled: 100, Every: 5, Slower: 1000, Slowest: 5},
		"a sample":  {Dim: 6, Window: 4, Batch: 5, Rate: .01, Sharpness: 3, Reservoir: 50, Sampled: 6, Every: 5, Slower: 1000, Slowest: 5},
	} {
		m := NewSequence(opt)
		learn := func(k int) {
			i := func(n int) Item { return Item((k*n + n) % 17) }
			m.Learn(i(3), &Query{Items: []Item{i(1), i(2), i(5), i(7), i(11)}[:1+k%5]})
		}
		for k := range 40 {
			learn(k)
		}
		m.Train(nil)
		for k := range 5 {
			learn(k)
		}
		if !m.due() || !m.begin() {
			t.Fatalf("%s: no step", name)
		}
		x := m.step
		x.tiny = 0 // a loss has no slope by what is drawn
		x.gradients()
		type weight struct {
			name string
			v    []float32
			grad []float32
		}
		checks := []weight{
			{"M", x.query.w.v, clone(x.query.w.grad.v)}, {"W0", x.last.w.v, clone(x.last.w.grad.v)},
			{"W1", x.attended.w.v, clone(x.attended.w.grad.v)}, {"b", x.bias.v, clone(x.bias.grad.v)},
		}
		for row := range x.rows {
			checks = append(checks, weight{"E", x.embed.row(row), clone(x.grads.row(row))})
		}
		for _, c := range checks {
			for i := range c.v {
				const h = 1e-2
				was := c.v[i]
				c.v[i] = was + h
				up := x.gradients()
				c.v[i] = was - h
				down := x.gradients()
				c.v[i] = was
				slope := (up - down) / (2 * h)
				if got := float64(c.grad[i]); math.Abs(got-slope) > 2e-3+.02*math.Abs(slope) {
					t.Errorf("%s: %s[%d]: gradient %.5f, slope %.5f", name, c.name, i, got, slope)
				}
			}
		}
	}
}

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

func TestQuickExp(t *testing.T) {
	for x := float32(0); x > -79; x -= .037 {
		if got, want := float64(quickExp(x)), math.Exp(float64(x)); math.Abs(got-want) > 3e-5*want {
			t.Fatalf("quickExp(%v) = %v, want %v", x, got, want)
		}
	}
	for _, x := range []float32{-81, float32(math.Inf(-1)), float32(math.NaN())} {
		if quickExp(x) != 0 {
			t.Errorf("quickExp(%v) = %v, want 0", x, quickExp(x))
		}
	}
}

// In the mean over all places to begin at, what is rounded is what it was; what is large, and the target, stay as they are.
func TestCoarsen(t *testing.T) {
	const tiny, draws, target = 1.0 / 16, 1000, 3
	grads := []float32{.01, .02, .5, -.9, .06, 0, .001, .03, .0625, .05}
	mean := make([]float64, len(grads))
	for n := range draws {
		for c := range grads {
			grads := clone(grads)
			coarsen(grads, target, tiny, float32(n)/draws, func(at int, g float32) {
				if at == c {
					mean[c] += float64(g) / draws
				}
			})
		}
	}
	for c, g := range grads {
		if exact := c == target || g >= tiny; math.Abs(mean[c]-float64(g)) > 1e-3 || exact && math.Abs(mean[c]-float64(g)) > 1e-6 {
			t.Errorf("gradient %d of %.4f: %.4f in the mean", c, g, mean[c])
		}
	}
}
