package models

import (
	"encoding/binary"
	"errors"
	"math"
)

// Quantiles are counts in buckets whose bounds grow by a constant factor (DDSketch: Masson, Rim, Lee 2019), so that a quantile is within 1 % of
// the value that it stands for. Bucket 0 holds the zeros; the buckets below it mirror those above, for values below 0. It lives in its bytes: pairs of
// uvarints, the step to the bucket from the one before, or from 0 modulo 2^64, and its count. Beyond 512 buckets the lowest are put together; the
// result is the same in whatever order values and sketches were added.
const (
	quantileGrowth  = 1.02020202020202 // (1 + 0.01) / (1 - 0.01)
	quantileBuckets = 512
)

var quantileLog = Log(quantileGrowth)

func quantileBucket(x int64) int64 {
	switch {
	case x < 0:
		return -quantileBucket(-max(x, -math.MaxInt64))
	case x == 0:
		return 0
	}
	return int64(math.Ceil(Log(float64(x))/quantileLog)) + 1
}

// quantileMiddle is the value that is within 1 % of all in a bucket.
func quantileMiddle(bucket int64) float64 {
	switch {
	case bucket < 0:
		return -quantileMiddle(-bucket)
	case bucket == 0:
		return 0
	}
	upper := Exp(float64(float64(bucket-1) * quantileLog))
	return float64(2*upper) / (1 + quantileGrowth)
}

// QuantilesAdd adds a value and returns the new bytes.
func QuantilesAdd(b []byte, x int64) []byte {
	var one [binary.MaxVarintLen64 + 1]byte
	n := binary.PutUvarint(one[:], uint64(quantileBucket(x)))
	one[n] = 1
	return QuantilesMerge(b, one[:n+1])
}

// pairs reads the buckets of a sketch one by one.
type pairs struct {
	b      []byte
	bucket int64
	count  uint64
	ok     bool
}

func (p *pairs) next() {
	if p.ok = len(p.b) > 0; !p.ok {
		return
	}
	step, n := binary.Uvarint(p.b)
	count, m := binary.Uvarint(p.b[n:])
	p.b = p.b[n+m:]
	p.bucket += int64(step)
	p.count = count
}

// QuantilesMerge adds the values of another sketch and returns new bytes.
func QuantilesMerge(into, from []byte) []byte {
	if len(from) == 0 {
		return into
	}
	var bucket [2 * quantileBuckets]int64
	var count [2 * quantileBuckets]uint64
	n := 0
	x, y := pairs{b: into}, pairs{b: from}
	x.next()
	y.next()
	for x.ok || y.ok {
		switch {
		case !y.ok || x.ok && x.bucket < y.bucket:
			bucket[n], count[n] = x.bucket, x.count
			x.next()
		case !x.ok || y.bucket < x.bucket:
			bucket[n], count[n] = y.bucket, y.count
			y.next()
		default:
			bucket[n], count[n] = x.bucket, x.count+y.count
			x.next()
			y.next()
		}
		n++
	}
	first := max(0, n-quantileBuckets)
	for i := range first {
		count[first] += count[i]
	}
	out := make([]byte, 0, len(into)+len(from))
	before := int64(0)
	for i := first; i < n; i++ {
		out = binary.AppendUvarint(out, uint64(bucket[i]-before))
		out = binary.AppendUvarint(out, count[i])
		before = bucket[i]
	}
	return out
}

// QuantilesValue is the q-quantile, 0 <= q <= 1: the smallest of the values that a share q of them does not exceed. It is not a number of nothing.
func QuantilesValue(b []byte, q float64) float64 {
	total := uint64(0)
	p := pairs{b: b}
	for p.next(); p.ok; p.next() {
		total += p.count
	}
	if total == 0 {
		return math.NaN()
	}
	rank := uint64(max(0, math.Ceil(float64(q*float64(total))-1e-9)-1)) // .07 of 100 is a little more than 7
	seen := uint64(0)
	p = pairs{b: b}
	for p.next(); p.ok; p.next() {
		if seen += p.count; seen > rank {
			break
		}
	}
	return quantileMiddle(p.bucket)
}

// QuantilesCheck refuses bytes that no sketch has.
func QuantilesCheck(b []byte) error {
	n := 0
	for first := true; len(b) > 0; first = false {
		step, k := binary.Uvarint(b)
		if k <= 0 || first && (int64(step) < -4096 || int64(step) > 4096) || !first && (step == 0 || step > 8192) {
			return errors.New("models: the buckets of quantiles are out of order")
		}
		count, m := binary.Uvarint(b[k:])
		if m <= 0 || count == 0 || k > 1 && b[k-1] == 0 || m > 1 && b[k+m-1] == 0 {
			return errors.New("models: a bucket of quantiles is empty or cut off")
		}
		b = b[k+m:]
		if n++; n > quantileBuckets {
			return errors.New("models: quantiles of too many buckets")
		}
	}
	return nil
}

// QuantilesMost is how many bytes Quantiles take, but for counts in the millions.
const QuantilesMost = quantileBuckets * 6
