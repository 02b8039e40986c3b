package simulate

import (
	"strconv"
	"time"
)

// Topic is the kind of topic that a record belongs to; what a shop calls it is the caller's affair.
type Topic uint8

const (
	Clickstream Topic = iota
	Reviews
	Catalog
	NumTopics
)

// String returns the topic's name as in the documentation of the events.
func (t Topic) String() string { return [...]string{"clickstream", "reviews", "catalog"}[t] }

// Record is one record as it reaches the broker. Key and Value are never written to again.
type Record struct {
	Topic  Topic
	Key    []byte
	Value  []byte
	TimeMS int64 // of arrival: the order of the stream
}

// The event under construction is w.buf: head opens it, tail closes and emits it.

// head writes what every event of a person begins with.
func (w *World) head(p *person, name string) {
	p.events++
	b := append(w.buf[:0], `{"id":"`...)
	b = append(b, w.tag[:]...)
	b = append(b, "krbs"[p.role])
	b = strconv.AppendUint(b, uint64(p.no), 36)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(p.events), 36)
	b = append(b, `","type":"`...)
	b = append(b, name...)
	b = append(b, `","time":`...)
	at := w.now + int64(p.skewMS)
	b = p.appendTime(b, at)
	if p.skewMS != 0 {
		b = append(b, `,"sent":`...)
		b = p.appendTime(b, at)
	}
	if p.logged {
		b = append(b, `,"user":"`...)
		b = p.appendUser(b)
	} else {
		b = append(b, `,"anon":"`...)
		b = p.appendAnon(b)
		p.anonUsed = true
	}
	b = append(b, '"')
	if p.active && p.sessions {
		b = append(b, `,"session":"`...)
		b = append(b, "srbx"[p.role])
		b = strconv.AppendUint(b, uint64(p.no), 36)
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(p.visit), 36)
		b = append(b, '"')
	}
	w.buf = b
}

func (p *person) appendTime(b []byte, ms int64) []byte {
	if !p.iso {
		return strconv.AppendInt(b, ms, 10)
	}
	b = append(b, '"')
	b = time.UnixMilli(ms).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	return append(b, '"')
}

// tail writes where the person is, closes the event and sends it.
func (w *World) tail(p *person, topic Topic) {
	b := append(w.buf, `,"context":{"channel":"`...)
	b = append(b, channels[p.channel]...)
	switch p.role {
	case bot:
		b = append(b, `","device":"bot","source":"crawler"}}`...)
	case staff:
		b = append(b, `","device":"desktop","source":"staff"}}`...)
	default:
		b = append(b, `","locale":"`...)
		if p.zh {
			b = append(b, "zh-CN"...)
		} else {
			b = append(b, locales[p.locale]...)
		}
		b = append(b, `","device":"`...)
		b = append(b, devices[p.device]...)
		b = append(b, `"}}`...)
	}
	w.buf = b
	w.key = p.appendKey(w.key[:0])
	w.emit(topic, w.key, b)
}

// appendCents writes cents as a number of units.
func appendCents(b []byte, cents int64) []byte {
	b = strconv.AppendInt(b, cents/100, 10)
	if c := cents % 100; c != 0 {
		b = append(b, '.', byte('0'+c/10))
		if c%10 != 0 {
			b = append(b, byte('0'+c%10))
		}
	}
	return b
}

// appendString writes a JSON string; what a decision's id or a coupon's code holds is not ours to trust.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s { // bad UTF-8 comes as U+FFFD
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, `\u00`...)
			b = append(b, hex[r>>4], hex[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

func (w *World) currency(b []byte) []byte {
	if w.shop.Currency == "" {
		return b
	}
	b = append(b, `,"currency":"`...)
	b = append(b, w.shop.Currency...)
	return append(b, '"')
}

func (w *World) decision(b []byte, id string) []byte {
	if id == "" {
		return b
	}
	b = append(b, `,"decision":`...)
	return appendString(b, id)
}

func (w *World) writePage(p *person) {
	w.head(p, "page.viewed")
	b := append(w.buf, `,"props":{"path":"/"`...)
	switch u := w.rand.Float64(); {
	case u < 0.35:
		b = append(b, `,"referrer":"`...)
		b = append(b, referrers[w.rand.IntN(len(referrers))]...)
		b = append(b, '"')
	case u < 0.5:
		b = append(b, `,"campaign":"`...)
		b = append(b, campaigns[w.rand.IntN(len(campaigns))]...)
		b = append(b, '"')
	}
	w.buf = append(b, '}')
	w.tail(p, Clickstream)
}

func (w *World) writeSearch(p *person) {
	w.head(p, "search.performed")
	c := &categories[p.focus]
	sub, noun := w.rand.IntN(3), w.rand.IntN(2)
	b := append(w.buf, `,"props":{"query":"`...)
	if p.zh {
		b = append(b, c.nounsZH[sub][noun]...)
	} else {
		if w.rand.Float64() < 0.4 {
			b = append(b, adjectives[w.rand.IntN(len(adjectives))]...)
			b = append(b, ' ')
		}
		b = append(b, c.nouns[sub][noun]...)
	}
	w.buf = append(b, `"}`...)
	w.tail(p, Clickstream)
}

func (w *World) writeList(p *person, list []uint32) {
	w.head(p, "list.viewed")
	b := append(w.buf, `,"items":[`...)
	for k, i := range list {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = w.items[i].appendID(b)
		b = append(b, `","position":`...)
		b = strconv.AppendInt(b, int64(k+1), 10)
		b = append(b, '}')
	}
	b = append(b, `],"props":{"list":"`...)
	b = append(b, categories[p.focus].name...)
	w.buf = append(b, `"}`...)
	w.tail(p, Clickstream)
}

// writeItemEvent writes an event about one item, with quantity and dwell where they are not 0.
func (w *World) writeItemEvent(p *person, name string, it *item, qty int32, dwellMS int64) {
	w.head(p, name)
	b := append(w.buf, `,"item":"`...)
	b = it.appendID(b)
	b = append(b, `","price":`...)
	b = appendCents(b, it.cents)
	if qty != 0 {
		b = append(b, `,"quantity":`...)
		b = strconv.AppendInt(b, int64(qty), 10)
	}
	b = w.currency(b)
	b = w.decision(b, p.from)
	if dwellMS != 0 {
		b = append(b, `,"props":{"dwell_ms":`...)
		b = strconv.AppendInt(b, dwellMS, 10)
		b = append(b, '}')
	}
	w.buf = b
	w.tail(p, Clickstream)
}

// appendLines writes the lines of a cart as an event's items.
func (w *World) appendLines(b []byte, lines []line) []byte {
	b = append(b, `,"items":[`...)
	for k, l := range lines {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = appendSKU(b, l.no)
		b = append(b, `","price":`...)
		b = appendCents(b, w.items[l.item].cents)
		b = append(b, `,"quantity":`...)
		b = strconv.AppendInt(b, int64(l.qty), 10)
		b = append(b, '}')
	}
	return append(b, ']')
}

func (w *World) writeCart(p *person, name string) {
	w.head(p, name)
	b := w.appendLines(w.buf, p.cart[:p.cartN])
	b = append(b, `,"value":`...)
	b = appendCents(b, w.cartCents(p))
	w.buf = w.currency(b)
	w.tail(p, Clickstream)
}

// appendOrder writes the id of a person's order.
func appendOrder(b []byte, p *person, number uint32) []byte {
	b = append(b, "o-"...)
	b = append(b, "krbs"[p.role])
	b = strconv.AppendUint(b, uint64(p.no), 36)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(number), 10)
}

// writeOrder writes the order of the cart: value is the sum of its lines less the discount.
func (w *World) writeOrder(p *person, cents, off int64) {
	c := p.coupon
	if c != nil {
		w.head(p, "coupon.applied")
		b := w.decision(w.buf, c.decision)
		b = append(b, `,"props":{"coupon":`...)
		b = appendString(b, c.code)
		w.buf = append(b, '}')
		w.tail(p, Clickstream)
	}
	w.head(p, "order.completed")
	b := w.appendLines(w.buf, p.cart[:p.cartN])
	b = append(b, `,"value":`...)
	b = appendCents(b, cents-off)
	b = w.currency(b)
	if c != nil {
		b = w.decision(b, c.decision)
	}
	b = append(b, `,"props":{"order":"`...)
	b = appendOrder(b, p, p.orders)
	b = append(b, '"')
	if c != nil {
		b = append(b, `,"coupon":`...)
		b = appendString(b, c.code)
		b = append(b, `,"discount":`...)
		b = appendCents(b, off)
	}
	if c == nil || !c.freeShipping {
		if cents < 5000 {
			b = append(b, `,"shipping":4.9`...)
		}
	}
	w.buf = append(b, '}')
	w.tail(p, Clickstream)
	if c != nil {
		w.writeDecision(p, "decision.redeemed", c.decision, w.cartNumbers(p))
	}
}

// writeDecision writes what somebody did with a decision, and with which of its items.
func (w *World) writeDecision(p *person, name, id string, items []uint32) {
	w.head(p, name)
	b := w.decision(w.buf, id)
	b = append(b, `,"items":[`...)
	for k, no := range items {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = appendSKU(b, no)
		b = append(b, `","position":`...)
		b = strconv.AppendInt(b, int64(k+1), 10)
		b = append(b, '}')
	}
	w.buf = append(b, ']')
	w.tail(p, Clickstream)
}

// cartNumbers returns the numbers of the items in the cart.
func (w *World) cartNumbers(p *person) []uint32 {
	w.list = w.list[:0]
	for k := range int(p.cartN) {
		w.list = append(w.list, p.cart[k].no)
	}
	return w.list
}

// under makes the events of a shopper who is not visiting go by the account, and returns the undoing.
func (w *World) under(p *person) func() {
	was := p.logged
	p.logged = p.registered
	return func() { p.logged = was }
}

// writeRefund writes order.refunded or order.cancelled.
func (w *World) writeRefund(p *person, o *order, name string) {
	defer w.under(p)()
	w.head(p, name)
	b := append(w.buf, `,"value":`...)
	b = appendCents(b, o.cents)
	b = append(b, `,"props":{"order":"`...)
	b = appendOrder(b, p, o.number)
	w.buf = append(b, `"}`...)
	w.tail(p, Clickstream)
}

func (w *World) writeService(p *person, o *order) {
	defer w.under(p)()
	w.head(p, "service.contacted")
	resolved := w.rand.Float64() < 0.6
	b := append(w.buf, `,"props":{"channel":"`...)
	b = append(b, [...]string{"chat", "mail", "phone"}[w.rand.IntN(3)]...)
	b = append(b, `","resolved":`...)
	b = strconv.AppendBool(b, resolved)
	b = append(b, `,"rating":`...)
	b = strconv.AppendInt(b, int64(stars(o.experience)), 10)
	b = append(b, `,"order":"`...)
	b = appendOrder(b, p, o.number)
	b = append(b, `","text":"`...)
	lang := 0
	if p.zh {
		lang = 1
	}
	it := &w.items[o.lines[0].item]
	b = appendPhrase(b, pick(w, aspects[w.rand.IntN(len(aspects))][lang][bad]), it.noun(p.zh))
	w.buf = append(b, `"}`...)
	w.tail(p, Clickstream)
	if resolved {
		p.satisfaction += 0.3
	}
}

func (w *World) writeMerged(p *person) {
	w.head(p, "user.merged")
	b := append(w.buf, `,"anon":"`...)
	b = p.appendAnon(b)
	w.buf = append(b, '"')
	w.tail(p, Clickstream)
}

func (w *World) writeTraits(p *person) {
	w.head(p, "user.updated")
	b := append(w.buf, `,"props":{"country":"`...)
	if p.zh {
		b = append(b, "CN"...)
	} else {
		b = append(b, locales[p.locale][3:]...)
	}
	b = append(b, `","city":"`...)
	b = append(b, cities[w.rand.IntN(len(cities))]...)
	b = append(b, `","since":`...)
	b = p.appendTime(b, p.arrivedMS)
	if p.role == staff {
		b = append(b, `,"staff":true`...)
	}
	w.buf = append(b, '}')
	w.tail(p, Clickstream)
}

func (w *World) writeConsent(p *person, status string) {
	defer w.under(p)()
	w.head(p, "consent.changed")
	b := append(w.buf, `,"props":{"purpose":"marketing","status":"`...)
	b = append(b, status...)
	w.buf = append(b, `"}`...)
	w.tail(p, Clickstream)
}

func (w *World) writeErased(p *person) {
	defer w.under(p)()
	w.head(p, "user.erased")
	w.tail(p, Clickstream)
}
