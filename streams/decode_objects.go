package streams

import "fmt"

// open reads what comes before the first member of an object or list at p, and says whether there is none.
func (d *Decoder) open(b []byte, p int, closing byte) (int, bool) {
	p = skipSpace(b, p+1)
	if p < len(b) && b[p] == closing {
		return p + 1, true
	}
	return p, false
}

// more reads what comes after a member and says whether that was the last.
func (d *Decoder) more(b []byte, p int, closing byte) (int, bool) {
	p = skipSpace(b, p)
	if p >= len(b) {
		return d.syntax(b, ^p), true
	}
	switch b[p] {
	case closing:
		return p + 1, true
	case ',':
		return skipSpace(b, p+1), false
	}
	return d.syntax(b, ^p), true
}

// lines reads the list of items.
func (d *Decoder) lines(b []byte, p int, e *Event) int {
	if b[p] != '[' {
		return d.wrong(b, p, "items", "a list of objects")
	}
	p, done := d.open(b, p, ']')
	for !done {
		if len(e.Lines) == MaxLines {
			d.failf(FaultLimit, "field \"items\": want at most %d", MaxLines)
			return -1
		}
		e.Lines = append(e.Lines, Line{Quantity: 1})
		if p = d.line(b, p, &e.Lines[len(e.Lines)-1], len(e.Lines)-1); p < 0 {
			return -1
		}
		p, done = d.more(b, p, ']')
	}
	return p
}

// line reads one element of items.
func (d *Decoder) line(b []byte, p int, line *Line, index int) int {
	const (
		id = 1 << iota
		price
		quantity
		position
	)
	fail := func() int { // the message names the element; the fault was noted without
		if d.fault.Reason != FaultJSON && d.fault.Reason != FaultUTF8 {
			d.fault.Detail = fmt.Sprintf("items[%d]: %s", index, d.fault.Detail)
		}
		return -1
	}
	if p >= len(b) || b[p] != '{' {
		return d.wrong(b, p, fmt.Sprintf("items[%d]", index), "an object")
	}
	from, seen := len(d.keys), 0
	p, done := d.open(b, p, '}')
	for !done {
		var key string
		if key, p = d.key(b, p); p < 0 {
			return -1
		}
		bit := 0
		switch key {
		case "id":
			bit = id
		case "price":
			bit = price
		case "quantity":
			bit = quantity
		case "position":
			bit = position
		}
		if bit == 0 {
			if !d.member(from, key, &lineBounds) {
				return -1
			}
		} else if seen&bit != 0 {
			return d.twice(lineBounds.path, key)
		}
		seen |= bit
		switch {
		case bit == 0:
			if p = skipValue(b, p, maxUnknownDepth); p < 0 {
				return d.syntax(b, p)
			}
		case p < len(b) && b[p] == 'n':
			if p = scanWord(b, p, "null"); p < 0 {
				return d.syntax(b, p)
			}
		case bit == id:
			if line.ID, p = d.str(b, p, "id"); p >= 0 && !d.checkID("id", line.ID) {
				p = -1
			}
		case bit == price:
			line.HasPrice = true
			line.Price, p = d.money(b, p, "price")
		case bit == quantity:
			line.Quantity, p = d.whole(b, p, "quantity", 0, MaxQuantity)
		case bit == position:
			line.Position, p = d.whole(b, p, "position", 1, 1<<31-1)
		}
		if p < 0 {
			return fail()
		}
		p, done = d.more(b, p, '}')
	}
	d.keys = d.keys[:from]
	if p >= 0 && line.ID == "" {
		d.failf(FaultField, "field \"id\" is missing")
		return fail()
	}
	return p
}

// context reads the context. Members that the schema does not know are skipped.
func (d *Decoder) context(b []byte, p int, c *Context) int {
	if b[p] != '{' {
		return d.wrong(b, p, "context", "an object")
	}
	start, from, seen := p, len(d.keys), 0
	p, done := d.open(b, p, '}')
	for !done {
		var key string
		if key, p = d.key(b, p); p < 0 {
			return -1
		}
		var into *string
		bit := 0
		switch key {
		case "channel":
			into, bit = &c.Channel, 1<<0
		case "locale":
			into, bit = &c.Locale, 1<<1
		case "page":
			into, bit = &c.Page, 1<<2
		case "referrer":
			into, bit = &c.Referrer, 1<<3
		case "campaign":
			into, bit = &c.Campaign, 1<<4
		case "device":
			into, bit = &c.Device, 1<<5
		case "source":
			into, bit = &c.Source, 1<<6
		}
		if bit == 0 {
			if !d.member(from, key, &contextBounds) {
				return -1
			}
		} else if seen&bit != 0 {
			return d.twice(contextBounds.path, key)
		}
		seen |= bit
		switch {
		case bit == 0:
			if p = skipValue(b, p, maxUnknownDepth); p < 0 {
				return d.syntax(b, p)
			}
		case p < len(b) && b[p] == 'n':
			if p = scanWord(b, p, "null"); p < 0 {
				return d.syntax(b, p)
			}
		default:
			if *into, p = d.str(b, p, key); p < 0 {
				return -1
			}
		}
		p, done = d.more(b, p, '}')
	}
	d.keys = d.keys[:from]
	if p >= 0 && p-start > MaxContextBytes {
		d.failf(FaultTooLarge, "field \"context\": want at most %d bytes, got %d", MaxContextBytes, p-start)
		return -1
	}
	return p
}

// bounds are the limits of an object that is taken over as it is.
type bounds struct {
	depth, keys int
	path        string
}

var (
	propsBounds   = bounds{MaxPropsDepth, MaxPropsKeys, `field "props"`}
	lineBounds    = bounds{maxUnknownDepth, MaxPropsKeys, `field "items"`}
	contextBounds = bounds{maxUnknownDepth, MaxPropsKeys, `field "context"`}
	foreignBounds = bounds{maxUnknownDepth, 512, "record"}
)

// member notes a key of the nested object whose keys start at from in d.keys, and that it is the first of its name.
func (d *Decoder) member(from int, key string, most *bounds) bool {
	for _, k := range d.keys[from:] {
		if k == key {
			return d.twice(most.path, key) >= 0
		}
	}
	if len(d.keys)-from == most.keys {
		return d.failf(FaultLimit, "%s: want at most %d keys in an object", most.path, most.keys)
	}
	d.keys = append(d.keys, key)
	return true
}

// twice notes that a key was given twice. Always -1.
func (d *Decoder) twice(path, key string) int {
	d.failf(FaultDuplicate, "%s: key %q is given twice", path, excerpt(key))
	return -1
}

// props reads the props or an object in them; level counts from 1. Of the first level it notes where the members stand
// that some type needs.
func (d *Decoder) props(b []byte, p, level int, most *bounds) int {
	from := len(d.keys)
	p, done := d.open(b, p, '}')
	for !done {
		var key string
		if key, p = d.key(b, p); p < 0 {
			return -1
		}
		if !d.member(from, key, most) {
			return -1
		}
		start := p
		if p = d.propValue(b, p, level, most); p < 0 {
			return -1
		}
		if level == 1 && b[start] != 'n' {
			if known, ok := propOf(key); ok {
				d.span[known] = [2]int{start, p}
				d.has |= 1 << known
			}
		}
		p, done = d.more(b, p, '}')
	}
	d.keys = d.keys[:from]
	return p
}

// propValue reads a value that lies in an object or list of that level.
func (d *Decoder) propValue(b []byte, p, level int, most *bounds) int {
	if p < len(b) && (b[p] == '{' || b[p] == '[') {
		if level == most.depth {
			d.failf(FaultLimit, "%s: nested too deep: want at most %d levels", most.path, most.depth)
			return -1
		}
		if b[p] == '{' {
			return d.props(b, p, level+1, most)
		}
		p, done := d.open(b, p, ']')
		for !done {
			if p = d.propValue(b, p, level+1, most); p < 0 {
				return -1
			}
			p, done = d.more(b, p, ']')
		}
		return p
	}
	end := skipValue(b, p, 0)
	if end < 0 {
		return d.syntax(b, end)
	}
	return end
}

// check holds an event whose fields are good, each by itself, against the rules of its type.
func (d *Decoder) check(b []byte, e *Event) bool {
	const always = 1<<fieldID | 1<<fieldType | 1<<fieldTime
	if d.set&always != always {
		return d.failf(FaultField, "missing: %s", (always &^ d.set).String())
	}
	rule := &rules[e.Type]
	if e.User == "" && e.Anon == "" && !e.Type.Catalogue() {
		return d.failf(FaultIdentity, "missing: user or anon")
	}
	if missing := rule.needs &^ d.set; missing != 0 {
		reason := FaultField
		if missing&needBoth != 0 {
			reason = FaultIdentity
		}
		return d.failf(reason, "%s: missing: %s", e.Name, missing.String())
	}
	if len(e.Lines) == 0 && (rule.line || rule.filled) {
		return d.failf(FaultField, "%s: want at least one item", e.Name)
	}
	for i := range rule.props {
		if !d.checkProp(b, e, &rule.props[i]) {
			return false
		}
	}
	if n := len(e.Props); n > MaxPropsBytes {
		if d.has&(1<<propText) != 0 && (e.Type == ReviewSubmitted || e.Type == ServiceContacted) {
			n -= d.span[propText][1] - d.span[propText][0]
		}
		if n > MaxPropsBytes {
			return d.failf(FaultTooLarge, "field \"props\": want at most %d bytes, got %d", MaxPropsBytes, n)
		}
	}
	return true
}

func (d *Decoder) checkProp(b []byte, e *Event, r *propRule) bool {
	name := propNames[r.prop]
	if d.has&(1<<r.prop) == 0 {
		return r.optional || d.failf(FaultField, "%s: missing: props.%s", e.Name, name)
	}
	v := Value(b[d.span[r.prop][0]:d.span[r.prop][1]])
	wrong := func(want string) bool {
		return d.failf(FaultType, "%s: props.%s: want %s, got %s", e.Name, name, want, excerpt(v))
	}
	switch r.form {
	case formRating, formCount:
		if v.Kind() != "number" {
			return wrong("a number")
		}
		micro, ok := parseMicro(v)
		if r.form == formRating && (!ok || micro < 1*Micro || micro > 5*Micro) {
			return d.failf(FaultLimit, "%s: props.%s: want 1 to 5, got %s", e.Name, name, excerpt(v))
		}
		if r.form == formCount && v[0] == '-' && !zero(v) {
			return d.failf(FaultLimit, "%s: props.%s: want no negative number, got %s", e.Name, name, excerpt(v))
		}
		return true
	case formBool:
		if v.Kind() != "bool" {
			return wrong("true or false")
		}
		return true
	}
	s, ok := v.Text()
	if !ok {
		return wrong("a string")
	}
	most := 0
	switch r.form {
	case formID:
		if most = MaxIDBytes; s == "" {
			return d.failf(FaultLimit, "%s: props.%s: want 1 to %d bytes, got 0", e.Name, name, most)
		}
	case formText:
		most = MaxTextBytes
	case formStatus:
		if s != "granted" && s != "denied" && s != "revoked" {
			return wrong("granted, denied or revoked")
		}
	}
	if most > 0 && len(s) > most {
		return d.failf(FaultLimit, "%s: props.%s: want at most %d bytes, got %d", e.Name, name, most, len(s))
	}
	return true
}
