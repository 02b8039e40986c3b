package models

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

// A HyperLogLog counts distinct hashes (Flajolet, Fusy, Gandouet, Meunier 2007) with 2^11 registers: a standard error of 2.3 %. It lives
// in its bytes, which are the same for the same set of hashes whatever their order:
//
//	empty   nothing
//	sparse  0, then three bytes for each register that is set, ascending: its number (big endian) and its value
//	dense   1, then a byte for each register; as soon as it is no longer than the sparse form
//
// What is estimated is Ertl's improved raw estimate ("New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6),
// which needs no tables and is as good for few as for many.

// HLLError is the standard error of HLLEstimate, as a share: 1.04 / sqrt(2^11).
const HLLError = 0.023

const (
	hllBits      = 11
	hllRegisters = 1 << hllBits
	hllSparse    = hllRegisters / 3 // registers set from which on the dense form is no longer
)

// HLLAdd adds a hash and returns the new bytes, in the place of the old where they fit.
func HLLAdd(b []byte, hash uint64) []byte {
	register := int(hash >> (64 - hllBits))
	rank := byte(bits.LeadingZeros64(hash<<hllBits|1<<(hllBits-1)) + 1)
	return hllRaise(b, register, rank)
}

func hllRaise(b []byte, register int, rank byte) []byte {
	if len(b) == 0 {
		b = append(b, 0)
	}
	if b[0] == 1 {
		b[1+register] = max(b[1+register], rank)
		return b
	}
	at, end := 1, len(b)
	for lo, hi := 0, (len(b)-1)/3; lo < hi; {
		mid := (lo + hi) / 2
		if int(binary.BigEndian.Uint16(b[1+3*mid:])) < register {
			lo = mid + 1
		} else {
			hi = mid
		}
		at = 1 + 3*lo
	}
	if at < end && int(binary.BigEndian.Uint16(b[at:])) == register {
		b[at+2] = max(b[at+2], rank)
		return b
	}
	if (end-1)/3+1 > hllSparse {
		dense := make([]byte, 1+hllRegisters)
		dense[0] = 1
		for i := 1; i < end; i += 3 {
			dense[1+int(binary.BigEndian.Uint16(b[i:]))] = b[i+2]
		}
		dense[1+register] = rank
		return dense
	}
	b = append(b, 0, 0, 0)
	copy(b[at+3:], b[at:end])
	binary.BigEndian.PutUint16(b[at:], uint16(register))
	b[at+2] = rank
	return b
}

// HLLMerge adds the hashes of another one and returns the new bytes, in the place of into where they fit.
func HLLMerge(into, from []byte) []byte {
	hllEach(from, func(register int, rank byte) { into = hllRaise(into, register, rank) })
	return into
}

func hllEach(b []byte, f func(register int, rank byte)) {
	if len(b) == 0 {
		return
	}
	if b[0] == 1 {
		for i, rank := range b[1:] {
			if rank > 0 {
				f(i, rank)
			}
		}
		return
	}
	for i := 1; i < len(b); i += 3 {
		f(int(binary.BigEndian.Uint16(b[i:])), b[i+2])
	}
}

// HLLEstimate estimates the number of distinct hashes.
func HLLEstimate(b []byte) float64 {
	const q = 64 - hllBits
	var with [q + 2]int // registers by value
	set := 0
	hllEach(b, func(_ int, rank byte) {
		with[rank]++
		set++
	})
	with[0] = hllRegisters - set
	if set == 0 {
		return 0
	}
	z := float64(hllRegisters * hllTau(1-float64(with[q+1])/hllRegisters))
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + float64(with[k]))
	}
	z += float64(hllRegisters * hllSigma(float64(with[0])/hllRegisters))
	const alpha = 0.721347520444481703680 // 1 / (2 ln 2)
	return float64(alpha*hllRegisters*hllRegisters) / z
}

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x = float64(x * x)
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}

// HLLCheck refuses bytes that no HyperLogLog has.
func HLLCheck(b []byte) error {
	const most = 64 - hllBits + 1
	switch {
	case len(b) == 0:
		return nil
	case b[0] == 1 && len(b) == 1+hllRegisters:
		set := 0
		for _, rank := range b[1:] {
			if rank > most {
				return errors.New("models: a register of a HyperLogLog is too large")
			}
			if rank > 0 {
				set++
			}
		}
		if set <= hllSparse {
			return errors.New("models: a dense HyperLogLog of few registers")
		}
		return nil
	case b[0] == 0 && len(b) > 1 && len(b)%3 == 1 && (len(b)-1)/3 <= hllSparse:
		before := -1
		for i := 1; i < len(b); i += 3 {
			register := int(binary.BigEndian.Uint16(b[i:]))
			if register <= before || register >= hllRegisters || b[i+2] == 0 || b[i+2] > most {
				return errors.New("models: the registers of a HyperLogLog are out of order")
			}
			before = register
		}
		return nil
	}
	return errors.New("models: a HyperLogLog of an unknown form")
}

// HLLMost is how many bytes a HyperLogLog takes at most.
const HLLMost = 1 + hllRegisters
