package streams

import (
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// The GA4 format: one event a record, as the Measurement Protocol sends it (name and params, or a payload whose events hold one) or as the
// export to BigQuery has it (event_name, event_params). It is rewritten as the native event it stands for.
//
//	user_id; client_id, app_instance_id, user_pseudo_id   user; anon
//	timestamp_micros, event_timestamp                     time
//	name, event_name                                      type, see ga4Types; what is none of those is custom.<name>
//	items[].item_id, price, quantity, index or item_list_index    items, or item of a view, a click and a wish
//	value, currency, transaction_id, search_term          value, currency, props.order, props.query; a value that is no amount, of other events than orders: props.value
//	item_list_id, else item_list_name, else the first item's      props.list
//	coupon                                                props.coupon
//	page_location, page_referrer, language, source, campaign; device.category    context
//	ga_session_id                                         session
//	all other parameters                                  props
//	user_properties of a user_engagement                  props of a user.updated; of other events they are left out, as one record is one event
//
// GA4 has no id of an event: the hash of the record's text is the id, so that a record that is sent twice is one event.

var ga4Types = map[string]Type{
	"page_view": PageViewed, "screen_view": PageViewed, "view_item_list": ListViewed, "select_item": ProductClicked, "view_item": ProductViewed,
	"view_search_results": SearchPerformed, "search": SearchPerformed, "add_to_cart": ProductAdded, "remove_from_cart": ProductRemoved,
	"view_cart": CartViewed, "begin_checkout": CheckoutStarted, "purchase": OrderCompleted, "refund": OrderRefunded, "add_to_wishlist": WishlistAdded,
}

// ga4Taken are the parameters that become something else than a member of props.
var ga4Taken = map[string]bool{"items": true, "value": true, "currency": true, "transaction_id": true, "search_term": true, "item_list_id": true,
	"item_list_name": true, "page_location": true, "page_referrer": true, "language": true, "source": true, "campaign": true, "ga_session_id": true}

// ga4Event is a GA4 event, taken apart.
type ga4Event struct {
	name        string
	user, anon  Value
	micros      Value
	items       Value
	params      map[string]Value
	order       []string // of the parameters
	traits      []trait
	device      Value
	transaction Value
	revenue     Value
}

// trait is a user property.
type trait struct {
	name  string
	value Value
}

func (d *Decoder) ga4(b []byte, e *Event) *Fault {
	whole, f := d.objectOf(b)
	if f != nil {
		return f
	}
	g := ga4Event{params: map[string]Value{}}
	if f := g.parse(whole); f != nil {
		return f
	}
	native, f := g.native(xxhash.Sum64(b))
	if f != nil {
		return f
	}
	return d.native(native, e)
}

// parse takes in an object: a payload, the event in it, or a row of the export.
func (g *ga4Event) parse(o Props) (f *Fault) {
	o.Each(func(key string, v Value) bool {
		if v.Kind() == "null" {
			return true
		}
		switch key {
		case "name", "event_name":
			name, ok := v.Text()
			if !ok {
				f = &Fault{FaultType, fmt.Sprintf("field %q: want a string, got %s", key, excerpt(v))}
			}
			g.name = name
		case "user_id":
			g.user = v
		case "client_id", "app_instance_id", "user_pseudo_id":
			g.anon = v
		case "timestamp_micros", "event_timestamp":
			g.micros = v
		case "items":
			g.items = v
		case "device":
			if device, ok := v.Props(); ok {
				g.device, _ = device.Get("category")
			}
		case "ecommerce":
			if shop, ok := v.Props(); ok {
				g.transaction, _ = shop.Get("transaction_id")
				g.revenue, _ = shop.Get("purchase_revenue")
			}
		case "user_properties":
			g.properties(v)
		case "params":
			f = g.parameters(key, v)
		case "event_params":
			f = g.rows(key, v)
		case "events":
			n := 0
			v.List(func(_ int, x Value) bool {
				if event, ok := x.Props(); ok && n == 0 {
					f = g.parse(event)
				}
				n++
				return true
			})
			if n != 1 && f == nil {
				f = &Fault{FaultLimit, fmt.Sprintf(`field "events": want one event in a record, got %d`, n)}
			}
		}
		return f == nil
	})
	return f
}

func (g *ga4Event) parameter(key string, v Value) {
	if _, there := g.params[key]; !there {
		g.order = append(g.order, key)
	}
	g.params[key] = v
}

func (g *ga4Event) parameters(key string, v Value) *Fault {
	params, ok := v.Props()
	if !ok {
		return &Fault{FaultType, fmt.Sprintf("field %q: want an object, got %s", key, excerpt(v))}
	}
	params.Each(func(name string, v Value) bool {
		if name == "items" {
			g.items = v
		} else if v.Kind() != "null" {
			g.parameter(name, v)
		}
		return true
	})
	return nil
}

// rows takes in parameters as the export has them.
func (g *ga4Event) rows(key string, v Value) *Fault {
	if v.Kind() != "list" {
		return &Fault{FaultType, fmt.Sprintf("field %q: want a list, got %s", key, excerpt(v))}
	}
	ga4Rows(v, g.parameter)
	return nil
}

// properties takes in user properties: as the export has them, or as {"tier": {"value": "gold"}}.
func (g *ga4Event) properties(v Value) {
	add := func(name string, v Value) {
		if v.Kind() != "null" {
			g.traits = append(g.traits, trait{name, v})
		}
	}
	ga4Rows(v, add)
	if o, ok := v.Props(); ok {
		o.Each(func(name string, v Value) bool {
			if in, ok := v.Props(); ok {
				v, _ = in.Get("value")
			}
			add(name, v)
			return true
		})
	}
}

// ga4Rows calls f for the rows of a list: {"key": K, "value": {"string_value": V}}.
func ga4Rows(v Value, f func(name string, v Value)) {
	v.List(func(_ int, row Value) bool {
		o, _ := row.Props()
		k, _ := o.Get("key")
		name, ok := k.Text()
		value, _ := o.Get("value")
		if in, isObject := value.Props(); ok && isObject {
			for _, kind := range []string{"string_value", "int_value", "double_value", "float_value"} {
				if x, there := in.Get(kind); there && x.Kind() != "null" {
					f(name, ga4Number(kind, x))
					break
				}
			}
		}
		return true
	})
}

// ga4Number turns a number that the export has written as a string into one.
func ga4Number(kind string, v Value) Value {
	if text, ok := v.Text(); ok && kind != "string_value" {
		if _, isNumber := Value(text).Number(); isNumber {
			return Value(text)
		}
	}
	return v
}

// native is the native event.
func (g *ga4Event) native(hash uint64) ([]byte, *Fault) {
	if g.name == "" {
		return nil, &Fault{FaultField, "missing: name or event_name"}
	}
	t, known := ga4Types[g.name]
	name := typeNames[t]
	switch {
	case g.name == "user_engagement" && len(g.traits) > 0:
		t, name = UserUpdated, typeNames[UserUpdated]
	case !known:
		if t, name = segmentType(g.name); t == Invalid {
			return nil, &Fault{FaultEvent, fmt.Sprintf(`field "name": %q has no letter or digit that a type could be named by`, excerpt(g.name))}
		}
	}
	param := func(keys ...string) Value {
		for _, key := range keys {
			if v, ok := g.params[key]; ok {
				return v
			}
		}
		return nil
	}
	w := &rewriting{}
	w.open("{")
	w.putText("id", strconv.FormatUint(hash, 16))
	w.putText("type", name)
	if f := g.time(w); f != nil {
		return nil, f
	}
	w.put("user", g.user)
	w.put("anon", g.anon)
	w.put("session", asText(param("ga_session_id")))
	switch t {
	case ProductViewed, ProductClicked, WishlistAdded:
		g.items.List(func(i int, v Value) bool {
			if item, ok := v.Props(); ok {
				g.line(w, item, "item")
			}
			return false
		})
	default:
		if g.items.Kind() == "list" && t != PageViewed {
			w.key("items")
			w.out = append(w.out, '[')
			g.items.List(func(i int, v Value) bool {
				if i > 0 {
					w.out = append(w.out, ',')
				}
				item, _ := v.Props()
				in := &rewriting{out: w.out}
				in.open("{")
				g.line(in, item, "id")
				w.out = append(in.out, '}')
				return true
			})
			w.out = append(w.out, ']')
		}
	}
	value, sold := ga4Number("", param("value")), t == OrderCompleted || t == CheckoutStarted || t == OrderRefunded
	if value == nil && sold {
		value = ga4Number("", g.revenue)
	}
	micro, isMoney := value.Micro()
	isMoney = isMoney && micro >= 0
	if isMoney || sold {
		w.put("value", value)
	}
	w.put("currency", param("currency"))
	w.object("context", false, func(w *rewriting) {
		w.put("locale", asText(param("language")))
		w.put("page", asText(param("page_location")))
		w.put("referrer", asText(param("page_referrer")))
		w.put("campaign", asText(param("campaign")))
		w.put("device", asText(g.device))
		w.put("source", asText(param("source")))
	})
	w.object("props", false, func(w *rewriting) {
		order := param("transaction_id")
		if order == nil {
			order = g.transaction
		}
		w.put("order", asText(order))
		w.put("query", asText(param("search_term")))
		list := param("item_list_id", "item_list_name")
		if list == nil {
			list = g.listOfItems()
		}
		if list == nil && t == ListViewed {
			list = Value(`"list"`)
		}
		w.put("list", asText(list))
		traits := map[string]bool{}
		if t == UserUpdated {
			for _, x := range g.traits {
				if !traits[x.name] {
					w.put(x.name, x.value)
				}
				traits[x.name] = true
			}
		}
		if !isMoney && !sold && !traits["value"] {
			w.put("value", value)
		}
		for _, key := range g.order {
			if !traits[key] && !ga4Taken[key] && key != "order" && key != "query" && key != "list" {
				w.put(key, g.params[key])
			}
		}
	})
	return append(w.out, '}'), nil
}

func (g *ga4Event) time(w *rewriting) *Fault {
	text := string(g.micros)
	if s, ok := g.micros.Text(); ok { // the export writes large numbers as strings
		text = s
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return &Fault{FaultTime, fmt.Sprintf(`want timestamp_micros or event_timestamp, in microseconds since 1970, got %q`, excerpt(text))}
	}
	w.put("time", Value(strconv.FormatInt(micros/1000, 10)))
	return nil
}

// line writes one of the items.
func (g *ga4Event) line(w *rewriting, item Props, id string) {
	get := func(key string) Value {
		v, _ := item.Get(key)
		return v
	}
	w.put(id, asText(get("item_id")))
	w.put("price", ga4Number("", get("price")))
	w.put("quantity", ga4Number("", get("quantity")))
	if id == "id" {
		for _, key := range []string{"index", "item_list_index"} {
			at := ga4Number("", get(key))
			if n, ok := at.Number(); ok && n >= 1 {
				w.put("position", at)
				break
			}
		}
	}
}

// listOfItems is the list that the first item says it was seen in.
func (g *ga4Event) listOfItems() (list Value) {
	g.items.List(func(_ int, v Value) bool {
		item, _ := v.Props()
		for _, key := range []string{"item_list_id", "item_list_name"} {
			x, _ := item.Get(key)
			if text, ok := x.Text(); list == nil && (ok && text != "" && text != "(not set)" || x.Kind() == "number") {
				list = x
			}
		}
		return false
	})
	return list
}

// asText turns a number into the text that it is written as; senders write ids either way. What is neither is left out.
func asText(v Value) Value {
	switch v.Kind() {
	case "string":
		return v
	case "number":
		return Value(`"` + string(v) + `"`)
	}
	return nil
}
