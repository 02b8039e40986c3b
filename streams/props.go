package streams

import (
	"math"
	"strconv"
)

// Props is the raw text of a JSON object that was validated when its event was decoded, or nil. Looking something up
// walks it from the start: it is at most 8 KB and asked seldom.
type Props []byte

// Value is the raw text of one JSON value inside Props.
type Value []byte

// Kind names a value's type in JSON: string, number, bool, object, list or null.
func (v Value) Kind() string {
	if len(v) == 0 {
		return "null"
	}
	switch v[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "list"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}

// Text returns the value of a string. It aliases the value unless escapes had to be undone.
func (v Value) Text() (string, bool) {
	if len(v) < 2 || v[0] != '"' {
		return "", false
	}
	inside := v[1 : len(v)-1]
	for _, c := range inside {
		if c == '\\' {
			return unescape(inside), true
		}
	}
	return text(inside), true
}

// Number returns the value of a number that a float64 can hold.
func (v Value) Number() (float64, bool) {
	if v.Kind() != "number" {
		return 0, false
	}
	f, err := strconv.ParseFloat(text(v), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// Micro returns the value of a number in millionths, exactly; false beyond ±MaxMicro.
func (v Value) Micro() (int64, bool) {
	if v.Kind() != "number" {
		return 0, false
	}
	return parseMicro(v)
}

// Bool returns the value of true and false.
func (v Value) Bool() (value, ok bool) {
	if v.Kind() != "bool" {
		return false, false
	}
	return v[0] == 't', true
}

// Props returns an object's members.
func (v Value) Props() (Props, bool) {
	return Props(v), len(v) > 0 && v[0] == '{'
}

// List calls f for each element of a list until f returns false, and reports whether the value is a list.
func (v Value) List(f func(i int, v Value) bool) bool {
	if len(v) == 0 || v[0] != '[' {
		return false
	}
	p := skipSpace(v, 1)
	for i := 0; p < len(v) && v[p] != ']'; i++ {
		end := skipValue(v, p, -1)
		if end < 0 || !f(i, v[p:end]) {
			break
		}
		p = skipSpace(v, end)
		if p < len(v) && v[p] == ',' {
			p = skipSpace(v, p+1)
		}
	}
	return true
}

// Each calls f for each member in the order sent until f returns false.
func (o Props) Each(f func(key string, v Value) bool) {
	for p := o.first(); p > 0; {
		var key string
		var v Value
		if key, v, p = o.next(p); p < 0 || !f(key, v) {
			return
		}
	}
}

// Get returns the member of that key.
func (o Props) Get(key string) (Value, bool) {
	for p := o.first(); p > 0; {
		var k string
		var v Value
		if k, v, p = o.next(p); p >= 0 && k == key {
			return v, true
		}
	}
	return nil, false
}

// String returns the string of that key; false if there is none or it is something else.
func (o Props) String(key string) (string, bool) {
	v, ok := o.Get(key)
	if !ok {
		return "", false
	}
	return v.Text()
}

// Number returns the number of that key.
func (o Props) Number(key string) (float64, bool) {
	v, ok := o.Get(key)
	if !ok {
		return 0, false
	}
	return v.Number()
}

// Bool returns the truth value of that key.
func (o Props) Bool(key string) (value, ok bool) {
	v, ok := o.Get(key)
	if !ok {
		return false, false
	}
	return v.Bool()
}

// first returns the position of the first member, or 0 where there is none.
func (o Props) first() int {
	if len(o) == 0 || o[0] != '{' {
		return 0
	}
	if p := skipSpace(o, 1); p < len(o) && o[p] == '"' {
		return p
	}
	return 0
}

// next reads the member at p and returns the position of the one behind it, 0 after the last; -1 if the text is no JSON,
// which Props of a decoded event never are.
func (o Props) next(p int) (key string, v Value, after int) {
	end, escaped := scanString(o, p+1)
	if end < 0 {
		return "", nil, -1
	}
	if escaped {
		key = unescape(o[p+1 : end])
	} else {
		key = text(o[p+1 : end])
	}
	p = skipSpace(o, end+1)
	if p >= len(o) || o[p] != ':' {
		return "", nil, -1
	}
	p = skipSpace(o, p+1)
	q := skipValue(o, p, -1)
	if q < 0 {
		return "", nil, -1
	}
	v = Value(o[p:q])
	p = skipSpace(o, q)
	if p < len(o) && o[p] == ',' {
		if p = skipSpace(o, p+1); p < len(o) && o[p] == '"' {
			return key, v, p
		}
	}
	return key, v, 0
}
