package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Bandit chooses one of several arms by what is known of the moment, and learns from the reward of the arm that was chosen (the "hybrid"
// linear model of Li et al. 2010, with the optimistic Thompson sampling of May et al. 2012).
//
//	reward(a) = w·s_a + v_a·x + noise
//
// s_a are features of the arm at the moment, with weights that all arms share: a few numbers are learned quickly. x are features of the
// moment, with weights of each arm, on what the shared part leaves. Both are ridge regressions kept by rank-one updates, each with the
// variance of what it says: whole matrices up to BanditWhole features of the moment, diagonal ones beyond.
//
// An arm is drawn with the chance that it is the best under independent normal beliefs, each cut off a standard deviation above its mean: that an
// arm may be worse than it seems is no reason to pass it over. That chance is computed, not simulated, so it is the decision's propensity. Old rewards fade by Fade
// with every one.
type Bandit struct {
	// Touch is called with a row's number before it changes: 0 for the shared part, 1 + a for arm a. nil: nobody has to know.
	Touch func(row uint32)

	opt    BanditOptions
	shared ridge
	own    []ridge
	mean   []float64
	sd     []float64
	chance []float64
}

// BanditOptions are the parameters of a Bandit.
type BanditOptions struct {
	Arms, Shared, Own int     // numbers of arms, of features of an arm, and of the moment
	Explore           float64 // scale of the beliefs' spread; 0: the best arm by its mean
	Prior             float64 // ridge: how many rewards' worth of weight 0 has
	Fade              float64 // of what was learned, with every reward; 1: nothing fades
}

// BanditWhole is the most features of the moment with whole matrices: an arm costs their square.
const BanditWhole = 16

// DefaultBandit returns the measured options.
func DefaultBandit(arms, shared, own int) BanditOptions {
	return BanditOptions{Arms: arms, Shared: shared, Own: own, Explore: 0.2, Prior: 1, Fade: 0.9998}
}

// NewBandit returns a bandit that has learned nothing.
func NewBandit(opt BanditOptions) *Bandit {
	b := &Bandit{opt: opt, shared: newRidge(opt.Shared, true, opt.Prior), mean: make([]float64, opt.Arms), sd: make([]float64, opt.Arms), chance: make([]float64, opt.Arms)}
	for range opt.Arms {
		b.own = append(b.own, newRidge(opt.Own, opt.Own <= BanditWhole, opt.Prior))
	}
	return b
}

// Chances returns with what chance each arm is the best. features are those of the arms, Shared of each. The slice is the bandit's own.
func (b *Bandit) Chances(features, moment []float64) []float64 {
	best := 0
	for a := range b.own {
		s := features[a*b.opt.Shared : (a+1)*b.opt.Shared]
		m1, v1 := b.shared.predict(s)
		m2, v2 := b.own[a].predict(moment)
		b.mean[a], b.sd[a] = m1+m2, b.opt.Explore*math.Sqrt(v1+v2)
		if b.mean[a] > b.mean[best] {
			best = a
		}
	}
	clear(b.chance)
	// Only arms that may be the best count: the others' chances are as good as 0.
	const far = 3.5
	floor := b.mean[best] - far*b.sd[best]
	live, widest := 0, 0.0
	for a := range b.own {
		if b.mean[a]+far*b.sd[a] > floor && b.sd[a] > 0 {
			live++
			widest = max(widest, b.sd[a])
		}
	}
	if live < 2 || widest == 0 {
		b.chance[best] = 1
		return b.chance
	}
	sum := 0.0
	for a := range b.own {
		if !(b.mean[a]+far*b.sd[a] > floor) || b.sd[a] == 0 {
			continue
		}
		p := 0.0
		for k, z := range quadratureAt {
			at := b.mean[a] + float64(z*b.sd[a])
			q := quadratureWeight[k]
			for o := range b.own {
				if o == a || !(b.mean[o]+far*b.sd[o] > floor) {
					continue
				}
				if b.sd[o] == 0 {
					if b.mean[o] > at {
						q = 0
					}
					continue
				}
				if at < b.mean[o]+float64(banditFloor*b.sd[o]) {
					q = 0
					break
				}
				q *= normalCDF((at - b.mean[o]) / b.sd[o])
			}
			p += q
		}
		b.chance[a] = p
		sum += p
	}
	for a := range b.chance {
		b.chance[a] /= sum
	}
	return b.chance
}

// Draw draws from chances with a number in [0,1).
func Draw(chances []float64, u float64) (arm int) {
	for a, p := range chances {
		if p > 0 {
			arm = a
			if u -= p; u < 0 {
				break
			}
		}
	}
	return arm
}

// Learn takes in the reward of the arm that was chosen, under the features of that choice.
func (b *Bandit) Learn(arm int, features, moment []float64, reward float64) {
	if arm < 0 || arm >= b.opt.Arms || math.IsNaN(reward) || math.IsInf(reward, 0) {
		return
	}
	if b.Touch != nil {
		b.Touch(0)
		b.Touch(1 + uint32(arm))
	}
	s := features[arm*b.opt.Shared : (arm+1)*b.opt.Shared]
	b.shared.learn(s, reward, b.opt.Fade)
	left, _ := b.shared.predict(s)
	b.own[arm].learn(moment, reward-left, b.opt.Fade)
}

// ridge is a linear regression with a prior at 0.
type ridge struct {
	n       int
	whole   bool
	inverse []float64 // of the Gram matrix; n×n, or its diagonal: the Gram matrix's own diagonal is kept then
	weight  []float64
	scratch []float64
}

func newRidge(n int, whole bool, prior float64) ridge {
	r := ridge{n: n, whole: whole, weight: make([]float64, n), scratch: make([]float64, n)}
	if whole {
		r.inverse = make([]float64, n*n)
		for i := range n {
			r.inverse[i*n+i] = 1 / prior
		}
	} else {
		r.inverse = make([]float64, n)
		for i := range n {
			r.inverse[i] = 1 / prior
		}
	}
	return r
}

// times sets scratch to inverse·x, and returns x·inverse·x.
func (r *ridge) times(x []float64) (variance float64) {
	for i := range r.n {
		sum := 0.0
		if r.whole {
			row := r.inverse[i*r.n : (i+1)*r.n]
			for j, v := range x {
				sum += float64(row[j] * v)
			}
		} else {
			sum = float64(r.inverse[i] * x[i])
		}
		r.scratch[i] = sum
		variance += float64(sum * x[i])
	}
	return variance
}

func (r *ridge) predict(x []float64) (mean, variance float64) {
	for i, v := range x {
		mean += float64(r.weight[i] * v)
	}
	return mean, r.times(x)
}

// learn takes in an example (Sherman, Morrison 1950). What was learned before counts fade times as much.
func (r *ridge) learn(x []float64, y, fade float64) {
	if fade < 1 {
		for i := range r.inverse {
			r.inverse[i] /= fade
		}
	}
	mean, variance := r.predict(x)
	step := (y - mean) / (1 + variance)
	for i := range r.n {
		r.weight[i] += float64(step * r.scratch[i])
	}
	for i := range r.n {
		if !r.whole {
			r.inverse[i] = 1 / (1/r.inverse[i] + float64(x[i]*x[i]))
			continue
		}
		f := r.scratch[i] / (1 + variance)
		row := r.inverse[i*r.n : (i+1)*r.n]
		for j := range row {
			row[j] -= float64(f * r.scratch[j])
		}
	}
}

// banditFloor is where beliefs are cut off, in standard deviations above the mean.
const banditFloor = 1

// Points and weights of a quadrature over max(banditFloor, z) of the standard normal z.
var quadratureAt, quadratureWeight = func() (at, weight [9]float64) {
	const most = 3.2
	below, sum := normalCDF(banditFloor), 0.0
	at[0], weight[0] = banditFloor, below
	for k := 1; k < len(at); k++ {
		at[k] = banditFloor + (most-banditFloor)*(float64(k)-.5)/float64(len(at)-1)
		weight[k] = Exp(-float64(at[k]*at[k]) / 2)
		sum += weight[k]
	}
	for k := 1; k < len(at); k++ {
		weight[k] *= (1 - below) / sum
	}
	return at, weight
}()

// normalCDF is the standard normal distribution by a logistic approximation (Bowling et al. 2009), to 1.4e-4.
func normalCDF(z float64) float64 {
	if z > 8 {
		return 1
	}
	if z < -8 {
		return 0
	}
	return 1 / (1 + Exp(-float64(0.07056*float64(z*float64(z*z)))-float64(1.5976*z)))
}

// Rows is the number of rows.
func (b *Bandit) Rows() int { return 1 + len(b.own) }

func (b *Bandit) row(n uint32) *ridge {
	if n == 0 {
		return &b.shared
	}
	return &b.own[n-1]
}

// AppendRow appends the canonical encoding of a row; nothing if it has learned nothing.
func (b *Bandit) AppendRow(to []byte, row uint32) []byte {
	if int(row) >= b.Rows() {
		return to
	}
	r := b.row(row)
	fresh := newRidge(r.n, r.whole, b.opt.Prior)
	learned := false
	for i, v := range r.inverse {
		learned = learned || v != fresh.inverse[i]
	}
	if !learned {
		return to
	}
	for _, x := range [][]float64{r.weight, r.inverse} {
		for _, v := range x {
			to = binary.LittleEndian.AppendUint64(to, math.Float64bits(v))
		}
	}
	return to
}

// LoadRow is the inverse of AppendRow.
func (b *Bandit) LoadRow(row uint32, from []byte) error {
	if int(row) >= b.Rows() {
		return fmt.Errorf("models: bandit row %d: there are %d", row, b.Rows())
	}
	r := b.row(row)
	if len(from) != 8*(len(r.weight)+len(r.inverse)) {
		return fmt.Errorf("models: bandit row %d: %d bytes are no row of %d features", row, len(from), r.n)
	}
	for _, x := range [][]float64{r.weight, r.inverse} {
		for i := range x {
			v := math.Float64frombits(binary.LittleEndian.Uint64(from))
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("models: bandit row %d: a number is %v", row, v)
			}
			x[i], from = v, from[8:]
		}
	}
	return nil
}
