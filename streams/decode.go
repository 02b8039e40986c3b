package streams

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Format is the form in which the records of a topic are sent.
type Format uint8

// The formats.
const (
	Native Format = iota
	Segment
	GA4
	CloudEvents
	Auto // each record by what only its format has
)

var formatNames = [...]string{Native: "native", Segment: "segment", GA4: "ga4", CloudEvents: "cloudevents", Auto: "auto"}

func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// ParseFormat returns the format of that name.
func ParseFormat(name string) (Format, error) {
	for f, n := range formatNames {
		if n == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("streams: no format %q: want one of %s", name, strings.Join(formatNames[:], ", "))
}

// Decoder makes events of records. It keeps buffers between records, so it serves one goroutine; events do not refer to
// those buffers.
type Decoder struct {
	Strict bool // refuse top-level fields that the schema does not know
	// Currencies, if given, is what the money of events is turned into. An event in a currency that it does not know is
	// refused. nil takes money as it is sent.
	Currencies *Currencies

	format Format

	text  []byte // of the native event
	fault *Fault
	keys  []string // keys of the objects being read, innermost last; never seen by events
	many  map[string]struct{}
	set   fieldSet         // fields given, other than null
	span  [numProps][2]int // where the props that some type needs stand
	has   uint32           // those that are there, other than null: 1<<prop
}

// NewDecoder returns a decoder of records in that format.
func NewDecoder(format Format) *Decoder {
	return &Decoder{format: format}
}

// Decode makes *e the event that r holds, or says why r holds none; *e is then undefined. e's Lines are overwritten, all
// else that an event refers to is the record's memory or fresh.
//
// The text is checked whole: where a record is no JSON and has a wrong field besides, the fault is json. Null is read as
// absent. Which rules hold is said by the tables in schema.go.
func (d *Decoder) Decode(r *Record, e *Event) *Fault {
	b := r.Value
	if len(b) > 5 && b[0] == 0 {
		b = b[5:] // magic byte and schema id of a schema registry
		if p := skipSpace(b, 0); p < len(b) && b[p] != '{' {
			return &Fault{FaultJSON, fmt.Sprintf("a record under schema %d of a schema registry that is no JSON: write it with the JSON Schema serializer, not as Avro or Protobuf",
				binary.BigEndian.Uint32(r.Value[1:]))}
		}
	}
	if len(b) > MaxEventBytes {
		return &Fault{FaultTooLarge, fmt.Sprintf("record of %d bytes: want at most %d", len(b), MaxEventBytes)}
	}
	if !utf8.Valid(b) {
		return utf8Fault(b)
	}
	format := d.format
	if format == Auto {
		format = d.formatOf(r, b)
	}
	var f *Fault
	switch format {
	case Segment:
		f = d.segment(b, e)
	case GA4:
		f = d.ga4(b, e)
	case CloudEvents:
		f = d.cloudEvent(r, b, e)
	default:
		f = d.native(b, e)
	}
	if f == nil || f.Reason == FaultJSON || f.Reason == FaultUTF8 || json.Valid(b) {
		return f
	}
	if end := skipValue(b, skipSpace(b, 0), -1); end < 0 {
		d.syntax(b, end)
	} else {
		d.syntax(b, ^skipSpace(b, end))
	}
	return d.fault
}

// NativeText is the event that was decoded last, in the native format.
func (d *Decoder) NativeText() []byte { return d.text }

// native decodes the JSON text of a native event.
func (d *Decoder) native(b []byte, e *Event) *Fault {
	d.text = b
	if !d.event(b, e) || !d.check(b, e) {
		return d.fault
	}
	if d.Currencies != nil {
		return d.Currencies.event(e)
	}
	return nil
}

// CheckTime returns the time of an event that was appended at appendMS, corrected for the skew of the sender's clock as
// time + (append - sent), and refuses one that lies more than five minutes after appendMS or before 1970.
func CheckTime(e *Event, appendMS int64) (timeMS int64, f *Fault) {
	timeMS = e.TimeMS
	if e.SentMS != 0 {
		timeMS += appendMS - e.SentMS
	}
	if timeMS-appendMS > MaxFutureMS {
		return 0, &Fault{FaultFuture, fmt.Sprintf(`field "time": want at most 5 min after the record's append time %s, got %s`,
			AppendTime(nil, appendMS), AppendTime(nil, timeMS))}
	}
	if timeMS < 0 {
		return 0, &Fault{FaultTime, fmt.Sprintf(`field "time": want 1970 or later, got %s after correction by "sent"`, AppendTime(nil, timeMS))}
	}
	return timeMS, nil
}

// failf notes the fault. Always false, so that a reader can return it.
func (d *Decoder) failf(reason, format string, args ...any) bool {
	d.fault = &Fault{reason, fmt.Sprintf(format, args...)}
	return false
}

// syntax notes that the byte at ^end can't stand there, which is how the scanner reports it. Always -1.
func (d *Decoder) syntax(b []byte, end int) int {
	p := ^end
	switch {
	case end == tooDeep:
		d.failf(FaultLimit, "nested too deep: want at most %d levels", maxUnknownDepth)
	case p >= loneSurrogate:
		p -= loneSurrogate
		d.failf(FaultUTF8, "byte %d: lone surrogate %s", p, b[p:p+6])
	case p >= len(b):
		d.failf(FaultJSON, "unexpected end after %d bytes", len(b))
	default:
		r, _ := utf8.DecodeRune(b[p:])
		d.failf(FaultJSON, "byte %d: unexpected %q", p, r)
	}
	return -1
}

func utf8Fault(b []byte) *Fault {
	p := 0
	for p < len(b) {
		r, n := utf8.DecodeRune(b[p:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		p += n
	}
	return &Fault{FaultUTF8, fmt.Sprintf("byte %d: 0x%02x is no UTF-8", p, b[p])}
}

// wrong notes that the value at p is of a type that the field does not take. If it is no JSON at all, that is the fault.
// Always -1.
func (d *Decoder) wrong(b []byte, p int, path, want string) int {
	end := skipValue(b, p, -1)
	if end < 0 {
		return d.syntax(b, end)
	}
	if path == "" {
		d.failf(FaultType, "want %s, got %s", want, excerpt(b[p:end]))
	} else {
		d.failf(FaultType, "field %q: want %s, got %s", path, want, excerpt(b[p:end]))
	}
	return -1
}

// excerpt cuts what was found down to what a message can hold.
func excerpt[T ~string | ~[]byte](b T) string {
	const most = 64
	if len(b) <= most {
		return string(b)
	}
	n := most
	for !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "…"
}

// event reads the text of an event into *e and the decoder's notes.
func (d *Decoder) event(b []byte, e *Event) bool {
	*e = Event{Lines: e.Lines[:0]}
	d.set, d.has, d.fault, d.keys = 0, 0, nil, d.keys[:0]
	var seen fieldSet
	item := Line{Quantity: 1}

	p := skipSpace(b, 0)
	if p >= len(b) {
		return d.syntax(b, ^p) >= 0
	}
	if b[p] != '{' {
		return d.wrong(b, p, "", "a JSON object") >= 0
	}
	p, done := d.open(b, p, '}')
	for !done {
		f, key := unknownField, ""
		if f, p = fieldAt(b, p); f == unknownField {
			if key, p = d.key(b, p); p < 0 {
				return false
			}
			f = fieldOf(key) // a known key may be written with escapes or with space before its colon
		}
		switch {
		case f == unknownField:
			e.Unknown++
			p = d.unknown(b, p, key)
		case seen.has(f):
			return d.failf(FaultDuplicate, "field %q is given twice", fieldNames[f])
		case p < len(b) && b[p] == 'n':
			seen |= 1 << f
			if p = scanWord(b, p, "null"); p < 0 {
				return d.syntax(b, p) >= 0
			}
		default:
			seen |= 1 << f
			d.set |= 1 << f
			if stringFields.has(f) && p < len(b) && b[p] == '"' {
				end := plainEnd(b, p+1)
				s := text(b[p+1 : end])
				if end == len(b) || b[end] != '"' {
					if s, end = d.str(b, p, fieldNames[f]); end < 0 {
						return false
					}
					end--
				}
				if !d.stringField(f, s, e, &item) {
					return false
				}
				p = end + 1
			} else {
				p = d.field(b, p, f, e, &item)
			}
		}
		if p < 0 {
			return false
		}
		if p+1 < len(b) && b[p] == ',' && b[p+1] == '"' { // no space, as most write it
			p++
			continue
		}
		p, done = d.more(b, p, '}')
	}
	if p < 0 {
		return false
	}
	if p = skipSpace(b, p); p != len(b) {
		return d.syntax(b, ^p) >= 0
	}
	d.joinLines(e, item)
	return true
}

// joinLines makes item, price and quantity beside each other a line. Where a type is about one item, that item comes first
// even if the sender lists others; else a list of items speaks for itself.
func (d *Decoder) joinLines(e *Event, item Line) {
	if item.ID == "" {
		return
	}
	if len(e.Lines) == 0 {
		e.Lines = append(e.Lines, item)
		return
	}
	if !rules[e.Type].needs.has(fieldItem) {
		return
	}
	for i := range e.Lines {
		if l := &e.Lines[i]; l.ID == item.ID {
			item.Position = l.Position
			if !item.HasPrice {
				item.Price, item.HasPrice = l.Price, l.HasPrice
			}
			copy(e.Lines[1:i+1], e.Lines[:i])
			e.Lines[0] = item
			return
		}
	}
	e.Lines = append(e.Lines, Line{})
	copy(e.Lines[1:], e.Lines)
	e.Lines[0] = item
}

// fieldAt reads a known key and its colon, if they stand at p as most write them, and returns where the value starts;
// else unknownField and p. No known key is longer than eight bytes, so it is told by the first word alone.
func fieldAt(b []byte, p int) (field, int) {
	if p+11 > len(b) || b[p] != '"' {
		return unknownField, p
	}
	w, n := load8(b, p+1), 8
	if stop := stops(w); stop != 0 {
		n = bits.TrailingZeros64(stop) >> 3
		w &= 1<<(8*n) - 1
	}
	if b[p+1+n] != '"' || b[p+2+n] != ':' {
		return unknownField, p
	}
	f := fieldOfWord(w)
	if f == unknownField {
		return unknownField, p
	}
	p += 3 + n
	if p < len(b) && b[p] <= ' ' {
		p = skipSpace(b, p)
	}
	return f, p
}

// fieldOf returns the field of that name, or unknownField.
func fieldOf(key string) field {
	if len(key) > 8 {
		return unknownField
	}
	var word [8]byte
	copy(word[:], key)
	if f := fieldOfWord(load8(word[:], 0)); f != unknownField && fieldNames[f] == key { // the key may hold a zero
		return f
	}
	return unknownField
}

// key reads a key and its colon and returns where the value starts.
func (d *Decoder) key(b []byte, p int) (string, int) {
	if p >= len(b) || b[p] != '"' {
		return "", d.syntax(b, ^p)
	}
	end, escaped := scanString(b, p+1)
	if end < 0 {
		return "", d.syntax(b, end)
	}
	key := text(b[p+1 : end])
	if escaped {
		key = unescape(b[p+1 : end])
	}
	p = end + 1
	if p < len(b) && b[p] != ':' {
		p = skipSpace(b, p)
	}
	if p >= len(b) || b[p] != ':' {
		return "", d.syntax(b, ^p)
	}
	p++
	if p < len(b) && b[p] <= ' ' {
		p = skipSpace(b, p)
	}
	return key, p
}

// push notes an unknown key of the top level and reports whether it is the first of its name. A record may hold thousands.
func (d *Decoder) push(key string) bool {
	const few = 32
	switch n := len(d.keys); {
	case n < few:
		for _, k := range d.keys {
			if k == key {
				return false
			}
		}
	case n == few:
		if d.many == nil {
			d.many = make(map[string]struct{})
		}
		clear(d.many)
		for _, k := range d.keys {
			d.many[k] = struct{}{}
		}
		fallthrough
	default:
		if _, ok := d.many[key]; ok {
			return false
		}
		d.many[key] = struct{}{}
	}
	d.keys = append(d.keys, key)
	return true
}

// unknown skips the value of a top-level field that the schema does not know.
func (d *Decoder) unknown(b []byte, p int, key string) int {
	if d.Strict {
		d.failf(FaultUnknown, "field %q: want one of %s (strict mode)", excerpt(key), strings.Join(fieldNames[:], " "))
		return -1
	}
	if !d.push(key) {
		d.failf(FaultDuplicate, "field %q is given twice", excerpt(key))
		return -1
	}
	end := skipValue(b, p, maxUnknownDepth)
	if end < 0 {
		return d.syntax(b, end)
	}
	return end
}
