package streams

import (
	"fmt"
	"strings"
)

// The Segment format: a track, identify, alias, page or screen call is rewritten as the native event it stands for and
// that is decoded, so that one set of rules holds. Faults therefore speak of native fields.
//
//	messageId                              id
//	userId, anonymousId                    user, anon; of an alias: userId into user, previousId into anon
//	timestamp, sentAt, originalTimestamp   time, sent: with an originalTimestamp the timestamp was corrected by Segment
//	                                       already and is taken as it is; else the sender's skew is corrected by sentAt
//	event                                  type, see segmentType
//	channel, context                       context: locale, page.url, page.referrer, campaign.name, campaign.source, device.type
//	properties.product_id or sku, price, quantity, currency     item, price, quantity, currency
//	properties.products                    items
//	properties.revenue, else total, value  value
//	properties.order_id, review_body       props.order, props.text
//	properties.list_id, else category      props.list (of Product List Viewed)
//	traits of an identify, and all other properties             props

// segmentTypes are the names that the general mapping gets wrong.
var segmentTypes = map[string]Type{
	"product.list_viewed":           ListViewed,
	"products.searched":             SearchPerformed,
	"product.added_to_wishlist":     WishlistAdded,
	"product.removed_from_wishlist": WishlistRemoved,
	"product.reviewed":              ReviewSubmitted,
	"email.sent":                    MessageSent,
	"email.delivered":               MessageSent,
	"email.opened":                  MessageOpened,
	"email.clicked":                 MessageClicked,
	"email.link_clicked":            MessageClicked,
	"email.unsubscribed":            MessageUnsubscribed,
	"unsubscribed":                  MessageUnsubscribed,
}

// segmentType names the type of a track call: lower case, the first space a dot, the others underscores, then the
// exceptions. What version 1 does not know is custom, with '_' for what a custom name can't hold.
func segmentType(event string) (Type, string) {
	name := strings.ToLower(strings.Join(strings.Fields(event), " "))
	name = strings.ReplaceAll(strings.Replace(name, " ", ".", 1), " ", "_")
	if t, ok := segmentTypes[name]; ok {
		return t, typeNames[t]
	}
	if t := ParseType(name); t != Invalid {
		return t, name
	}
	custom := []byte(CustomPrefix)
	letters := false
	for i := 0; i < len(name) && len(custom) < len(CustomPrefix)+64; i++ {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			letters = true
		} else {
			c = '_'
		}
		custom = append(custom, c)
	}
	if !letters {
		return Invalid, ""
	}
	return Custom, string(custom)
}

// segmentCall is a Segment call, taken apart.
type segmentCall struct {
	kind, event                     string
	messageID, user, anon, previous Value
	timestamp, sentAt, original     Value
	channel, name                   Value
	properties, traits, context     Props
}

// segment decodes the text of a Segment call.
func (d *Decoder) segment(b []byte, e *Event) *Fault {
	whole, f := d.objectOf(b)
	if f != nil {
		return f
	}
	var c segmentCall
	if f := c.parse(whole); f != nil {
		return f
	}
	native, f := c.native(make([]byte, 0, len(b)+64))
	if f != nil {
		return f
	}
	return d.native(native, e)
}

func (c *segmentCall) parse(call Props) *Fault {
	var fault *Fault
	call.Each(func(key string, v Value) bool {
		if v.Kind() == "null" {
			return true
		}
		str := func(into *string) {
			s, ok := v.Text()
			if !ok {
				fault = &Fault{FaultType, fmt.Sprintf("field %q: want a string, got %s", key, excerpt(v))}
			}
			*into = s
		}
		object := func(into *Props) {
			o, ok := v.Props()
			if !ok {
				fault = &Fault{FaultType, fmt.Sprintf("field %q: want an object, got %s", key, excerpt(v))}
			}
			*into = o
		}
		switch key {
		case "type":
			str(&c.kind)
		case "event":
			str(&c.event)
		case "messageId":
			c.messageID = v
		case "userId":
			c.user = v
		case "anonymousId":
			c.anon = v
		case "previousId":
			c.previous = v
		case "timestamp":
			c.timestamp = v
		case "sentAt":
			c.sentAt = v
		case "originalTimestamp":
			c.original = v
		case "channel":
			c.channel = v
		case "name":
			c.name = v
		case "properties":
			object(&c.properties)
		case "traits":
			object(&c.traits)
		case "context":
			object(&c.context)
		}
		return fault == nil
	})
	return fault
}

// native appends the native event that the call stands for.
func (c *segmentCall) native(out []byte) ([]byte, *Fault) {
	var t Type
	var name string
	user, anon, props := c.user, c.anon, c.properties
	switch c.kind {
	case "track":
		if c.event == "" {
			return nil, &Fault{FaultField, `track: missing: event`}
		}
		if t, name = segmentType(c.event); t == Invalid {
			return nil, &Fault{FaultEvent, fmt.Sprintf(`field "event": %q has no letter or digit that a type could be named by`, excerpt(c.event))}
		}
	case "page", "screen":
		t = PageViewed
	case "identify":
		t, props = UserUpdated, c.traits
		if props == nil {
			props = Props("{}")
		}
	case "alias":
		t, anon = UserMerged, c.previous
	case "":
		return nil, &Fault{FaultField, "missing: type"}
	default:
		return nil, &Fault{FaultEvent, fmt.Sprintf(`field "type": want track, identify, alias, page or screen, got %q`, excerpt(c.kind))}
	}
	if t != Custom {
		name = typeNames[t]
	}
	out = append(out, `{"type":"`...)
	out = append(out, name...)
	out = append(out, '"')
	put := func(key string, v Value) {
		if v != nil {
			out = append(out, ',', '"')
			out = append(out, key...)
			out = append(out, '"', ':')
			out = append(out, v...)
		}
	}
	put("id", c.messageID)
	put("user", user)
	put("anon", anon)
	switch {
	case c.timestamp == nil:
		put("time", c.original)
		put("sent", c.sentAt)
	case c.original == nil:
		put("time", c.timestamp)
		put("sent", c.sentAt)
	default:
		put("time", c.timestamp)
	}
	out = c.appendContext(out)
	if c.kind == "identify" {
		put("props", Value(props))
	} else {
		out = appendProperties(out, t, props, c.name)
	}
	return append(out, '}'), nil
}

// segmentTaken are the properties that become something else than a member of props of the same name.
var segmentTaken = map[string]bool{"product_id": true, "sku": true, "price": true, "quantity": true, "currency": true,
	"products": true, "revenue": true, "total": true, "value": true, "decision": true}

// appendProperties appends what a track, page or screen call says.
func appendProperties(out []byte, t Type, props Props, pageName Value) []byte {
	get := func(keys ...string) Value {
		for _, key := range keys {
			if v, ok := props.Get(key); ok && v.Kind() != "null" {
				return v
			}
		}
		return nil
	}
	put := func(key string, v Value) {
		if v != nil {
			out = append(out, ',', '"')
			out = append(out, key...)
			out = append(out, '"', ':')
			out = append(out, v...)
		}
	}
	put("item", get("product_id", "sku"))
	put("price", get("price"))
	put("quantity", get("quantity"))
	put("value", get("revenue", "total", "value"))
	put("currency", get("currency"))
	put("decision", get("decision"))
	if products := get("products"); products != nil {
		out = appendProducts(append(out, `,"items":`...), products)
	}

	// Members of props that are made of other properties hide those of the same name.
	type member struct {
		key string
		v   Value
	}
	var made []member
	add := func(key string, v Value) {
		if v != nil {
			made = append(made, member{key, v})
		}
	}
	add("order", get("order_id"))
	switch t {
	case ListViewed:
		add("list", get("list_id", "category", "list"))
	case ReviewSubmitted:
		add("text", get("review_body", "text"))
	case MessageSent, MessageOpened, MessageClicked, MessageUnsubscribed:
		if get("channel") == nil {
			add("channel", Value(`"email"`))
		}
	case PageViewed:
		add("name", pageName)
	}
	n := len(out)
	out = append(out, `,"props":{`...)
	start := len(out)
	write := func(key string, v Value) {
		if len(out) > start {
			out = append(out, ',')
		}
		out = AppendJSONString(out, key)
		out = append(out, ':')
		out = append(out, v...)
	}
	for _, m := range made {
		write(m.key, m.v)
	}
	props.Each(func(key string, v Value) bool {
		if segmentTaken[key] || key == "order_id" || t == ReviewSubmitted && key == "review_body" {
			return true
		}
		for _, m := range made {
			if m.key == key {
				return true
			}
		}
		write(key, v)
		return true
	})
	if len(out) == start {
		return out[:n]
	}
	return append(out, '}')
}

// appendProducts appends the list of products as items. What is no object is passed on, for the native decoder to refuse.
func appendProducts(out []byte, products Value) []byte {
	if products.Kind() != "list" {
		return append(out, products...)
	}
	out = append(out, '[')
	products.List(func(i int, v Value) bool {
		if i > 0 {
			out = append(out, ',')
		}
		product, ok := v.Props()
		if !ok {
			out = append(out, v...)
			return true
		}
		out = append(out, '{')
		empty := true
		put := func(key string, from ...string) {
			for _, f := range from {
				if v, ok := product.Get(f); ok && v.Kind() != "null" {
					if !empty {
						out = append(out, ',')
					}
					empty = false
					out = append(out, '"')
					out = append(out, key...)
					out = append(out, '"', ':')
					out = append(out, v...)
					return
				}
			}
		}
		put("id", "product_id", "sku")
		put("price", "price")
		put("quantity", "quantity")
		put("position", "position")
		out = append(out, '}')
		return true
	})
	return append(out, ']')
}

// appendContext appends the parts of the context that a native event has a place for. Parts of another type are left out:
// senders put all sorts of things there.
func (c *segmentCall) appendContext(out []byte) []byte {
	n := len(out)
	out = append(out, `,"context":{`...)
	start := len(out)
	put := func(key string, v Value) {
		if v.Kind() != "string" {
			return
		}
		if len(out) > start {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, key...)
		out = append(out, '"', ':')
		out = append(out, v...)
	}
	find := func(o Props, path ...string) Value {
		for _, key := range path[:len(path)-1] {
			v, _ := o.Get(key)
			o, _ = v.Props()
		}
		v, _ := o.Get(path[len(path)-1])
		return v
	}
	first := func(values ...Value) Value {
		for _, v := range values {
			if v.Kind() == "string" {
				return v
			}
		}
		return nil
	}
	put("channel", c.channel)
	put("locale", find(c.context, "locale"))
	page, referrer := Value(nil), Value(nil)
	if c.kind == "page" {
		page, referrer = find(c.properties, "url"), find(c.properties, "referrer")
	}
	put("page", first(page, find(c.context, "page", "url"), find(c.context, "page", "path")))
	put("referrer", first(referrer, find(c.context, "page", "referrer"), find(c.context, "referrer", "url")))
	put("campaign", find(c.context, "campaign", "name"))
	put("device", find(c.context, "device", "type"))
	put("source", find(c.context, "campaign", "source"))
	if len(out) == start {
		return out[:n]
	}
	return append(out, '}')
}
