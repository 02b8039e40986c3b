package operators

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"nudge/operators/feature"
)

// Receipts merge in any order, are bounded, and are written and read back the same.
func TestReceiptsMergeInAnyOrder(t *testing.T) {
	p, err := New(Config{Timezone: "UTC", Limits: Limits{Items: 100, History: 4, Cart: 3, Bought: 3}, Features: map[string]feature.Definition{
		"global.revenue": {Sum: "order.completed.value"}, "item.orders": {Count: []string{"order.completed"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	values := func(n int, x int64) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = x
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) *Customer {
			c := newCustomer(p.sets)
			for range rapid.IntRange(0, 14).Draw(t, label) {
				r := receipt{id: rapid.Uint64Range(1, 6).Draw(t, "order"), atMS: rapid.Int64Range(0, 3).Draw(t, "at")}
				if rapid.Bool().Draw(t, "global") {
					r.global = values(p.global.set.NumOrderValues(), rapid.Int64Range(1, 5).Draw(t, "value"))
				}
				for range rapid.SampledFrom([]int{0, 1, 3, keptLines + 5}).Draw(t, "lines") {
					r.addLine(receiptLine{rapid.Uint64Range(1, 60).Draw(t, "item"), values(p.items.set.NumOrderValues(), rapid.Int64Range(1, 5).Draw(t, "of item"))})
				}
				if r.global != nil || r.lines != nil {
					c.addReceipt(r)
				}
			}
			return c
		}
		clone := func(c *Customer) *Customer {
			b := c.AppendBinary(nil)
			d, err := decodeCustomer(b, p.sets, p.layouts)
			if err != nil {
				t.Fatal(err)
			}
			if again := d.text(); again != fmt.Sprintf("%x", b) {
				t.Fatalf("written again:\n%s\n%x", again, b)
			}
			return d
		}
		merged := func(x, y *Customer) *Customer {
			into := clone(x)
			p.Merge(into, clone(y))
			if len(into.receipts) > keptOrders {
				t.Fatalf("%d receipts", len(into.receipts))
			}
			for i := range into.receipts {
				if len(into.receipts[i].lines) > keptLines {
					t.Fatalf("%d items in a receipt", len(into.receipts[i].lines))
				}
			}
			return into
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		if got, want := merged(a, b).text(), merged(b, a).text(); got != want {
			t.Fatalf("not commutative:\n%s\n%s", got, want)
		}
		if got, want := merged(a, newCustomer(p.sets)).text(), a.text(); got != want {
			t.Fatalf("the empty customer changes another:\n%s\n%s", got, want)
		}
		if got, want := merged(merged(a, b), c).text(), merged(a, merged(b, c)).text(); got != want {
			t.Fatalf("not associative:\n%s\n%s", got, want)
		}
	})
}

// A pipeline that adds a feature of items keeps the receipts that there are, of what both have.
func TestReceiptsOfAnotherLayout(t *testing.T) {
	of := func(names ...string) *Program {
		all := map[string]feature.Definition{"global.revenue": {Sum: "order.completed.value"}, "global.orders": {Count: []string{"order.completed"}}, "item.orders": {Count: []string{"order.completed"}}}
		own := map[string]feature.Definition{}
		for _, name := range names {
			own[name] = all[name]
		}
		p, err := New(Config{Timezone: "UTC", Limits: Limits{Items: 100, History: 4, Cart: 3, Bought: 3}, Features: own}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	old, now, none := of("global.revenue", "item.orders"), of("global.revenue", "global.orders"), of()
	c := newCustomer(old.sets)
	c.addReceipt(receipt{id: 7, atMS: 1, global: []int64{1, 30, 1, 2}, lines: []receiptLine{{9, []int64{1, 0, 1, 30, 1, 2}}}})
	layouts := newLayouts(old.sets.global.Layout(), old.sets.item.Layout(), now.sets.global.Layout())
	d, err := decodeCustomer(c.AppendBinary(nil), now.sets, layouts)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.receipts); got != "[{7 1 [0 0 1 30 1 2] []}]" {
		t.Errorf("the receipts are %s", got)
	}
	if d, err = decodeCustomer(c.AppendBinary(nil), none.sets, layouts); err != nil || len(d.receipts) > 0 {
		t.Errorf("without features: %v, %v", d, err)
	}
}
