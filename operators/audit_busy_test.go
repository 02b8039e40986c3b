package operators_test

import (
	"fmt"
	"strings"
	"testing"

	"nudge/operators"
	"nudge/streams"
)

const auditedShop = `
features:
  user.views: {count: product.viewed, window: [10m, 1h]}
  user.spend: {sum: order.completed.value, window: 3h}
  user.dear: {max: any.price, window: {calendar: day}}
  user.kinds: {distinct: order.completed.item}
  user.begun: {first: order.completed.item}
  user.paid: {sum: any.amount, window: 3h}
  user.carts: {quantile: product.added.amount, if: {amount: ">= 12"}}
  user.path: {sequence: any.item, k: 3}
  session.steps: {count: any}
  session.last: {last: any.item}
  user_category.views: {count: product.viewed, window: 1h}
  user_category.dear: {max: any.price}
  user_category.paid: {mean: any.amount}
  item.sold: {sum: order.completed.quantity, window: [1h, 3h]}
  item.carted: {sum: product.added.amount, window: 3h}
  item.buyers: {distinct: order.completed.user}
  item.met: {count: any, window: {sliding: 40m, by: 10m}}
  item.since: {since: any, unit: m}
  global.visits: {distinct: any.user, window: {calendar: day, session: 5m}}
  global.kinds: {topk: product.viewed.category, k: 2, window: 1h}
  global.paid: {sum: any.amount, window: 1h}
audiences:
  lookers: user.views_10m >= 2
recommenders:
  home:
    when: [page.viewed, product.viewed, order.completed]
    always: true
    log: [user.views_10m, user.views_1h, user.spend, user.dear, user.kinds, user.begun, user.path, user.paid, user.carts, session.steps, session.last, user_category.views, user_category.dear, user_category.paid, item.sold_1h, item.sold_3h, item.carted, item.buyers, item.met, item.since, global.visits_day, global.visits_5m, global.kinds, global.paid]
limits: {items: %d, history: 6, cart: 3, bought: 4}
`

// Every feature that a busy shop logs is what the raw events say: with merges, orders that are sent back, epochs of many events, items that have no room
// in the catalogue, and categories that have none with the customer.
func TestAuditHoldsABusyShop(t *testing.T) {
	for _, items := range []int{1000, 100} {
		s := &shop{t: t}
		defer s.close()
		if fault := s.start(fmt.Sprintf(auditedShop, items)); fault != "" {
			t.Fatal(fault)
		}
		a := &operators.Audit{Differs: func(d *operators.Difference) {
			t.Errorf("limits.items %d: %s %s %s: logged %s, the events say %v", items, d.Time, d.Customer, d.Feature, d.Logged, d.Expected)
		}}
		s.program.Audit(a)
		var catalog []string
		for i := range 90 {
			catalog = append(catalog, fmt.Sprintf(`p%d {"categories":["c%d > d"],"price":%d}`, i, i%30, 5+i))
		}
		s.fold(nil, s.items(strings.Join(catalog, "\n")), 0)
		lines := withReturns(busy(int64(items), 3500))
		for k := 0; k < len(lines); k += 20 {
			var records []streams.Record
			for _, l := range lines[k:min(k+20, len(lines))] {
				records = append(records, s.event(l))
			}
			s.fold(records, nil, 0)
		}
		for _, of := range []string{"user", "session", "user_category", "item", "global"} {
			if a.Held[of] < 1000 {
				t.Errorf("limits.items %d: %d features of %s were held", items, a.Held[of], of)
			}
		}
		t.Logf("limits.items %d: %d decisions, held %v, passed over %v", items, a.Decisions, a.Held, a.Passed)
		if a.Skipped() > a.Features/3 {
			t.Errorf("limits.items %d: %v were passed over", items, a.Passed)
		}
	}
}

// withReturns has orders sent back by their customers: some after ten lines, some in part, and some before they come.
func withReturns(lines []string) (out []string) {
	at := map[int][]string{}
	n := 0
	for k, l := range lines {
		from := strings.Index(l, `{"order"`)
		if from < 0 {
			continue
		}
		n++
		who, id := strings.Fields(l)[2], l[from:strings.Index(l, "}")+1]
		switch {
		case n%3 == 0:
			at[k+10] = append(at[k+10], who+" order.cancelled "+id)
		case n%5 == 1:
			at[max(0, k-6)] = append(at[max(0, k-6)], who+" order.cancelled "+id)
		case n%7 == 2:
			at[k+12] = append(at[k+12], who+" order.refunded "+id+" value=9")
		}
	}
	for k, l := range lines {
		f := strings.Fields(l)
		for _, back := range at[k] {
			out = append(out, f[0]+" "+f[1]+" "+back)
		}
		out = append(out, l)
	}
	return out
}
