package streams

import "math/bits"

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// decimal reads a JSON number (its grammar is already checked) as mant × 10^exp; sticky says that digits other than 0
// were dropped below mant, which then has 19 digits.
func decimal(text []byte) (mant uint64, exp int, negative, sticky bool) {
	i := 0
	if text[0] == '-' {
		negative = true
		i++
	}
	digits := 0
	fraction := false
number:
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c-'0' <= 9:
			if digits < 19 {
				mant = mant*10 + uint64(c-'0')
				if mant != 0 {
					digits++
				}
				if fraction {
					exp--
				}
			} else {
				sticky = sticky || c != '0'
				if !fraction {
					exp++
				}
			}
		case c == '.':
			fraction = true
		default: // e or E
			break number
		}
	}
	if i < len(text) {
		i++
		minus := text[i] == '-'
		if text[i] == '-' || text[i] == '+' {
			i++
		}
		e := 0
		for ; i < len(text); i++ {
			if e < 1_000_000 {
				e = e*10 + int(text[i]-'0')
			}
		}
		if minus {
			e = -e
		}
		exp += e
	}
	return mant, exp, negative, sticky
}

// parseMicro reads a JSON number as millionths, exactly: no float lies on the way, and digits beyond the sixth are rounded
// half to even. ok is false beyond ±MaxMicro.
func parseMicro(text []byte) (micro int64, ok bool) {
	mant, exp, negative, sticky := decimal(text)
	exp += 6
	switch {
	case mant == 0 || exp < -19: // mant < 10^19, so less than half a millionth
		return 0, true
	case exp > 15:
		return 0, false
	case exp >= 0:
		hi, lo := bits.Mul64(mant, pow10[exp])
		if hi != 0 {
			return 0, false
		}
		mant = lo
	default:
		div := pow10[-exp]
		q, r := mant/div, mant%div
		// div is even, so half of it is a whole number.
		if half := div / 2; r > half || r == half && (sticky || q&1 == 1) {
			q++
		}
		mant = q
	}
	if mant > MaxMicro {
		return 0, false
	}
	if negative {
		return -int64(mant), true
	}
	return int64(mant), true
}

// plainMicro reads a number of at most nine digits before the point and six after it, as nearly all prices are, in one
// pass; for every other one end is 0.
func plainMicro(b []byte, p int) (micro int64, end int) {
	n, start := uint64(0), p
	for p < len(b) && b[p]-'0' <= 9 {
		n = n*10 + uint64(b[p]-'0')
		p++
	}
	if digits := p - start; digits == 0 || digits > 9 || digits > 1 && b[start] == '0' {
		return 0, 0
	}
	missing := 6
	if p < len(b) && b[p] == '.' {
		p++
		start = p
		for p < len(b) && b[p]-'0' <= 9 && p-start < 6 {
			n = n*10 + uint64(b[p]-'0')
			p++
		}
		if missing -= p - start; missing == 6 {
			return 0, 0
		}
	}
	if p < len(b) && (b[p]-'0' <= 9 || b[p]|0x20 == 'e' || b[p] == '.') {
		return 0, 0
	}
	return int64(n * pow10[missing]), p
}

// parseWhole reads a JSON number as a whole number: 2.0 and 2e3 are whole, 1.5 is not. Beyond ±10^18 ok is false.
func parseWhole(text []byte) (n int64, ok bool) {
	mant, exp, negative, sticky := decimal(text)
	switch {
	case mant == 0:
		return 0, true
	case sticky || exp > 18 || exp < -19:
		return 0, false
	case exp >= 0:
		hi, lo := bits.Mul64(mant, pow10[exp])
		if hi != 0 {
			return 0, false
		}
		mant = lo
	default:
		if mant%pow10[-exp] != 0 {
			return 0, false
		}
		mant /= pow10[-exp]
	}
	if mant > 1e18 {
		return 0, false
	}
	if negative {
		return -int64(mant), true
	}
	return int64(mant), true
}
