package operators

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"nudge/engine"
)

// budgets is the shared table of what offers may spend and have spent. Money is set aside when a coupon is granted, at the
// most that it can cost, and stays so.
type budgets struct {
	table *engine.Table
	zone  *time.Location
	rows  []budget // those of the pipeline first, by name; then those that only the store knows
}

type budget struct {
	name         string
	total, daily int64 // millionths; 0: no limit
	spent        int64
	day          int32 // since 1970, in the pipeline's time zone
	spentOnDay   int64
	granted      uint64
	redeemed     uint64
}

func newBudgets(config map[string]Budget, zone *time.Location) *budgets {
	b := &budgets{zone: zone}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		b.rows = append(b.rows, budget{name: name, total: int64(config[name].Total), daily: int64(config[name].Daily)})
	}
	b.table = &engine.Table{Name: "budgets", Row: b.row, Load: b.load}
	return b
}

// index returns the number of a budget, -1 if there is none.
func (b *budgets) index(name string) int {
	return slices.IndexFunc(b.rows, func(r budget) bool { return r.name == name })
}

// dayOf is the number of the day of a time in the pipeline's time zone.
func (b *budgets) dayOf(ms int64) int32 {
	_, offset := time.UnixMilli(ms).In(b.zone).Zone()
	return int32((ms + int64(offset)*1000) / (24 * 3600 * 1000))
}

// take sets money aside and says whether there was enough. A day that has passed already draws on the present one.
func (b *budgets) take(i int, cost, nowMS int64) bool {
	r := &b.rows[i]
	day, spentOnDay := b.dayOf(nowMS), r.spentOnDay
	if day > r.day {
		spentOnDay = 0
	} else {
		day = r.day
	}
	if r.total > 0 && r.spent+cost > r.total || r.daily > 0 && spentOnDay+cost > r.daily {
		return false
	}
	b.table.Touch(uint32(i))
	r.day, r.spentOnDay = day, spentOnDay+cost
	r.spent += cost
	r.granted++
	return true
}

// redeem counts a coupon that was used.
func (b *budgets) redeem(i int) {
	b.table.Touch(uint32(i))
	b.rows[i].redeemed++
}

func (b *budgets) row(n uint32, key, value []byte) (k, v []byte) {
	r := &b.rows[n]
	w := writer{b: value}
	w.uint(uint64(r.spent))
	w.int(int64(r.day))
	w.uint(uint64(r.spentOnDay))
	w.uint(r.granted)
	w.uint(r.redeemed)
	return append(key, r.name...), w.b
}

func (b *budgets) load(key, value []byte) error {
	r := reader{b: value}
	x := budget{spent: int64(r.uint()), day: int32(r.int()), spentOnDay: int64(r.uint()), granted: r.uint(), redeemed: r.uint()}
	if r.err != nil {
		return fmt.Errorf("operators: budget %q: %w", key, r.err)
	}
	if i := b.index(string(key)); i >= 0 {
		x.name, x.total, x.daily = b.rows[i].name, b.rows[i].total, b.rows[i].daily
		b.rows[i] = x
		return nil
	}
	x.name = string(key)
	b.rows = append(b.rows, x)
	return nil
}

// Spending is how far a budget has been used, in units of currency.
type Spending struct {
	Name       string  `json:"name"`
	Total      float64 `json:"total,omitempty"`
	Daily      float64 `json:"daily,omitempty"`
	Spent      float64 `json:"spent"`
	Day        string  `json:"day,omitempty"` // the last day on which something was spent
	SpentOnDay float64 `json:"spent_on_day"`
	Granted    uint64  `json:"granted"`
	Redeemed   uint64  `json:"redeemed"`
}

func (b *budgets) spending() []Spending {
	out := make([]Spending, 0, len(b.rows))
	for _, r := range b.rows {
		s := Spending{Name: r.name, Total: micros(r.total), Daily: micros(r.daily), Spent: micros(r.spent),
			SpentOnDay: micros(r.spentOnDay), Granted: r.granted, Redeemed: r.redeemed}
		if r.day > 0 {
			s.Day = time.Unix(int64(r.day)*24*3600, 0).UTC().Format(time.DateOnly)
		}
		out = append(out, s)
	}
	return out
}
