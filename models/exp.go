package models

import "math"

// The coefficients below are those of FreeBSD's msun e_exp.c and e_log.c (Sun Microsystems, 1993/2004). Written with every
// product rounded on its own: math.Exp picks fused multiply-add at run time, and its last bit with it.

const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
	log2E = 1.44269504088896338700e+00
)

// Exp returns e to the x, the same on every machine; within 1 ulp.
func Exp(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 709.782712893384:
		return math.Inf(1)
	case x < -745.1332191019411:
		return 0
	}
	k := math.Floor(float64(log2E*x) + 0.5)
	hi := x - float64(k*ln2Hi)
	lo := float64(k * ln2Lo)
	r := hi - lo
	return math.Ldexp(expReduced(r, hi, lo), int(k))
}

// Exp2 returns 2 to the x for x in [0,1), the same on every machine.
func Exp2(x float64) float64 {
	scale := 1.0
	if x > 0.5 { // the polynomial is good to half a power of two
		x--
		scale = 2
	}
	hi := float64(x * ln2Hi)
	lo := -float64(x * ln2Lo)
	return scale * expReduced(hi-lo, hi, lo)
}

func expReduced(r, hi, lo float64) float64 {
	const (
		p1 = 1.66666666666666657415e-01
		p2 = -2.77777777770155933842e-03
		p3 = 6.61375632143793436117e-05
		p4 = -1.65339022054652515390e-06
		p5 = 4.13813679705723846039e-08
	)
	t := float64(r * r)
	p := float64(t*p5) + p4
	p = float64(t*p) + p3
	p = float64(t*p) + p2
	p = float64(t*p) + p1
	c := r - float64(t*p)
	return 1 - ((lo - float64(r*c)/(2-c)) - hi)
}

// Log returns the natural logarithm of x, the same on every machine; within 1 ulp.
func Log(x float64) float64 {
	switch {
	case x != x || math.IsInf(x, 1):
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	const (
		l1 = 6.666666666666735130e-01
		l2 = 3.999999999940941908e-01
		l3 = 2.857142874366239149e-01
		l4 = 2.222219843214978396e-01
		l5 = 1.818357216161805012e-01
		l6 = 1.531383769920937332e-01
		l7 = 1.479819860511658591e-01
	)
	f1, ki := math.Frexp(x)
	if f1 < math.Sqrt2/2 {
		f1 *= 2
		ki--
	}
	f := f1 - 1
	k := float64(ki)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	t := float64(s4*l7) + l5
	t = float64(s4*t) + l3
	t1 := s2 * (float64(s4*t) + l1)
	t = float64(s4*l6) + l4
	t2 := s4 * (float64(s4*t) + l2)
	r := t1 + t2
	half := float64(0.5 * float64(f*f))
	return float64(k*ln2Hi) - ((half - (float64(s*(half+r)) + float64(k*ln2Lo))) - f)
}
