package streams

import (
	"math/bits"
	"strings"
)

// stringField takes the value of a field that is a string.
func (d *Decoder) stringField(f field, s string, e *Event, item *Line) bool {
	switch f {
	case fieldID:
		e.ID = s
		return d.checkID("id", s)
	case fieldType:
		e.Type = ParseType(s)
		switch e.Type {
		case Invalid:
			return d.failf(FaultEvent, "field \"type\": want one of the types of version 1 or custom.<a-z0-9_>, got %q", excerpt(s))
		case Custom:
			e.Name = s
		default:
			e.Name = typeNames[e.Type]
		}
	case fieldTime:
		return d.checkTime("time", s, &e.TimeMS)
	case fieldSent:
		return d.checkTime("sent", s, &e.SentMS)
	case fieldUser:
		e.User = s
		return d.checkIdentity("user", s)
	case fieldAnon:
		e.Anon = s
		return d.checkIdentity("anon", s)
	case fieldSession:
		e.Session = s
		return d.checkID("session", s)
	case fieldItem:
		item.ID = s
		return d.checkID("item", s)
	case fieldCurrency:
		if e.Currency = s; !currencyCode(s) {
			return d.failf(FaultCurrency, "field \"currency\": want three capital letters of ISO 4217, got %q", excerpt(s))
		}
	case fieldDecision:
		if e.Decision = s; len(s) == 0 || len(s) > maxDecisionBytes {
			return d.failf(FaultLimit, "field \"decision\": want 1 to %d bytes, got %d", maxDecisionBytes, len(s))
		}
	}
	return true
}

// field reads the value of a known field that is neither null nor, where it may be one, a string.
func (d *Decoder) field(b []byte, p int, f field, e *Event, item *Line) int {
	if p >= len(b) {
		return d.syntax(b, ^p)
	}
	switch f {
	case fieldTime:
		e.TimeMS, p = d.unixMS(b, p, "time")
	case fieldSent:
		e.SentMS, p = d.unixMS(b, p, "sent")
	case fieldPrice:
		item.HasPrice = true
		item.Price, p = d.money(b, p, "price")
	case fieldQuantity:
		item.Quantity, p = d.whole(b, p, "quantity", 0, MaxQuantity)
	case fieldItems:
		p = d.lines(b, p, e)
	case fieldValue:
		e.HasValue = true
		e.Value, p = d.money(b, p, "value")
	case fieldContext:
		p = d.context(b, p, &e.Context)
	case fieldProps:
		if b[p] != '{' {
			return d.wrong(b, p, "props", "an object")
		}
		start := p
		if p = d.props(b, p, 1, &propsBounds); p >= 0 {
			e.Props = Props(b[start:p:p])
		}
	case fieldV:
		var v int32
		if v, p = d.whole(b, p, "v", -1e9, 1e9); p >= 0 && v != 1 {
			d.failf(FaultVersion, "field \"v\": want 1, got %d", v)
			return -1
		}
	default:
		return d.wrong(b, p, fieldNames[f], "a string")
	}
	return p
}

func currencyCode(s string) bool {
	return len(s) == 3 && s[0]-'A' < 26 && s[1]-'A' < 26 && s[2]-'A' < 26
}

// str reads a string.
func (d *Decoder) str(b []byte, p int, path string) (string, int) {
	if p >= len(b) || b[p] != '"' {
		return "", d.wrong(b, p, path, "a string")
	}
	end, escaped := scanString(b, p+1)
	if end < 0 {
		return "", d.syntax(b, end)
	}
	if escaped {
		return unescape(b[p+1 : end]), end + 1
	}
	return text(b[p+1 : end]), end + 1
}

// checkID holds an id against its limit.
func (d *Decoder) checkID(path, s string) bool {
	if uint(len(s)-1) < MaxIDBytes {
		return true
	}
	return d.failf(FaultLimit, "field %q: want 1 to %d bytes, got %d", path, MaxIDBytes, len(s))
}

// checkIdentity holds the id of a customer against its limits.
func (d *Decoder) checkIdentity(path, s string) bool {
	if uint(len(s)-1) >= MaxIDBytes {
		return d.failf(FaultIdentity, "field %q: want 1 to %d bytes, got %d", path, MaxIDBytes, len(s))
	}
	if nobody(s) {
		return d.failf(FaultIdentity, "field %q: %q names nobody: leave the field out", path, s)
	}
	return true
}

// checkTime reads an RFC 3339 time.
func (d *Decoder) checkTime(path, s string, into *int64) bool {
	ms, ok := ParseTime(s)
	*into = ms
	if ok && ms >= 0 {
		return true
	}
	return d.failf(FaultTime, "field %q: want RFC 3339 with a zone from 1970 on, or Unix milliseconds, got %q", path, excerpt(s))
}

// nobody reports whether s is what a program writes for an id that it does not have.
func nobody(s string) bool {
	switch len(s) {
	case 1:
		return s == "0"
	case 3:
		return strings.EqualFold(s, "nan")
	case 4:
		return strings.EqualFold(s, "null") || strings.EqualFold(s, "none")
	case 9:
		return strings.EqualFold(s, "undefined")
	case 15:
		return strings.EqualFold(s, "[object Object]")
	}
	return false
}

// number reads a number as text.
func (d *Decoder) number(b []byte, p int, path string) ([]byte, int) {
	if p >= len(b) || b[p] != '-' && b[p]-'0' > 9 {
		return nil, d.wrong(b, p, path, "a number")
	}
	end := scanNumber(b, p)
	if end < 0 {
		return nil, d.syntax(b, end)
	}
	return b[p:end], end
}

// money reads a price.
func (d *Decoder) money(b []byte, p int, path string) (int64, int) {
	if micro, end := plainMicro(b, p); end > 0 {
		return micro, end
	}
	t, p := d.number(b, p, path)
	if p < 0 {
		return 0, -1
	}
	micro, ok := parseMicro(t)
	if !ok || micro < 0 || t[0] == '-' && !zero(t) {
		d.failf(FaultPrice, "field %q: want a number from 0 to 10^9, got %s", path, excerpt(t))
		return 0, -1
	}
	return micro, p
}

func zero(number []byte) bool {
	mant, _, _, _ := decimal(number)
	return mant == 0
}

// whole reads a whole number from least to most.
func (d *Decoder) whole(b []byte, p int, path string, least, most int64) (int32, int) {
	t, p := d.number(b, p, path)
	if p < 0 {
		return 0, -1
	}
	n, ok := int64(t[0]-'0'), len(t) == 1
	if !ok {
		n, ok = parseWhole(t)
	}
	if !ok || n < least || n > most {
		d.failf(FaultLimit, "field %q: want a whole number from %d to %d, got %s", path, least, most, excerpt(t))
		return 0, -1
	}
	return int32(n), p
}

// unixMS reads a time in Unix milliseconds.
func (d *Decoder) unixMS(b []byte, p int, path string) (int64, int) {
	if b[p] != '-' && b[p]-'0' > 9 {
		return 0, d.wrong(b, p, path, "an RFC 3339 string or Unix milliseconds")
	}
	t, p := d.number(b, p, path)
	if p < 0 {
		return 0, -1
	}
	ms, ok := parseWhole(t)
	if !ok || ms < 0 || ms > maxMS {
		d.failf(FaultTime, "field %q: want whole Unix milliseconds from 0 to %d, got %s", path, int64(maxMS), excerpt(t))
		return 0, -1
	}
	if ms >= fromSeconds && ms < toSeconds {
		d.failf(FaultTime, "field %q: want Unix milliseconds, got %s, which are seconds, or days of 1970 to 1973; write %s000, or RFC 3339", path, excerpt(t), excerpt(t))
		return 0, -1
	}
	return ms, p
}

// A number from fromSeconds up to toSeconds is a time of a shop in Unix seconds, of 2001 and later. As milliseconds it would be of 1970 to 1973, and late for
// whatever it is about.
const fromSeconds, toSeconds = 1_000_000_000, 100_000_000_000

// String lists the fields of the set by name.
func (s fieldSet) String() string {
	var names []string
	for s != 0 {
		f := bits.TrailingZeros32(uint32(s))
		names = append(names, fieldNames[f])
		s &^= 1 << f
	}
	return strings.Join(names, ", ")
}
