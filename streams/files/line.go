package files

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"nudge/streams"
)

// appendLine writes one record as a line, newline included.
func appendLine(b []byte, r *streams.Record) []byte {
	b = append(b, `{"o":`...)
	b = strconv.AppendInt(b, r.Offset, 10)
	b = append(b, `,"t":`...)
	b = strconv.AppendInt(b, r.AppendMS, 10)
	switch {
	case r.Key == nil:
	case utf8.Valid(r.Key):
		b = append(b, `,"k":`...)
		b = appendString(b, r.Key)
	default:
		b = append(b, `,"k64":`...)
		b = appendBase64(b, r.Key)
	}
	if len(r.Headers) > 0 {
		b = append(b, `,"h":[`...)
		for i := range r.Headers {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendHeader(b, &r.Headers[i])
		}
		b = append(b, ']')
	}
	switch {
	case r.Value == nil:
	case embeddable(r.Value):
		b = append(b, `,"v":`...)
		b = append(b, r.Value...)
	default:
		b = append(b, `,"v64":`...)
		b = appendBase64(b, r.Value)
	}
	return append(b, "}\n"...)
}

func appendHeader(b []byte, h *streams.Header) []byte {
	b = append(b, '[')
	isText := utf8.ValidString(h.Key)
	if isText {
		b = appendString(b, []byte(h.Key))
	} else {
		b = append(b, `""`...)
	}
	b = append(b, ',')
	if h.Value == nil {
		b = append(b, "null"...)
	} else {
		b = appendBase64(b, h.Value)
	}
	if !isText {
		b = append(b, ',')
		b = appendBase64(b, []byte(h.Key))
	}
	return append(b, ']')
}

// embeddable reports whether a value can stand in a line as it is: a JSON object, in one line, of UTF-8.
func embeddable(v []byte) bool {
	return len(v) > 1 && v[0] == '{' && v[len(v)-1] == '}' && bytes.IndexByte(v, '\n') < 0 && utf8.Valid(v) && json.Valid(v)
}

func appendBase64(b, v []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, v)
	return append(b, '"')
}

// appendString writes a JSON string of valid UTF-8.
func appendString(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// cursor reads a line from left to right.
type cursor struct {
	b  []byte
	at int
}

// parseLine makes *r the record of a line without its newline. Key and Value alias the line where they can.
func parseLine(line []byte, r *streams.Record) error {
	c := cursor{b: line}
	*r = streams.Record{}
	if !c.skip(`{"o":`) || !c.int(&r.Offset) || !c.skip(`,"t":`) || !c.int(&r.AppendMS) {
		return c.fault(`{"o":offset,"t":time`)
	}
	var err error
	switch {
	case c.skip(`,"k":`):
		if r.Key, err = c.text(); err != nil {
			return fmt.Errorf("k: %w", err)
		}
	case c.skip(`,"k64":`):
		if r.Key, err = c.base64(); err != nil {
			return fmt.Errorf("k64: %w", err)
		}
	}
	if c.skip(`,"h":[`) {
		if r.Headers, err = c.headers(); err != nil {
			return fmt.Errorf("h: %w", err)
		}
	}
	switch {
	case c.skip(`,"v":`):
		// The value is all up to the line's last brace: that it is JSON was checked when it was written.
		if n := len(line) - 1; n > c.at && line[n] == '}' && line[c.at] == '{' {
			r.Value = line[c.at:n:n]
			c.at = n
		}
	case c.skip(`,"v64":`):
		if r.Value, err = c.base64(); err != nil {
			return fmt.Errorf("v64: %w", err)
		}
	}
	if !c.skip("}") || c.at != len(line) {
		return c.fault(`the next of k, k64, h, v, v64, or the line's end`)
	}
	r.Hash = streams.HashRecord(r)
	return nil
}

func (c *cursor) fault(want string) error {
	rest := c.b[min(c.at, len(c.b)):]
	if len(rest) > 40 {
		rest = rest[:40]
	}
	return fmt.Errorf("column %d: want %s, got %q", c.at+1, want, rest)
}

func (c *cursor) skip(s string) bool {
	if len(c.b)-c.at >= len(s) && string(c.b[c.at:c.at+len(s)]) == s {
		c.at += len(s)
		return true
	}
	return false
}

// int reads an integer without leading zeros, so that a line has one spelling.
func (c *cursor) int(v *int64) bool {
	start, i := c.at, c.at
	if i < len(c.b) && c.b[i] == '-' {
		i++
	}
	digits := i
	var n uint64
	for i < len(c.b) && c.b[i]-'0' <= 9 {
		n = n*10 + uint64(c.b[i]-'0')
		i++
	}
	if i == digits || i-digits > 19 || n > 1<<63-1 && !(n == 1<<63 && digits > start) ||
		c.b[digits] == '0' && i-start > 1 {
		return false
	}
	*v = int64(n)
	if digits > start {
		*v = -int64(n)
	}
	c.at = i
	return true
}

// quoted returns what stands between the quotes at the cursor, escapes and all.
func (c *cursor) quoted() (raw []byte, escaped bool, err error) {
	if c.at >= len(c.b) || c.b[c.at] != '"' {
		return nil, false, c.fault("a string")
	}
	for i := c.at + 1; i < len(c.b); i++ {
		switch c.b[i] {
		case '"':
			raw = c.b[c.at+1 : i : i]
			c.at = i + 1
			return raw, escaped, nil
		case '\\':
			escaped = true
			i++
		}
	}
	return nil, false, errors.New("a string without an end")
}

func (c *cursor) text() ([]byte, error) {
	raw, escaped, err := c.quoted()
	if err != nil || !escaped {
		return raw, err
	}
	var s string
	if err := json.Unmarshal(c.b[c.at-len(raw)-2:c.at], &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

func (c *cursor) base64() ([]byte, error) {
	raw, _, err := c.quoted()
	if err != nil {
		return nil, err
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Strict().Decode(out, raw)
	return out[:n:n], err
}

func (c *cursor) headers() ([]streams.Header, error) {
	var all []streams.Header
	for {
		var h streams.Header
		if !c.skip("[") {
			return nil, c.fault("[key,value]")
		}
		key, err := c.text()
		if err != nil {
			return nil, err
		}
		h.Key = strings.Clone(string(key))
		if !c.skip(",") {
			return nil, c.fault(`","`)
		}
		if !c.skip("null") {
			if h.Value, err = c.base64(); err != nil {
				return nil, err
			}
		}
		if c.skip(",") {
			if key, err = c.base64(); err != nil {
				return nil, err
			}
			h.Key = string(key)
		}
		if !c.skip("]") {
			return nil, c.fault(`"]"`)
		}
		all = append(all, h)
		if c.skip("]") {
			return all, nil
		}
		if !c.skip(",") {
			return nil, c.fault(`"," or "]"`)
		}
	}
}
