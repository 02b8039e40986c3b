package simulate

import "strconv"

// writeItem writes the catalogue's record of an item.
func (w *World) writeItem(it *item) {
	b := w.itemHead(it, "item.upserted")
	c := &categories[it.cat]
	b = append(b, `,"props":{"title":"`...)
	if it.zh {
		b = append(b, brands[it.brand]...)
		b = append(b, adjectivesZH[it.adjective]...)
		b = append(b, it.noun(true)...)
	} else {
		b = append(b, brands[it.brand]...)
		b = append(b, ' ')
		b = append(b, adjectives[it.adjective]...)
		b = append(b, ' ')
		b = append(b, it.noun(false)...)
	}
	b = append(b, `","categories":["`...)
	b = append(b, c.name...)
	b = append(b, ` > `...)
	b = append(b, c.subs[it.sub]...)
	b = append(b, `"],"brand":"`...)
	b = append(b, brands[it.brand]...)
	b = append(b, `","price":`...)
	b = appendCents(b, it.cents)
	b = append(b, `,"cost":`...)
	b = appendCents(b, it.cost)
	b = append(b, `,"stock":`...)
	b = strconv.AppendInt(b, int64(it.stock), 10)
	b = append(b, `,"tags":["`...)
	b = append(b, tags[it.tag]...)
	b = append(b, `"],"lang":"`...)
	if it.zh {
		b = append(b, "zh"...)
	} else {
		b = append(b, "en"...)
	}
	b = append(b, `","available_from":`...)
	b = strconv.AppendInt(b, it.fromMS, 10)
	w.itemTail(it, append(b, '}'))
}

func (w *World) writeItemRemoved(it *item) {
	w.itemTail(it, w.itemHead(it, "item.removed"))
}

func (w *World) itemHead(it *item, name string) []byte {
	it.updates++
	b := append(w.shelfBuf[:0], `{"id":"`...)
	b = append(b, w.tag[:]...)
	b = append(b, 'i')
	b = strconv.AppendUint(b, uint64(it.no), 36)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(it.updates), 36)
	b = append(b, `","type":"`...)
	b = append(b, name...)
	b = append(b, `","time":`...)
	b = strconv.AppendInt(b, w.now, 10)
	b = append(b, `,"item":"`...)
	b = it.appendID(b)
	return append(b, '"')
}

func (w *World) itemTail(it *item, b []byte) {
	b = w.currency(b)
	b = append(b, '}')
	w.shelfBuf = b
	w.key = it.appendID(w.key[:0])
	w.emit(Catalog, w.key, b)
}
