package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// paced are weights that are learned by gradient steps, each weight at its own pace (AdaGrad; Duchi, Hazan, Singer 2011), and drawn to 0 by decay. They
// are kept in rows of PacedRow.
type paced struct {
	// Touch is called with the row's number before one of its weights changes. nil: nobody has to know.
	Touch func(row uint32)

	rate, decay float64
	weight      []float32
	steps       []float32 // sum of squared gradients
}

// PacedRow is how many weights a row holds.
const PacedRow = 64

func newPaced(n int, rate, decay float64) paced {
	n = (n + PacedRow - 1) / PacedRow * PacedRow
	return paced{rate: rate, decay: decay, weight: make([]float32, n), steps: make([]float32, n)}
}

func (w *paced) step(f uint32, gradient float32) { w.stepAt(f, gradient, w.rate) }

func (w *paced) stepAt(f uint32, gradient float32, rate float64) {
	if w.Touch != nil {
		w.Touch(f / PacedRow)
	}
	descend(&w.weight[f], &w.steps[f], gradient, rate, w.decay)
}

// descend makes one step of one weight.
func descend(weight, steps *float32, gradient float32, rate, decay float64) {
	g := gradient + float32(*weight*float32(decay))
	*steps += float32(g * g)
	*weight -= float32(float64(g) * rate / math.Sqrt(float64(*steps)+1))
}

// Rows is the number of rows.
func (w *paced) Rows() int { return len(w.weight) / PacedRow }

// AppendRow appends the canonical encoding of a row; nothing if it has learned nothing.
func (w *paced) AppendRow(b []byte, row uint32) []byte {
	if int(row) >= w.Rows() {
		return b
	}
	from, to := int(row)*PacedRow, int(row+1)*PacedRow
	learned := false
	for _, x := range w.steps[from:to] {
		learned = learned || x != 0
	}
	if !learned {
		return b
	}
	for k := from; k < to; k++ {
		b = appendWeight(b, w.weight[k], w.steps[k])
	}
	return b
}

// LoadRow is the inverse of AppendRow.
func (w *paced) LoadRow(row uint32, b []byte) error {
	if len(b) != 8*PacedRow || int(row) >= w.Rows() {
		return fmt.Errorf("models: row %d of weights: %d bytes are no row", row, len(b))
	}
	for k := int(row) * PacedRow; len(b) > 0; k, b = k+1, b[8:] {
		var err error
		if w.weight[k], w.steps[k], err = weightOf(b); err != nil {
			return fmt.Errorf("models: row %d of weights: %w", row, err)
		}
	}
	return nil
}

func appendWeight(b []byte, weight, steps float32) []byte {
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(weight))
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(steps))
}

// weightOf reads what appendWeight wrote.
func weightOf(b []byte) (weight, steps float32, err error) {
	weight, steps = math.Float32frombits(binary.LittleEndian.Uint32(b)), math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
	if weight != weight || math.IsInf(float64(weight), 0) || !(steps >= 0) || math.IsInf(float64(steps), 0) {
		return 0, 0, fmt.Errorf("weight %v after steps of %v", weight, steps)
	}
	return weight, steps, nil
}
