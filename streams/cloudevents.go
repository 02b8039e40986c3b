package streams

import (
	"bytes"
	"fmt"
	"strings"
)

// CloudEvents 1.0 over Kafka: structured, where the header content-type begins with application/cloudevents or the text has a specversion, else
// binary, with the attributes in ce_ headers. The data is a native event, of which the attributes give what it lacks:
//
//	id        id
//	type      type: its end, as in com.example.shop.product.viewed
//	time      time
//	subject   user, where the data names nobody
//
// Attributes and headers that are not here say nothing. Faults speak of native fields.

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
	id, kind, time, subject string
	data                    Value
}

func (d *Decoder) cloudEvent(r *Record, b []byte, e *Event) *Fault {
	c, f := d.cloudAttributes(r, b)
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
		if kind, ok := header(r, "ce_type"); ok {
			c.kind = kind
			c.id, _ = header(r, "ce_id")
			c.time, _ = header(r, "ce_time")
			c.subject, _ = header(r, "ce_subject")
			c.data = b
			return c, nil
		}
	}
	whole, f := d.objectOf(b)
	if f != nil {
		return c, f
	}
	if v, ok := whole.Get("specversion"); !ok || v.Kind() == "null" {
		return c, &Fault{FaultField, `no CloudEvent: missing: specversion, and no headers ce_type and ce_id`}
	}
	whole.Each(func(key string, v Value) bool {
		into := map[string]*string{"id": &c.id, "type": &c.kind, "time": &c.time, "subject": &c.subject}[key]
		switch {
		case key == "data":
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
		w.putText("id", c.id)
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
		w.putText("user", c.subject)
	}
	inside := bytes.TrimSpace(data[1 : len(data)-1])
	if len(inside) > 0 {
		if len(w.out) > w.start {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, inside...)
	}
	return append(w.out, '}'), nil
}

// cloudType is the native type that a type ends with.
func cloudType(kind string) (string, bool) {
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
