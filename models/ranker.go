package models

import "math"

// Ranker learns which of some candidates is chosen: a conditional logit over features that hold or do not,
//
//	P(c) = exp(base(c) + Σ weight of c's features) / Σ over all candidates
//
// learned online by the gradient of -log P(chosen). Without examples it ranks by base alone.
type Ranker struct{ paced }

// RankerOptions are the parameters of a Ranker.
type RankerOptions struct {
	Features int     // their numbers are below it
	Rate     float64 // of the first step
	Decay    float64 // L2, a part of the weight for each example that its feature is in
}

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
	return &Ranker{newPaced(opt.Features, opt.Rate, opt.Decay)}
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
