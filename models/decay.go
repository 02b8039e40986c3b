package models

import "math"

// Forward decay (Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay", ICDE 2009): instead of shrinking all that is known
// as time goes by, what comes later weighs more, 2^(t/H). Every sum keeps its own landmark, a whole number of half-lives,
// and moves it when something later is added; as the move is a power of two it rounds nothing away.

// clock turns times into landmarks.
type clock struct {
	halfLifeMS int64
}

// at splits a time into the number of its half-life and 2 to the part that is left over, in [1,2).
func (c clock) at(ms int64) (period int32, growth float64) {
	p := ms / c.halfLifeMS
	rest := ms - p*c.halfLifeMS
	if rest < 0 {
		rest += c.halfLifeMS
		p--
	}
	return int32(min(max(p, math.MinInt32), math.MaxInt32)), Exp2(float64(rest) / float64(c.halfLifeMS))
}

// faded is where a weight has decayed to nothing. Well above the smallest float32, so that shifting rounds nothing and
// keeps every order.
const faded = 1.0 / (1 << 60) / (1 << 60)

// shift scales x by 2^(from-to): a value with landmark from, read at landmark to.
func shift(x float32, from, to int32) float32 {
	if from == to || x == 0 {
		return x
	}
	y := math.Ldexp(float64(x), int(min(max(int64(from)-int64(to), -1000), 1000)))
	if y < faded {
		return 0
	}
	return float32(y)
}
