package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Ranker learns which of some candidates is chosen: a conditional logit over features that hold or do not,
//
//	P(c) = exp(base(c) + Σ weight of c's features) / Σ over all candidates
//
// learned online by the gradient of -log P(chosen), each weight at its own pace (AdaGrad; Duchi, Hazan, Singer 2011) and drawn to 0 by
// Decay. Without examples it ranks by base alone.
type Ranker struct {
	// Touch is called with the row's number before one of its weights changes; a row holds RankerRow weights. nil: nobody has to know.
	Touch func(row uint32)

	opt    RankerOptions
	weight []float32
	steps  []float32 // sum of squared gradients
}

// RankerOptions are the parameters of a Ranker.
type RankerOptions struct {
	Features int     // their numbers are below it
	Rate     float64 // of the first step
	Decay    float64 // L2, a part of the weight for each example that its feature is in
}

// RankerRow is how many weights a row holds.
const RankerRow = 64

// Slate is what a ranker chooses from. Every candidate has the same number of features, Width.
type Slate struct {
	Width    int
	Base     []float32 // of each candidate
	Features []uint32  // Width of each candidate
	Score    []float32 // set by Rank
	chance   []float32
}

// Reset empties the slate.
func (s *Slate) Reset(width int) {
	s.Width, s.Base, s.Features, s.Score = width, s.Base[:0], s.Features[:0], s.Score[:0]
}

// NewRanker returns a ranker that has learned nothing.
func NewRanker(opt RankerOptions) *Ranker {
	n := (opt.Features + RankerRow - 1) / RankerRow * RankerRow
	return &Ranker{opt: opt, weight: make([]float32, n), steps: make([]float32, n)}
}

// Rank sets the candidates' scores: log-chances but for a constant.
func (r *Ranker) Rank(s *Slate) {
	s.Score = append(s.Score[:0], s.Base...)
	for c := range s.Score {
		sum := s.Score[c]
		for _, f := range s.Features[c*s.Width : (c+1)*s.Width] {
			sum += r.weight[f]
		}
		s.Score[c] = sum
	}
}

// Chances turns a slate's scores into the candidates' chances. The slice is the slate's own.
func (s *Slate) Chances() []float32 {
	s.chance = s.chance[:0]
	best := float32(math.Inf(-1))
	for _, x := range s.Score {
		best = max(best, x)
	}
	sum := 0.0
	for _, x := range s.Score {
		e := Exp(float64(x - best))
		sum += e
		s.chance = append(s.chance, float32(e))
	}
	for c := range s.chance {
		s.chance[c] = float32(float64(s.chance[c]) / sum)
	}
	return s.chance
}

// Learn takes in which candidate of a ranked slate was chosen, as an example of a weight.
func (r *Ranker) Learn(s *Slate, chosen int, weight float32) {
	if chosen < 0 || chosen >= len(s.Score) || !(weight > 0) || weight > MaxWeight {
		return
	}
	const small = 1.0 / (1 << 10) // what is as good as out of the question teaches too little to be worth its time
	for c, p := range s.Chances() {
		g := p * weight
		if c == chosen {
			g -= weight
		} else if p < small {
			continue
		}
		for _, f := range s.Features[c*s.Width : (c+1)*s.Width] {
			r.step(f, g)
		}
	}
}

func (r *Ranker) step(f uint32, gradient float32) {
	if r.Touch != nil {
		r.Touch(f / RankerRow)
	}
	g := gradient + float32(r.weight[f]*float32(r.opt.Decay))
	r.steps[f] += float32(g * g)
	r.weight[f] -= float32(float64(g) * r.opt.Rate / math.Sqrt(float64(r.steps[f])+1))
}

// Rows is the number of rows.
func (r *Ranker) Rows() int { return len(r.weight) / RankerRow }

// AppendRow appends the canonical encoding of a row; nothing if it has learned nothing.
func (r *Ranker) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= r.Rows() {
		return b
	}
	from, to := int(row)*RankerRow, int(row+1)*RankerRow
	learned := false
	for _, x := range r.steps[from:to] {
		learned = learned || x != 0
	}
	if !learned {
		return b
	}
	for k := from; k < to; k++ {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.weight[k]))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.steps[k]))
	}
	return b
}

// LoadRow is the inverse of AppendRow.
func (r *Ranker) LoadRow(row uint32, b []byte) error {
	if len(b) != 8*RankerRow || int(row) >= r.Rows() {
		return fmt.Errorf("models: ranker row %d: %d bytes are no row", row, len(b))
	}
	for k := int(row) * RankerRow; len(b) > 0; k, b = k+1, b[8:] {
		w, s := math.Float32frombits(binary.LittleEndian.Uint32(b)), math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
		if w != w || math.IsInf(float64(w), 0) || !(s >= 0) || math.IsInf(float64(s), 0) {
			return fmt.Errorf("models: ranker row %d: weight %v after steps of %v", row, w, s)
		}
		r.weight[k], r.steps[k] = w, s
	}
	return nil
}
