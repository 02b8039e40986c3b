package streams

import "fmt"

// CatalogItem is what a catalogue event says of an item. Its strings alias the event.
type CatalogItem struct {
	ID         string
	Removed    bool // item.removed: nothing else is set
	Title      string
	Categories []string // paths, each "A > B"
	Brand      string
	Price      int64 // millionths; valid if HasPrice
	HasPrice   bool
	// Margin is what the shop keeps of one piece, in millionths: the margin as sent, else price less cost. Valid if
	// HasMargin; negative where the item sells below its cost.
	Margin    int64
	HasMargin bool
	Currency  string
	Stock     int64 // pieces, not negative; valid if HasStock
	HasStock  bool
	Tags      []string
	ImageURL  string
	Lang      string

	AvailableFromMS, AvailableUntilMS int64 // 0 where absent
}

// InStock reports whether the item can be sold as far as its stock is known.
func (c *CatalogItem) InStock() bool { return !c.Removed && (!c.HasStock || c.Stock > 0) }

// AvailableAt reports whether ms lies in the time in which the item is offered.
func (c *CatalogItem) AvailableAt(ms int64) bool {
	return !c.Removed && ms >= c.AvailableFromMS && (c.AvailableUntilMS == 0 || ms < c.AvailableUntilMS)
}

const maxCatalogList = 64 // categories or tags of one item

// CatalogItem makes *dst the item of an item.upserted or item.removed event, reusing its lists. Null is read as absent.
func (e *Event) CatalogItem(dst *CatalogItem) *Fault {
	*dst = CatalogItem{ID: e.Item(), Categories: dst.Categories[:0], Tags: dst.Tags[:0]}
	switch e.Type {
	case ItemRemoved:
		dst.Removed = true
		return nil
	case ItemUpserted:
	default:
		return &Fault{FaultEvent, fmt.Sprintf("want item.upserted or item.removed, got %s", e.Name)}
	}
	if len(e.Lines) > 0 { // a price beside the item holds where props have none
		dst.Price, dst.HasPrice = e.Lines[0].Price, e.Lines[0].HasPrice
	}
	dst.Currency = e.Currency
	var cost int64
	var hasCost bool
	var fault *Fault
	e.Props.Each(func(key string, v Value) bool {
		if v.Kind() == "null" {
			return true
		}
		want := ""
		switch key {
		case "title":
			want = str(&dst.Title, v)
		case "brand":
			want = str(&dst.Brand, v)
		case "image_url":
			want = str(&dst.ImageURL, v)
		case "lang":
			want = str(&dst.Lang, v)
		case "currency":
			if want = str(&dst.Currency, v); want == "" && !currencyCode(dst.Currency) {
				fault = &Fault{FaultCurrency, fmt.Sprintf("%s: props.currency: want three capital letters of ISO 4217, got %s", e.Name, excerpt(v))}
			}
		case "categories":
			want = list(&dst.Categories, v)
		case "tags":
			want = list(&dst.Tags, v)
		case "price":
			dst.HasPrice = true
			fault = price(&dst.Price, v, e.Name, key, 0)
		case "cost":
			hasCost = true
			fault = price(&cost, v, e.Name, key, 0)
		case "margin":
			dst.HasMargin = true
			fault = price(&dst.Margin, v, e.Name, key, -MaxMicro)
		case "stock":
			want = "a whole number"
			if v.Kind() == "number" {
				if n, ok := parseWhole(v); ok {
					want = ""
					dst.Stock, dst.HasStock = max(n, 0), true // below 0 where more was sold than there was
				}
			}
		case "available_from":
			want = moment(&dst.AvailableFromMS, v)
		case "available_until":
			want = moment(&dst.AvailableUntilMS, v)
		}
		if want != "" {
			fault = &Fault{FaultType, fmt.Sprintf("%s: props.%s: want %s, got %s", e.Name, key, want, excerpt(v))}
		}
		return fault == nil
	})
	if !dst.HasMargin && hasCost && dst.HasPrice {
		dst.Margin, dst.HasMargin = dst.Price-cost, true
	}
	if fault == nil && e.currencies != nil {
		return e.currencies.item(dst)
	}
	return fault
}

// The readers below return what they want where v is something else.

func str(into *string, v Value) (want string) {
	s, ok := v.Text()
	if !ok {
		return "a string"
	}
	*into = s
	return ""
}

func list(into *[]string, v Value) (want string) {
	good := v.List(func(_ int, v Value) bool {
		s, ok := v.Text()
		if !ok || len(*into) == maxCatalogList {
			want = fmt.Sprintf("a list of at most %d strings", maxCatalogList)
			return false
		}
		*into = append(*into, s)
		return true
	})
	if !good {
		want = fmt.Sprintf("a list of at most %d strings", maxCatalogList)
	}
	return want
}

func moment(into *int64, v Value) (want string) {
	const wanted = "RFC 3339 with a zone or Unix milliseconds"
	var ok bool
	if s, is := v.Text(); is {
		*into, ok = ParseTime(s)
	} else if v.Kind() == "number" {
		*into, ok = parseWhole(v)
		ok = ok && *into <= maxMS
	}
	if !ok || *into < 0 {
		return wanted
	}
	return ""
}

func price(into *int64, v Value, event, key string, least int64) *Fault {
	if v.Kind() != "number" {
		return &Fault{FaultType, fmt.Sprintf("%s: props.%s: want a number, got %s", event, key, excerpt(v))}
	}
	micro, ok := parseMicro(v)
	if !ok || micro < least || least == 0 && v[0] == '-' && !zero(v) {
		return &Fault{FaultPrice, fmt.Sprintf("%s: props.%s: want a number from %d to 10^9, got %s", event, key, least/Micro, excerpt(v))}
	}
	*into = micro
	return nil
}
