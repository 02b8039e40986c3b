package models

import (
	"encoding/binary"
	"errors"
	"math"
)

// A Decayed is a sum in which what was added a half-life ago counts half (forward decay: Cormode, Shkapenyuk, Srivastava, Xu 2009). What falls into the same
// whole half-life, counted from 1970, is added up as an int64, grown by 2^t of what is left over of its time: so it is the same in whatever order it
// was added and merged. Half-lives that lie 40 or more behind the latest are dropped, a millionth of a millionth of their weight. It lives in
// its bytes: the latest half-life (varint) and its sum (varint), then for each one before it the step back (uvarint) and its sum.
const decayedPeriods = 40

type decayedSum struct {
	period, sum int64
}

func readDecayed(b []byte, out []decayedSum) []decayedSum {
	at := int64(0)
	for first := true; len(b) > 0; first = false {
		var n int
		if first {
			at, n = binary.Varint(b)
		} else {
			var step uint64
			step, n = binary.Uvarint(b)
			at -= int64(step)
		}
		sum, m := binary.Varint(b[n:])
		b = b[n+m:]
		out = append(out, decayedSum{at, sum})
	}
	return out
}

func appendDecayed(b []byte, sums []decayedSum) []byte {
	for i, s := range sums {
		if i == 0 {
			b = binary.AppendVarint(b, s.period)
		} else {
			b = binary.AppendUvarint(b, uint64(sums[i-1].period-s.period))
		}
		b = binary.AppendVarint(b, s.sum)
	}
	return b
}

// DecayedAdd adds x at a time and returns the new bytes, in the place of the old where they fit.
func DecayedAdd(b []byte, x, atMS, halfLifeMS int64) []byte {
	period := atMS / halfLifeMS
	rest := atMS - period*halfLifeMS
	if rest < 0 {
		rest += halfLifeMS
		period--
	}
	grown := math.Floor(float64(float64(x)*Exp2(float64(rest)/float64(halfLifeMS))) + 0.5)
	var space [decayedPeriods + 2]decayedSum
	return appendDecayed(b[:0], mergeDecayed(readDecayed(b, space[:0]), []decayedSum{{period, int64(grown)}}))
}

// DecayedMerge adds another sum of the same half-life and returns the new bytes, in the place of into where they fit.
func DecayedMerge(into, from []byte) []byte {
	var x, y [decayedPeriods + 1]decayedSum
	return appendDecayed(into[:0], mergeDecayed(readDecayed(into, x[:0]), readDecayed(from, y[:0])))
}

// mergeDecayed merges two lists, the latest half-life first.
func mergeDecayed(x, y []decayedSum) []decayedSum {
	out := make([]decayedSum, 0, len(x)+len(y))
	for len(x)+len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].period > y[0].period:
			out, x = append(out, x[0]), x[1:]
		case len(x) == 0 || y[0].period > x[0].period:
			out, y = append(out, y[0]), y[1:]
		default:
			sum := x[0].sum + y[0].sum
			if x[0].sum > 0 && y[0].sum > 0 && sum < 0 {
				sum = math.MaxInt64
			}
			out, x, y = append(out, decayedSum{x[0].period, sum}), x[1:], y[1:]
		}
	}
	for len(out) > 0 && out[0].period-out[len(out)-1].period >= decayedPeriods {
		out = out[:len(out)-1]
	}
	return out
}

// DecayedValue is the sum as of a time, which may lie before or after what was added.
func DecayedValue(b []byte, nowMS, halfLifeMS int64) float64 {
	var space [decayedPeriods + 1]decayedSum
	total := 0.0
	for _, s := range readDecayed(b, space[:0]) {
		ago := float64(nowMS-s.period*halfLifeMS) / float64(halfLifeMS)
		whole := math.Floor(ago)
		total += float64(math.Ldexp(float64(s.sum), -int(min(max(whole, -900), 900))) / Exp2(ago-whole))
	}
	return total
}

// DecayedCheck refuses bytes that no Decayed has.
func DecayedCheck(b []byte) error {
	bad := errors.New("models: a decayed sum is cut off or out of order")
	span := uint64(0)
	for first := true; len(b) > 0; first = false {
		n := 0
		if first {
			_, n = binary.Varint(b)
		} else {
			var step uint64
			step, n = binary.Uvarint(b)
			if span += step; step == 0 || step >= decayedPeriods || span >= decayedPeriods {
				return bad
			}
		}
		if n <= 0 || n > 1 && b[n-1] == 0 {
			return bad
		}
		_, m := binary.Varint(b[n:])
		if m <= 0 || m > 1 && b[n+m-1] == 0 {
			return bad
		}
		b = b[n+m:]
	}
	return nil
}

// DecayedMost is how many bytes a Decayed takes, but for sums in the billions.
const DecayedMost = decayedPeriods * 8
