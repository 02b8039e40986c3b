package models

import (
	"encoding/binary"
	"fmt"
	"math"

	"gorgonia.org/tensor"
)

// The parts that neural models are put together from. A part has a forward and a backward pass; the backward pass takes the gradient of the
// loss by what the forward pass gave, leaves that by the part's own weights in them, and returns that by its input. Matrices are row-major
// float32, a row for each example of a batch; gradient checks of all of them are in layers_test.go.

// matrix is rows × cols numbers, and the tensor on them.
type matrix struct {
	v    []float32
	cols int
	t    *tensor.Dense
}

func newMatrix(rows, cols int) matrix { return matrixOn(make([]float32, rows*cols), cols) }

func matrixOn(v []float32, cols int) matrix {
	return matrix{v, cols, tensor.New(tensor.WithShape(len(v)/cols, cols), tensor.WithBacking(v))}
}

func (m *matrix) row(i int) []float32 { return m.v[i*m.cols : (i+1)*m.cols] }

// multiply sets c = a·b, either transposed where asked. Shapes are fixed when models are made: that they do not fit is a bug.
func multiply(c, a, b *matrix, transposeA, transposeB bool) {
	must := func(err error) {
		if err != nil {
			panic("models: " + err.Error())
		}
	}
	if transposeA {
		must(a.t.T())
		defer a.t.UT()
	}
	if transposeB {
		must(b.t.T())
		defer b.t.UT()
	}
	_, err := a.t.MatMul(b.t, tensor.WithReuse(c.t))
	must(err)
}

// weights are a matrix that is learned, with what Adam keeps of each (Kingma, Ba 2015).
type weights struct {
	matrix
	grad         matrix
	mean, square []float32
}

func newWeights(rows, cols int, initial func(i, j int) float32) weights {
	w := weights{matrix: newMatrix(rows, cols), grad: newMatrix(rows, cols), mean: make([]float32, rows*cols), square: make([]float32, rows*cols)}
	for i := range rows {
		for j := range cols {
			w.v[i*cols+j] = initial(i, j)
		}
	}
	return w
}

// adam is the pace of one step.
type adam struct{ rate float32 }

const adamMean, adamSquare, adamSmall = 0.9, 0.999, 1e-8

// newAdam returns the pace of the step after so many.
func newAdam(rate float64, steps uint64) adam {
	power := func(x float64) float64 { return Exp(float64(steps+1) * Log(x)) }
	return adam{float32(rate * math.Sqrt(1-power(adamSquare)) / (1 - power(adamMean)))}
}

// step moves values against their gradient.
func (a adam) step(value, mean, square, grad []float32) {
	for i, g := range grad {
		mean[i] = float32(adamMean*mean[i]) + float32((1-adamMean)*g)
		square[i] = float32(adamSquare*square[i]) + float32((1-adamSquare)*float32(g*g))
		value[i] -= float32(a.rate*mean[i]) / (float32(math.Sqrt(float64(square[i]))) + adamSmall)
	}
}

// set makes the weights those of others of the same shape.
func (w *weights) set(o *weights) {
	copy(w.v, o.v)
	copy(w.mean, o.mean)
	copy(w.square, o.square)
}

func (a adam) update(w *weights) { a.step(w.v, w.mean, w.square, w.grad.v) }

// append appends the encoding of the weights and of what Adam keeps of them.
func (w *weights) append(b []byte) []byte {
	for _, x := range [][]float32{w.v, w.mean, w.square} {
		b = appendFloats(b, x)
	}
	return b
}

// load is the inverse of append; it returns what is left of b.
func (w *weights) load(b []byte) ([]byte, error) {
	for _, x := range [][]float32{w.v, w.mean, w.square} {
		if len(b) < 4*len(x) {
			return nil, fmt.Errorf("models: %d bytes of weights, want %d", len(b), 4*len(x))
		}
		if err := loadFloats(x, b); err != nil {
			return nil, err
		}
		b = b[4*len(x):]
	}
	return b, nil
}

func appendFloats(b []byte, x []float32) []byte {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// loadFloats fills x from b, which holds at least as many.
func loadFloats(x []float32, b []byte) error {
	for i := range x {
		v := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if v != v || math.IsInf(float64(v), 0) {
			return fmt.Errorf("models: a weight is %v", v)
		}
		x[i] = v
	}
	return nil
}

// linear is y = x·w.
type linear struct{ w weights }

func (l *linear) forward(y, x *matrix) { multiply(y, x, &l.w.matrix, false, false) }

// backward sets dx, and the gradient of w.
func (l *linear) backward(dx, dy, x *matrix) {
	multiply(&l.w.grad, x, dy, true, false)
	multiply(dx, dy, &l.w.matrix, false, true)
}

// attention asks, with a query for each example, for the mean of its items' embeddings, each with the weight
//
//	p_j = softmax_j(query · e_j / √d + bias_j)
//
// The bias is 1 × window. Where drop says so, an item is left out.
type attention struct {
	p, ds matrix // examples × window
}

func newAttention(examples, window int) attention {
	return attention{p: newMatrix(examples, window), ds: newMatrix(examples, window)}
}

// forward sets y for the items of each example, rows of embed; -1 stands for none. The first is never left out.
func (a *attention) forward(y, query, embed *matrix, bias *weights, items func(k int) []int32, drop func(k, j int) bool) {
	scale := float32(1 / math.Sqrt(float64(embed.cols)))
	for k := range len(y.v) / y.cols {
		of, p, q := items(k), a.p.row(k), query.row(k)
		best := float32(math.Inf(-1))
		for j, i := range of {
			p[j] = float32(math.Inf(-1))
			if i >= 0 && (j == 0 || !drop(k, j)) {
				p[j] = float32(scale*dot(q, embed.row(int(i)))) + bias.v[j]
				best = max(best, p[j])
			}
		}
		sum := float32(0)
		for j := range p {
			p[j] = quickExp(p[j] - best)
			sum += p[j]
		}
		to := y.row(k)
		clear(to)
		for j, i := range of {
			p[j] /= sum
			if p[j] > 0 {
				addScaled(to, p[j], embed.row(int(i)))
			}
		}
	}
}

// backward sets dquery and the gradient of the bias, and adds to the rows of dembed.
func (a *attention) backward(dquery, dy, query, embed *matrix, bias *weights, items func(k int) []int32, dembed func(i int32) []float32) {
	scale := float32(1 / math.Sqrt(float64(embed.cols)))
	clear(dquery.v)
	clear(bias.grad.v)
	for k := range len(dy.v) / dy.cols {
		of, p, ds, d, q, dq := items(k), a.p.row(k), a.ds.row(k), dy.row(k), query.row(k), dquery.row(k)
		mean := float32(0)
		for j, i := range of {
			if p[j] > 0 {
				ds[j] = dot(d, embed.row(int(i)))
				mean += float32(p[j] * ds[j])
			}
		}
		for j, i := range of {
			if p[j] > 0 {
				g := p[j] * (ds[j] - mean)
				bias.grad.v[j] += g
				g *= scale
				addScaled(dq, g, embed.row(int(i)))
				to := dembed(i)
				addScaled(to, p[j], d)
				addScaled(to, g, q)
			}
		}
	}
}

// normalise sets to the rows of x, each divided by its length, times sharp; lengths keeps the lengths.
func normalise(to, x *matrix, lengths []float32, sharp float32) {
	for i := range lengths {
		from := x.row(i)
		lengths[i] = length(from)
		f := sharp / lengths[i]
		for j, v := range from {
			to.v[i*to.cols+j] = v * f
		}
	}
}

// unnormalise turns the gradient by normalised rows, in place, into that by the rows before.
func unnormalise(grad, to *matrix, lengths []float32, sharp float32) {
	for i := range lengths {
		g, u := grad.row(i), to.row(i)
		along := dot(g, u) / (sharp * sharp)
		f := sharp / lengths[i]
		for j := range g {
			g[j] = (g[j] - float32(along*u[j])) * f
		}
	}
}

func length(x []float32) float32 { return float32(math.Sqrt(float64(dot(x, x)) + 1e-12)) }

// softmaxLoss turns each row of scores into the gradient of the mean of -log P(target), and returns that mean.
func softmaxLoss(scores *matrix, target func(k int) int) (loss float64) {
	n := len(scores.v) / scores.cols
	for k := range n {
		row := scores.row(k)
		best := float32(math.Inf(-1))
		for _, x := range row {
			best = max(best, x)
		}
		sum := float32(0)
		t := target(k)
		loss -= float64(row[t] - best)
		for i := range row {
			row[i] = quickExp(row[i] - best)
			sum += row[i]
		}
		loss += Log(float64(sum))
		f := 1 / (sum * float32(n))
		for i := range row {
			row[i] *= f
		}
		row[t] -= 1 / float32(n)
	}
	return loss / float64(n)
}

// dot is the inner product, in four sums that are added up at the end: they do not wait for each other.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float32(a[i] * b[i])
		s1 += float32(a[i+1] * b[i+1])
		s2 += float32(a[i+2] * b[i+2])
		s3 += float32(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float32(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}

// addScaled adds f·x to y.
func addScaled(y []float32, f float32, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] += float32(f * x[i])
	}
}

// quickExp is e^x for x ≤ 0, to 3e-5 of the value: as good as a softmax in float32 asks for.
func quickExp(x float32) float32 {
	if !(x > -80) {
		return 0
	}
	y := float64(float64(x) * math.Log2E)
	k := math.Floor(y)
	f := y - k
	v := 0.00015403530
	for _, c := range [...]float64{0.0013333558, 0.0096181291, 0.0555041087, 0.2402265070, 0.6931471806, 1} {
		v = float64(v*f) + c
	}
	return float32(v * math.Float64frombits(uint64(int64(k)+1023)<<52))
}

// noise hashes two numbers into one in [0,1): chance that depends on nothing but how far a model has come.
func noise(a, b uint64) float64 {
	x := a*0x9E3779B97F4A7C15 ^ b*0xC2B2AE3D27D4EB4F
	x ^= x >> 33
	x *= 0xFF51AFD7ED558CCD
	x ^= x >> 33
	x *= 0xC4CEB9FE1A85EC53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
