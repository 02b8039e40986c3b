package streams

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// Currencies says what money is held in, and what other currencies are worth. It is not changed after the first event.
type Currencies struct {
	Own   string           // ISO 4217
	Rates map[string]int64 // what one unit of another currency is worth in Own, in millionths
}

// rate returns what one unit of a currency is worth, in millionths.
func (c *Currencies) rate(currency string) (int64, *Fault) {
	if currency == "" || currency == c.Own {
		return Micro, nil
	}
	if rate, ok := c.Rates[currency]; ok {
		return rate, nil
	}
	known := append([]string{c.Own}, slices.Sorted(maps.Keys(c.Rates))...)
	return 0, &Fault{FaultCurrency, fmt.Sprintf("currency %s has no rate in the pipeline: want %s", currency, strings.Join(known, ", "))}
}

// event turns the money of an event into Own. A catalogue item's is left to CatalogItem: its props may name a currency of
// their own.
func (c *Currencies) event(e *Event) *Fault {
	if e.Type.Catalogue() {
		e.currencies = c
		return nil
	}
	if e.Currency == "" || e.Currency == c.Own {
		return nil
	}
	rate, fault := c.rate(e.Currency)
	if fault != nil {
		return fault
	}
	e.Currency, e.Value = c.Own, convert(e.Value, rate)
	for i := range e.Lines {
		e.Lines[i].Price = convert(e.Lines[i].Price, rate)
	}
	return nil
}

// item turns the money of a catalogue item into Own.
func (c *Currencies) item(x *CatalogItem) *Fault {
	rate, fault := c.rate(x.Currency)
	if fault != nil {
		return fault
	}
	if rate != Micro {
		x.Price, x.Margin = convert(x.Price, rate), convert(x.Margin, rate)
	}
	if x.Currency != "" {
		x.Currency = c.Own
	}
	return nil
}

// convert is amount × rate, all of them in millionths, rounded half to even. It saturates at ±MaxMicro.
func convert(amount, rate int64) int64 {
	if amount < 0 {
		return -convert(-amount, rate)
	}
	hi, lo := bits.Mul64(uint64(amount), uint64(rate))
	if hi >= Micro {
		return MaxMicro
	}
	q, r := bits.Div64(hi, lo, Micro)
	if r > Micro/2 || r == Micro/2 && q&1 == 1 {
		q++
	}
	return int64(min(q, MaxMicro))
}
