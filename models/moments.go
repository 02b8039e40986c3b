package models

import (
	"encoding/binary"
	"errors"
	"math"
)

// Moments are the number, mean and spread of values, one after the other (Welford 1962) and of several parts together (Chan, Golub, LeVeque
// 1979). The same values in the same order and parts give the same bits. Values that are no numbers are passed over.
type Moments struct {
	n, mean, squares float64 // squares: of the differences to the mean, summed
}

// Add takes in a value.
func (m *Moments) Add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	m.n++
	d := x - m.mean
	m.mean += float64(d / m.n)
	m.squares += float64(d * float64(x-m.mean))
}

// Merge takes in those of another part.
func (m *Moments) Merge(o *Moments) {
	if o.n == 0 {
		return
	}
	n := m.n + o.n
	d := o.mean - m.mean
	m.squares += float64(o.squares + float64(float64(d*d)*float64(float64(m.n*o.n)/n)))
	m.mean += float64(d * float64(o.n/n))
	m.n = n
}

// Empty says whether there was no value.
func (m *Moments) Empty() bool { return m.n == 0 }

// Standardise says how many standard deviations a value lies above the mean: 0 while there are fewer than two values, or all are the same.
func (m *Moments) Standardise(x float64) float64 {
	if m.n < 2 || m.squares <= 0 {
		return 0
	}
	return float64(x-m.mean) / math.Sqrt(float64(m.squares/m.n))
}

// AppendBinary appends the canonical encoding: three float64, big endian.
func (m *Moments) AppendBinary(b []byte) []byte {
	for _, x := range [...]float64{m.n, m.mean, m.squares} {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// UnmarshalBinary is its inverse.
func (m *Moments) UnmarshalBinary(b []byte) error {
	if len(b) != 24 {
		return errors.New("models: moments: want 24 bytes")
	}
	x := [3]float64{}
	for i := range x {
		x[i] = math.Float64frombits(binary.BigEndian.Uint64(b[8*i:]))
		if math.IsNaN(x[i]) || math.IsInf(x[i], 0) {
			return errors.New("models: moments: a part is no number")
		}
	}
	if x[0] < 0 || x[2] < 0 {
		return errors.New("models: moments: a number or a sum of squares below 0")
	}
	*m = Moments{x[0], x[1], x[2]}
	return nil
}
