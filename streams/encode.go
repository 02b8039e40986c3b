package streams

import (
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// mustEscape marks the bytes that a JSON string can't hold as they are, and those that may be no UTF-8.
var mustEscape = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return t
}()

// AppendJSONString appends s as a JSON string. What is no UTF-8 becomes U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start, i := 0, 0
	for raw := unsafe.Slice(unsafe.StringData(s), len(s)); i+8 <= len(raw); i += 8 {
		if w := load8(raw, i); stops(w)|w&high != 0 {
			break
		}
	}
	for i < len(s) {
		c := s[i]
		if !mustEscape[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendFloat appends the shortest JSON number that reads back as f, in the spelling of encoding/json. What JSON has no
// number for (an infinity, NaN) becomes null.
// AppendJSONNumber appends a number, which must be one, as short as it can be read back.
func AppendJSONNumber(dst []byte, f float64) []byte { return appendFloat(dst, f) }

func appendFloat(dst []byte, f float64) []byte {
	// Most numbers that we publish have few decimals. If the quotient of n and 10^6, which IEEE rounds correctly, is f, then
	// n's digits are a decimal that reads back as f, and with at most 15 of them no shorter one does but by its zeros.
	if a := math.Abs(f); a < 1e9 && (a >= 1e-6 || f == 0) {
		n := uint64(float64(a*1e6) + 0.5)
		if float64(n)/1e6 == a && (f != 0 || !math.Signbit(f)) {
			if f < 0 {
				dst = append(dst, '-')
			}
			dst = strconv.AppendUint(dst, n/1e6, 10)
			frac := n % 1e6
			if frac == 0 {
				return dst
			}
			digits := [7]byte{'.'}
			for i := 6; i > 0; i-- {
				digits[i] = byte('0' + frac%10)
				frac /= 10
			}
			end := 7
			for digits[end-1] == '0' {
				end--
			}
			return append(dst, digits[:end]...)
		}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if a := math.Abs(f); a == 0 || a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // e-09 is e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
