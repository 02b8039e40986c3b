package models

import (
	"math"
	"math/bits"
)

// visit is what a query's features have in common.
type visit struct {
	length   int // bucket of the different items
	dwell    int // bucket of the time before the last, from 1; 0: it is the first
	run      int // times the last item was met in a row at the end
	same     int // items met again at once
	back     int // items met again after others
	strength float32
}

func readVisit(s *NextItemScratch, q *Query) visit {
	x := visit{run: 1, length: lengthBucket(len(s.items))}
	for k := 0; k+1 < len(q.Items); k++ {
		if q.Items[k] == q.Items[k+1] {
			x.same++
			if x.run == k+1 {
				x.run++
			}
			continue
		}
		for _, i := range q.Items[k+2:] {
			if i == q.Items[k] {
				x.back++
				break
			}
		}
	}
	for k := len(q.Items) - 1; k > 0; k-- {
		if q.Items[k] == q.Items[0] && q.Items[k-1] != NoItem {
			s.of(q.Items[k-1]).followed++
		}
	}
	if len(q.TimesMS) > 1 {
		x.dwell = timeBucket(q.TimesMS[0]-q.TimesMS[1]) + 1
	}
	x.run, x.same, x.back = min(x.run, 3), min(x.same, 3), min(x.back, 3)
	return x
}

// features appends the numbers of a candidate's features: one of each kind.
func (x *says) features(to []uint32, s *visit, trend, again int, deep bool) []uint32 {
	f := features{to: to}
	place := min(x.place, 9)
	near, together := ScoreBucket(x.near), ScoreBucket(x.together)
	nearRank, togetherRank := RankBucket(x.nearRank), RankBucket(x.togetherRank)
	f.add(20, near)
	f.add(12, nearRank)
	f.add(20, together)
	f.add(12, togetherRank)
	f.cross(10, near/2, 10, together/2)
	f.cross(10, place, 8, s.length)
	f.cross(10, place, 4, min(x.times, 3))
	f.cross(10, place, 20, near)
	f.cross(10, place, 20, together)
	f.cross(10, place, 16, timeBucket(x.sinceMS))
	f.cross(10, place, 16, s.dwell)
	f.cross(20, trend, 4, min(s.length, 3))
	f.cross(20, near, 8, s.length)
	f.cross(12, nearRank, 16, strengthBucket(s.strength))
	f.cross(12, nearRank, 12, togetherRank)
	f.cross(40, place*4+s.run, 4, s.same)
	f.cross(40, place*4+s.back, 8, s.length)
	f.cross(40, place*4+s.run, 4, s.back)
	f.cross(40, place*4+min(x.followed, 3), 4, s.run)
	f.cross(10, place, 16, again)
	f.cross(16, again, 8, s.length)
	if deep {
		score, rank := ScoreBucket(x.deep), RankBucket(x.deepRank)
		f.cross(20, score, 8, s.length)
		f.cross(12, rank, 12, nearRank)
		f.cross(10, score/2, 10, near/2)
		f.cross(10, place, 20, score)
	}
	return f.to
}

// nextWidth is how many kinds there are.
func nextWidth(deep bool) int {
	if deep {
		return 25
	}
	return 21
}

const nextFeatures = 4096 // more than all kinds together have

// features numbers what holds of a candidate, each kind in a range of its own.
type features struct {
	to   []uint32
	from uint32
}

func (f *features) add(of, n int) {
	f.to = append(f.to, f.from+uint32(n))
	f.from += uint32(of)
}

func (f *features) cross(of1, n1, of2, n2 int) { f.add(of1*of2, n1*of2+n2) }

// ScoreBucket buckets a part of the best by halves of powers of two: 0 for nothing, 19 for the best.
func ScoreBucket(x float32) int { return min(max(19+halvings(x), 0), 19) }

// strengthBucket buckets any score by powers of two into 0 to 15, with 1 in 12.
func strengthBucket(x float32) int { return min(max(12+halvings(x)>>1, 0), 15) }

// halvings is the floor of 2·log2(x), a large negative number for nothing.
func halvings(x float32) int {
	if !(x > 0) {
		return -1000
	}
	fraction, exponent := math.Frexp(float64(x))
	n := 2 * (exponent - 1)
	if fraction >= math.Sqrt2/2 {
		n++
	}
	return n
}

// RankBucket buckets a rank from 1 into 1 to 11, 0 for none.
func RankBucket(n int) int {
	switch {
	case n <= 5:
		return n
	case n <= 7:
		return 6
	case n <= 10:
		return 7
	case n <= 15:
		return 8
	case n <= 20:
		return 9
	case n <= 40:
		return 10
	}
	return 11
}

func lengthBucket(n int) int {
	switch {
	case n <= 4:
		return n
	case n <= 6:
		return 5
	case n <= 9:
		return 6
	}
	return 7
}

// timeBucket buckets a duration by powers of two from a second on, into 0 to 14.
func timeBucket(ms int64) int { return min(bits.Len64(uint64(max(ms, 0)/1000)), 14) }
