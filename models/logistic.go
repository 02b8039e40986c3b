package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Logistic learns how likely something happens from what is known before: a logistic regression over numbered features, each weight moving at its
// own pace, with a line on top of its log-odds that is learned from what was predicted and what then happened (Platt 1999) and keeps it calibrated:
//
//	logit  = log-odds of how often it has happened so far + Σ weights of the features
//	chance = σ(offset + slope · logit)
//
// What was predicted before it was learned is held against what happened: see Record.
type Logistic struct {
	paced // of the features, then offset and slope - 1

	// TouchRecord is called before the record changes. nil: nobody has to know.
	TouchRecord func()

	features uint32
	record   Record
}

const (
	logisticRate  = 0.5
	logisticDecay = 1e-2 // a feature is seen rarely
	lineRate      = 0.05
)

// Record tells how good predictions were, each made before its outcome was learned; older ones count less, half after some 35,000 later ones.
type Record struct {
	Examples, Happened float64
	LogLoss            float64 // nats, of all together
	BaseLoss           float64 // of who always says how often it has happened so far
	Bins               [len(recordEdges) + 1]Bin
	// The losses of late: half as much counts after some 1,400 later ones, so that a bad beginning is forgotten when it no longer holds.
	Lately, BaseLately float64
}

// The least that must be known of outcomes before a prediction is worth anything: all, and of either kind.
const (
	LeastOutcomes = 100
	LeastOfEither = 10
)

// Enough says whether enough outcomes of either kind are known.
func (r *Record) Enough() bool {
	return r.Examples >= LeastOutcomes && r.Happened >= LeastOfEither && r.Examples-r.Happened >= LeastOfEither
}

// Better says whether predictions have lately been better than how often it happens, said of everybody.
func (r *Record) Better() bool { return r.Lately < r.BaseLately }

// Bin holds what was predicted within a range of chances.
type Bin struct{ Examples, Predicted, Happened float64 }

// recordEdges are the upper limits of the bins but for the last.
var recordEdges = [...]float64{.001, .002, .005, .01, .02, .05, .1, .15, .2, .3, .4, .5, .6, .7, .8, .9}

const (
	recordFades = 1 - 2e-5
	latelyFades = 1 - 5e-4
)

// AUC is how often what happens has the higher chance than what does not, by the bins; NaN where there is only one of the two.
func (r *Record) AUC() float64 {
	pairs, below := 0.0, 0.0
	for _, b := range r.Bins {
		not := b.Examples - b.Happened
		pairs += float64(b.Happened * (below + float64(not/2)))
		below += not
	}
	return pairs / (r.Happened * below)
}

// NewLogistic returns a model that has learned nothing.
func NewLogistic(features int) *Logistic {
	return &Logistic{paced: newPaced(features+2, logisticRate, logisticDecay), features: uint32(features)}
}

// Logit are the log-odds of the regression. Features are numbers below the model's, each at most once.
func (l *Logistic) Logit(features []uint16) float32 {
	sum := l.usual()
	for _, f := range features {
		sum += l.weight[f]
	}
	return sum
}

// usual are the log-odds of how often it has happened so far, at first of one in twenty.
func (l *Logistic) usual() float32 {
	return float32(Log(float64(l.record.Happened+.05) / (float64(l.record.Examples-l.record.Happened) + .95)))
}

// Chance is the calibrated chance of log-odds.
func (l *Logistic) Chance(logit float32) float64 {
	return Chance(float64(l.weight[l.features]) + float64((1+float64(l.weight[l.features+1]))*float64(logit)))
}

// Learn takes in what happened after features had these log-odds, as they were then. Bad input (a feature that is none, log-odds that are no number) teaches nothing.
func (l *Logistic) Learn(features []uint16, logit float32, happened bool) {
	for _, f := range features {
		if uint32(f) >= l.features {
			return
		}
	}
	if logit != logit || math.IsInf(float64(logit), 0) || len(features) == 0 {
		return
	}
	outcome := 0.0
	if happened {
		outcome = 1
	}
	said := l.Chance(logit)
	if l.TouchRecord != nil {
		l.TouchRecord()
	}
	l.record.note(said, happened)
	off := float32(said - outcome)
	l.stepAt(l.features, off, lineRate)
	l.stepAt(l.features+1, off*min(max(logit, -8), 8)/4, lineRate)
	gradient := float32(Chance(float64(l.Logit(features))) - outcome)
	rate := l.rate / math.Sqrt(float64(len(features))) // together they move as far as one alone would
	for _, f := range features {
		l.stepAt(uint32(f), gradient, rate)
	}
}

func (r *Record) note(said float64, happened bool) {
	loss := func(chance float64) float64 {
		if !happened {
			chance = 1 - chance
		}
		return -Log(max(chance, 1e-9))
	}
	base := loss(float64(r.Happened+.5) / float64(r.Examples+1))
	for _, x := range []*float64{&r.Examples, &r.Happened, &r.LogLoss, &r.BaseLoss} {
		*x *= recordFades
	}
	bin := 0
	for k := range r.Bins {
		b := &r.Bins[k]
		b.Examples, b.Predicted, b.Happened = b.Examples*recordFades, b.Predicted*recordFades, b.Happened*recordFades
		if k > 0 && said >= recordEdges[k-1] {
			bin = k
		}
	}
	b := &r.Bins[bin]
	r.Examples++
	b.Examples++
	b.Predicted += said
	lost := loss(said)
	r.LogLoss += lost
	r.BaseLoss += base
	r.Lately, r.BaseLately = float64(r.Lately*latelyFades)+lost, float64(r.BaseLately*latelyFades)+base
	if happened {
		r.Happened++
		b.Happened++
	}
}

// Record is how good the predictions were.
func (l *Logistic) Record() Record { return l.record }

func (r *Record) numbers() (all []*float64) {
	all = []*float64{&r.Examples, &r.Happened, &r.LogLoss, &r.BaseLoss}
	for k := range r.Bins {
		all = append(all, &r.Bins[k].Examples, &r.Bins[k].Predicted, &r.Bins[k].Happened)
	}
	return append(all, &r.Lately, &r.BaseLately)
}

// AppendRecord appends the canonical encoding of the record; nothing if nothing was learned.
func (l *Logistic) AppendRecord(b []byte) []byte {
	if l.record.Examples == 0 {
		return b
	}
	for _, x := range l.record.numbers() {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(*x))
	}
	return b
}

// LoadRecord is the inverse of AppendRecord.
func (l *Logistic) LoadRecord(b []byte) error {
	var r Record
	all := r.numbers()
	whole := len(b) == 8*len(all)
	if !whole {
		all = all[:len(all)-2] // as it was before the losses of late were kept
	}
	if len(b) != 8*len(all) {
		return fmt.Errorf("models: %d bytes are no record of predictions", len(b))
	}
	for k, x := range all {
		if *x = math.Float64frombits(binary.LittleEndian.Uint64(b[8*k:])); !(*x >= 0) || math.IsInf(*x, 0) {
			return fmt.Errorf("models: a record of predictions holds %v", *x)
		}
	}
	if !whole && r.Examples > 0 {
		of := min(1, 1/(1-latelyFades)/r.Examples)
		r.Lately, r.BaseLately = r.LogLoss*of, r.BaseLoss*of
	}
	l.record = r
	return nil
}
