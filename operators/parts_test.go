package operators

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nudge/operators/feature"
	"nudge/streams"
)

// Customers' categories and sessions merge in any order, are bounded, and are written and read back the same.
func TestPartsMergeInAnyOrder(t *testing.T) {
	p, err := New(Config{Timezone: "UTC", Limits: Limits{Items: 100, History: 4, Cart: 3, Bought: 3}, Features: map[string]feature.Definition{
		"user_category.views": {Count: []string{"product.viewed"}}, "session.views": {Count: []string{"product.viewed"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	view := &streams.Event{Type: streams.ProductViewed, Lines: []streams.Line{{ID: "p"}}}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) *Customer {
			c := newCustomer(p.sets)
			c.parts = &parts{}
			for range rapid.IntRange(0, 30).Draw(t, label) {
				o := feature.Observation{Event: view, Line: -1, TimeMS: time.Date(2026, 3, 1, rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, time.UTC).UnixMilli(), WatermarkMS: 0}
				x := c.parts.category(fmt.Sprintf("c%02d", rapid.IntRange(0, 20).Draw(t, "category")), o.TimeMS)
				p.sets.category.Observe(&x.row, &o)
			}
			if id := rapid.IntRange(0, 2).Draw(t, "session"); id > 0 {
				o := feature.Observation{Event: view, Line: -1, TimeMS: int64(rapid.IntRange(0, 3).Draw(t, "began"))}
				c.parts.session = part{key: fmt.Sprint("s", id), atMS: o.TimeMS}
				p.sets.session.Observe(&c.parts.session.row, &o)
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
			if n := len(into.parts.categoriesOrNone()); n > keptCategories {
				t.Fatalf("%d categories", n)
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
		ids := map[string]bool{a.parts.session.key: true, b.parts.session.key: true, c.parts.session.key: true}
		delete(ids, "")
		if len(a.parts.categories)+len(b.parts.categories)+len(c.parts.categories) > keptCategories || len(ids) > 1 {
			return // more than is kept: what of it may depend on the order
		}
		if got, want := merged(merged(a, b), c).text(), merged(a, merged(b, c)).text(); got != want {
			t.Fatalf("not associative:\n%s\n%s", got, want)
		}
	})
}

func (x *parts) categoriesOrNone() []part {
	if x == nil {
		return nil
	}
	return x.categories
}
