package streams

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// CloudEvents 1.0 over Kafka: structured, where the header content-type begins with application/cloudevents or the text has a specversion, else
// binary, with the attributes in ce_ headers. The data is a native event, of which the attributes give what it lacks:
//
//	source, id           id: <source>#<id>, as only both together are unique; their hash where that is too long
//	type                 type: its end, as in com.example.shop.product.viewed or product.viewed.v1
//	time                 time
//	user, anon, session  the same: extension attributes
//
// Attributes and headers that are not here say nothing; subject is what the event is about, which need not be a customer. Faults speak of
// native fields.

const cloudContent = "application/cloudevents"

func header(r *Record, name string) (string, bool) {
	for i := range r.Headers {
		if strings.EqualFold(r.Headers[i].Key, name) {
			return string(r.Headers[i].Value), true
		}
	}
	return "", false
}

func hasCloudHeaders(r *Record) bool {
	if len(r.Headers) == 0 {
		return false
	}
	content, _ := header(r, "content-type")
	_, binary := header(r, "ce_specversion")
	return binary || strings.HasPrefix(content, cloudContent)
}

// cloudEvent is the attributes of an event, and its data.
type cloudEvent struct {
	version, source, id, kind, time, user, anon, session string
	data                                                 Value
}

// attribute is where an attribute is held; nil for one that says nothing.
func (c *cloudEvent) attribute(name string) *string {
	switch name {
	case "specversion":
		return &c.version
	case "source":
		return &c.source
	case "id":
		return &c.id
	case "type":
		return &c.kind
	case "time":
		return &c.time
	case "user":
		return &c.user
	case "anon":
		return &c.anon
	case "session":
		return &c.session
	}
	return nil
}

// check refuses an envelope that is none of version 1.
func (c *cloudEvent) check() *Fault {
	if !strings.HasPrefix(c.version, "1.") {
		return &Fault{FaultField, fmt.Sprintf("CloudEvent: want specversion 1.0, got %q", excerpt(c.version))}
	}
	for _, name := range []string{"source", "id", "type"} {
		if *c.attribute(name) == "" {
			return &Fault{FaultField, "CloudEvent: missing: " + name}
		}
	}
	return nil
}

func (d *Decoder) cloudEvent(r *Record, b []byte, e *Event) *Fault {
	c, f := d.cloudAttributes(r, b)
	if f == nil {
		f = c.check()
	}
	if f != nil {
		return f
	}
	data, f := d.objectOf(c.data)
	if f != nil {
		return f
	}
	native, f := c.native(data)
	if f != nil {
		return f
	}
	return d.native(native, e)
}

func (d *Decoder) cloudAttributes(r *Record, b []byte) (c cloudEvent, f *Fault) {
	if content, _ := header(r, "content-type"); !strings.HasPrefix(content, cloudContent) {
		if _, ok := header(r, "ce_specversion"); ok {
			for i := range r.Headers {
				name, ours := strings.CutPrefix(strings.ToLower(r.Headers[i].Key), "ce_")
				into := c.attribute(name)
				if !ours || into == nil {
					continue
				}
				if *into != "" {
					return c, &Fault{FaultDuplicate, "header " + r.Headers[i].Key + " is given twice"}
				}
				if *into = string(r.Headers[i].Value); !utf8.ValidString(*into) {
					return c, &Fault{FaultUTF8, "header " + r.Headers[i].Key + " is no UTF-8"}
				}
			}
			if c.data = b; len(b) == 0 {
				c.data = Value("{}")
			}
			return c, nil
		}
	}
	whole, f := d.objectOf(b)
	if f != nil {
		return c, f
	}
	if v, ok := whole.Get("specversion"); !ok || v.Kind() == "null" {
		return c, &Fault{FaultField, `no CloudEvent: missing: specversion, and no header ce_specversion`}
	}
	whole.Each(func(key string, v Value) bool {
		into := c.attribute(key)
		switch {
		case key == "data" && v.Kind() != "null":
			c.data = v
		case key == "data_base64" && v.Kind() != "null":
			f = &Fault{FaultType, `field "data_base64": want the event in "data", as JSON`}
		case into != nil && v.Kind() != "null":
			text, ok := v.Text()
			if !ok {
				f = &Fault{FaultType, fmt.Sprintf("field %q: want a string, got %s", key, excerpt(v))}
			}
			*into = text
		}
		return f == nil
	})
	if f == nil && c.data == nil {
		c.data = Value("{}")
	}
	return c, f
}

// native is the data with what the attributes add.
func (c *cloudEvent) native(data Props) ([]byte, *Fault) {
	has := func(keys ...string) bool {
		for _, key := range keys {
			if v, ok := data.Get(key); ok && v.Kind() != "null" {
				return true
			}
		}
		return false
	}
	w := &rewriting{}
	w.open("{")
	if !has("id") {
		id := c.source + "#" + c.id
		if len(id) > MaxIDBytes {
			id = strconv.FormatUint(xxhash.Sum64String(id), 16)
		}
		w.putText("id", id)
	}
	if !has("type") {
		name, ok := cloudType(c.kind)
		if !ok {
			return nil, &Fault{FaultEvent, fmt.Sprintf(`CloudEvent's type: want one that ends with a type of version 1, such as com.example.product.viewed, got %q`, excerpt(c.kind))}
		}
		w.putText("type", name)
	}
	if !has("time") {
		w.putText("time", c.time)
	}
	if !has("user", "anon") {
		w.putText("user", c.user)
		w.putText("anon", c.anon)
	}
	if !has("session") {
		w.putText("session", c.session)
	}
	data.Each(func(key string, v Value) bool { // without nulls: one would stand beside what the attributes give
		w.put(key, v)
		return true
	})
	return append(w.out, '}'), nil
}

// cloudVersion is the version that a type may end with.
var cloudVersion = regexp.MustCompile(`\.v[0-9]+$`)

// cloudType is the native type that a type ends with, a version behind it aside.
func cloudType(kind string) (string, bool) {
	kind = cloudVersion.ReplaceAllString(kind, "")
	for rest := kind; rest != ""; {
		if t := ParseType(rest); t != Invalid {
			return rest, true
		}
		_, after, found := strings.Cut(rest, ".")
		if !found {
			break
		}
		rest = after
	}
	return "", false
}
