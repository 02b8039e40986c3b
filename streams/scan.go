package streams

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// The JSON scanner: functions that take a position in a text and return the one behind what they read, or ^pos of the
// first byte that can't stand there. Texts are valid UTF-8 when they get here; everything else of RFC 8259 is checked,
// and that \u escapes pair their surrogates.

// Two things that are not about one byte: tooDeep is returned in place of a position, and a lone surrogate is reported as
// ^(p + loneSurrogate) of its escape.
const (
	tooDeep       = -1 << 31
	loneSurrogate = 1 << 30
)

func text(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func skipSpace(b []byte, p int) int {
	for p < len(b) && (b[p] == ' ' || b[p] == '\n' || b[p] == '\r' || b[p] == '\t') {
		p++
	}
	return p
}

const ones, high = 0x0101010101010101, 0x8080808080808080

// load8 returns the eight bytes of b from p on, the first of them lowest.
func load8(b []byte, p int) uint64 {
	return binary.LittleEndian.Uint64(b[p : p+8])
}

// stops sets the high bit of each byte of w that ends the plain part of a string: below ' ', a quote or a backslash. A
// borrow can set bits above the first of them wrongly, never below.
func stops(w uint64) uint64 {
	quote, slash := w^('"'*ones), w^('\\'*ones)
	return ((w-' '*ones)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & high
}

// plainEnd returns the position of the first byte from p on that ends the plain part of a string, or len(b).
func plainEnd(b []byte, p int) int {
	for p+8 <= len(b) {
		if stop := stops(load8(b, p)); stop != 0 {
			return p + bits.TrailingZeros64(stop)>>3
		}
		p += 8
	}
	for p < len(b) && b[p] >= ' ' && b[p] != '"' && b[p] != '\\' {
		p++
	}
	return p
}

// scanString reads a string whose opening quote lies before p and returns the position of the closing one.
func scanString(b []byte, p int) (end int, escaped bool) {
	for {
		p = plainEnd(b, p)
		switch {
		case p >= len(b):
			return ^p, escaped
		case b[p] == '"':
			return p, escaped
		case b[p] != '\\':
			return ^p, escaped
		}
		escaped = true
		if p = scanEscape(b, p); p < 0 {
			return p, escaped
		}
	}
}

func scanEscape(b []byte, p int) int {
	if p+1 >= len(b) {
		return ^len(b)
	}
	switch b[p+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return p + 2
	case 'u':
		r := hex4(b, p+2)
		switch {
		case r < 0:
			return ^(p + 1)
		case r >= 0xDC00 && r < 0xE000:
			return ^(p + loneSurrogate)
		case r >= 0xD800 && r < 0xDC00:
			if p+7 >= len(b) || b[p+6] != '\\' || b[p+7] != 'u' {
				return ^(p + loneSurrogate)
			}
			if low := hex4(b, p+8); low < 0xDC00 || low >= 0xE000 {
				return ^(p + loneSurrogate)
			}
			return p + 12
		}
		return p + 6
	}
	return ^(p + 1)
}

func hex4(b []byte, p int) rune {
	if p+4 > len(b) {
		return -1
	}
	r := rune(0)
	for _, c := range b[p : p+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape undoes the escapes of the inside of a string that scanString has accepted, in memory of its own.
func unescape(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		switch b[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(b, i+1)
			i += 4
			if r >= 0xD800 && r < 0xDC00 {
				r = (r-0xD800)<<10 + hex4(b, i+3) - 0xDC00 + 0x10000
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, b[i])
		}
	}
	return text(out)
}

// scanNumber reads a number that starts at p.
func scanNumber(b []byte, p int) int {
	if p < len(b) && b[p] == '-' {
		p++
	}
	switch {
	case p >= len(b) || b[p]-'0' > 9:
		return ^p
	case b[p] == '0':
		p++
	default:
		p = scanDigits(b, p)
	}
	if p < len(b) && b[p] == '.' {
		q := scanDigits(b, p+1)
		if q == p+1 {
			return ^q
		}
		p = q
	}
	if p < len(b) && b[p]|0x20 == 'e' {
		p++
		if p < len(b) && (b[p] == '+' || b[p] == '-') {
			p++
		}
		q := scanDigits(b, p)
		if q == p {
			return ^q
		}
		p = q
	}
	return p
}

func scanDigits(b []byte, p int) int {
	for p < len(b) && b[p]-'0' <= 9 {
		p++
	}
	return p
}

func scanWord(b []byte, p int, word string) int {
	for i := 0; i < len(word); i++ {
		if p+i >= len(b) || b[p+i] != word[i] {
			return ^(p + i)
		}
	}
	return p + len(word)
}

// skipValue reads any value that starts at p, nested at most depth levels deep.
func skipValue(b []byte, p, depth int) int {
	if p >= len(b) {
		return ^p
	}
	switch c := b[p]; c {
	case '"':
		end, _ := scanString(b, p+1)
		if end < 0 {
			return end
		}
		return end + 1
	case 't':
		return scanWord(b, p, "true")
	case 'f':
		return scanWord(b, p, "false")
	case 'n':
		return scanWord(b, p, "null")
	case '{', '[':
		if depth == 0 {
			return tooDeep
		}
		closing := c + 2 // '}' and ']' follow their openings by two
		p = skipSpace(b, p+1)
		if p < len(b) && b[p] == closing {
			return p + 1
		}
		for {
			if c == '{' {
				if p >= len(b) || b[p] != '"' {
					return ^p
				}
				end, _ := scanString(b, p+1)
				if end < 0 {
					return end
				}
				p = skipSpace(b, end+1)
				if p >= len(b) || b[p] != ':' {
					return ^p
				}
				p = skipSpace(b, p+1)
			}
			if p = skipValue(b, p, depth-1); p < 0 {
				return p
			}
			p = skipSpace(b, p)
			if p >= len(b) {
				return ^p
			}
			switch b[p] {
			case closing:
				return p + 1
			case ',':
				p = skipSpace(b, p+1)
			default:
				return ^p
			}
		}
	}
	return scanNumber(b, p)
}
