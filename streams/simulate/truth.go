package simulate

import (
	"fmt"
	"strconv"
)

// The truth is JSON lines, each with "truth", "at" (Unix milliseconds) and "user" or "anon":
//
//	{"truth":"shopper","at":…,"user":"u-1","tastes":{"Kitchen":0.71,…},"band":0.2,"sensitive":0.9,"every_days":11.2,"regularity":3.1}
//	{"truth":"turned","at":…,"user":"u-1","tastes":{…},"band":…}
//	{"truth":"left","at":…,"user":"u-1","reason":"bad_experience"}
//	{"truth":"abandoned","at":…,"user":"u-1","items":["SKU-00001"],"value":12.9,"reason":"price",
//	 "without":false,"with_5":false,"with_10":true,"with_15":true,"with_20":true,"with_30":true,"free_shipping":false}
//	{"truth":"shown","at":…,"user":"u-1","decision":"…","item":"SKU-00001","seen":true,"click":true,"buy":false,"without":false}
//
// "abandoned" says whether the cart, as it is, would be paid for within a day (strangers: two hours) if nothing is done,
// and if a coupon is seen in that time. "shown" says of each recommended item whether it would be clicked were it the
// only one seen, whether it would then be bought in that visit, and whether it would be bought in it without being shown.

// tasteShares are the tastes as the probabilities of a choice among all categories.
func (w *World) truthTastes(b []byte, p *person) []byte {
	b = append(b, `,"tastes":{`...)
	for c := range categories {
		if c > 0 {
			b = append(b, ',')
		}
		b = appendString(b, categories[c].name)
		b = append(b, ':')
		b = appendFloat(b, p.taste[c])
	}
	b = append(b, `},"band":`...)
	return appendFloat(b, p.band)
}

func appendFloat(b []byte, f float32) []byte { return strconv.AppendFloat(b, float64(f), 'f', 3, 32) }

func (w *World) truthHead(kind string, p *person, as bool) []byte {
	b := append(w.truthBuf[:0], `{"truth":"`...)
	b = append(b, kind...)
	b = append(b, `","at":`...)
	b = strconv.AppendInt(b, w.now, 10)
	if as {
		b = append(b, `,"user":"`...)
		b = p.appendUser(b)
	} else {
		b = append(b, `,"anon":"`...)
		b = p.appendAnon(b)
	}
	return append(b, '"')
}

func (w *World) truthTail(b []byte) {
	b = append(b, "}\n"...)
	w.truthBuf = b
	if w.truthErr != nil {
		return
	}
	if _, err := w.shop.Truth.Write(b); err != nil {
		w.truthErr = fmt.Errorf("streams/simulate: write the truth: %w", err)
	}
}

func (w *World) truthShopper(p *person) {
	if w.shop.Truth == nil {
		return
	}
	b := w.truthTastes(w.truthHead("shopper", p, true), p)
	b = append(b, `,"sensitive":`...)
	b = appendFloat(b, p.sensitive)
	b = append(b, `,"every_days":`...)
	b = appendFloat(b, float32(p.everyMS/dayMS))
	b = append(b, `,"regularity":`...)
	b = appendFloat(b, float32(p.shape))
	w.truthTail(b)
}

func (w *World) truthTurned(p *person) {
	if w.shop.Truth == nil {
		return
	}
	w.truthTail(w.truthTastes(w.truthHead("turned", p, true), p))
}

func (w *World) truthLeft(p *person, why string) {
	if w.shop.Truth == nil {
		return
	}
	b := append(w.truthHead("left", p, true), `,"reason":"`...)
	b = append(b, why...)
	w.truthTail(append(b, '"'))
}

func (w *World) truthAbandoned(p *person, cents int64) {
	if w.shop.Truth == nil {
		return
	}
	b := append(w.truthHead("abandoned", p, p.logged), `,"items":[`...)
	for k := range int(p.cartN) {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = appendSKU(b, p.cart[k].no)
		b = append(b, '"')
	}
	b = append(b, `],"value":`...)
	b = appendCents(b, cents)
	b = append(b, `,"reason":"`...)
	b = append(b, reasonNames[p.reason]...)
	b = append(b, `","without":`...)
	b = strconv.AppendBool(b, p.lean > 0)
	for _, percent := range [...]float64{5, 10, 15, 20, 30} {
		b = append(b, `,"with_`...)
		b = strconv.AppendInt(b, int64(percent), 10)
		b = append(b, `":`...)
		b = strconv.AppendBool(b, p.swayed(&coupon{percent: percent}, cents) > 0)
	}
	b = append(b, `,"free_shipping":`...)
	b = strconv.AppendBool(b, p.swayed(&coupon{freeShipping: true}, cents) > 0)
	w.truthTail(b)
}

// outcome is what would become of one recommended item.
type outcome struct {
	no                         uint32
	seen, click, buy, buyUnask bool
}

func (w *World) truthShown(p *person, decision string, o outcome) {
	if w.shop.Truth == nil {
		return
	}
	b := append(w.truthHead("shown", p, p.logged), `,"decision":`...)
	b = appendString(b, decision)
	b = append(b, `,"item":"`...)
	b = appendSKU(b, o.no)
	b = append(b, `","seen":`...)
	b = strconv.AppendBool(b, o.seen)
	b = append(b, `,"click":`...)
	b = strconv.AppendBool(b, o.click)
	b = append(b, `,"buy":`...)
	b = strconv.AppendBool(b, o.buy)
	b = append(b, `,"without":`...)
	b = strconv.AppendBool(b, o.buyUnask)
	w.truthTail(b)
}
