package operators

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"nudge/models"
	"nudge/streams"
)

// Random operations against a plain map, with a second catalogue that was loaded from the first one's rows half-way and must
// go on just like it: the same row numbers, the same generations, the same bytes.
func TestCatalogIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(4, 24).Draw(t, "limit")
		c := newCatalog(limit)
		var reloaded *Catalog
		known := map[string]models.Item{}
		evict := func(c *Catalog) {
			c.evicted = func(row uint32) {
				for id, i := range known {
					if i.Row() == row {
						delete(known, id)
					}
				}
			}
		}
		evict(c)
		both := func(do func(*Catalog) models.Item) models.Item {
			i := do(c)
			if reloaded != nil {
				if j := do(reloaded); j != i {
					t.Fatalf("item %x, after loading %x", i, j)
				}
			}
			return i
		}
		ops := rapid.IntRange(1, 120).Draw(t, "operations")
		for n := range ops {
			id := fmt.Sprint("p", rapid.IntRange(0, 40).Draw(t, "item"))
			e := &streams.Event{Type: streams.ItemUpserted, TimeMS: int64(n) * 24 * 3600_000, Lines: []streams.Line{{ID: id}},
				Props: streams.Props(`{"price":1.5,"categories":["A > B"],"stock":3}`)}
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				known[id] = both(func(c *Catalog) models.Item {
					c.upsert(e)
					return c.find(hashItem(id))
				})
			case 1:
				both(func(c *Catalog) models.Item { c.remove(e); return 0 })
			default:
				known[id] = both(func(c *Catalog) models.Item {
					i := c.ensure(hashItem(id), id)
					c.met(i, e.TimeMS)
					return i
				})
			}
			if n == ops/2 {
				reloaded = newCatalog(limit)
				for row := range uint32(len(c.hashes)) {
					if k, v := c.row(row, nil, nil); v != nil {
						if err := reloaded.load(k, v); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if c.Len() != len(known) || c.Len() > limit {
				t.Fatalf("%d items, want %d of at most %d", c.Len(), len(known), limit)
			}
		}
		for id, i := range known {
			if got := c.find(hashItem(id)); got != i || c.id(got) != id || c.resolve(hashItem(id), i) != i {
				t.Fatalf("%s is item %x, want %x", id, got, i)
			}
		}
		if reloaded == nil {
			return
		}
		for row := range uint32(len(c.hashes)) {
			_, v := c.row(row, nil, nil)
			if _, w := reloaded.row(row, nil, nil); !bytes.Equal(v, w) {
				t.Fatalf("row %d:\n%x\nafter loading:\n%x", row, v, w)
			}
		}
	})
}

func TestCatalogKnowsWhatIsSold(t *testing.T) {
	c := newCatalog(100)
	upsert := func(props string) models.Item {
		c.upsert(&streams.Event{Type: streams.ItemUpserted, Lines: []streams.Line{{ID: "p"}}, Props: streams.Props(props)})
		return c.find(hashItem("p"))
	}
	for _, x := range []struct {
		props string
		sold  bool
		cost  int64 // -1: unknown
	}{
		{`{}`, true, -1},
		{`{"stock":0}`, false, -1},
		{`{"stock":-2}`, false, -1},
		{`{"stock":1,"price":10,"cost":4}`, true, 4_000_000},
		{`{"price":10,"margin":4}`, true, 6_000_000},
		{`{"price":10,"margin":-4}`, true, 14_000_000},
		{`{"available_from":2000}`, false, -1},
		{`{"available_until":2000}`, true, -1},
		{`{"available_until":1000}`, false, -1},
		{`{"available_from":"1970-01-01T00:00:01Z"}`, true, -1},
	} {
		i := upsert(x.props)
		if got := c.sellable(i, 1000); got != x.sold {
			t.Errorf("%s: sellable %v, want %v", x.props, got, x.sold)
		}
		cost := int64(-1)
		if c.marks[i.Row()]&itemCosted != 0 {
			cost = c.rows[i.Row()].cost
		}
		if cost != x.cost {
			t.Errorf("%s: cost %d, want %d", x.props, cost, x.cost)
		}
	}
	before := upsert(`{"stock":1}`)
	if upsert(`{"stock":"many"}`); !c.sellable(before, 1000) || c.rows[before.Row()].stock != 1 {
		t.Error("a record with a fault changed the item")
	}
}

func FuzzLoadTables(f *testing.F) {
	c := newCatalog(10)
	c.upsert(&streams.Event{Type: streams.ItemUpserted, Lines: []streams.Line{{ID: "p"}}, Props: streams.Props(`{"price":10,"margin":4,"stock":5,"categories":["A"]}`)})
	k, v := c.row(0, nil, nil)
	f.Add(k, v)
	f.Add([]byte("q4"), []byte{1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) == 4 && key[0]|key[1] != 0 {
			return // a row number that takes memory and no new path
		}
		p, err := New(Config{Timezone: "UTC", Limits: Limits{Items: 100}, Budgets: map[string]Budget{"q4": {}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range p.Tables() {
			if table.Load(key, value) == nil {
				p.Spent()
				p.DescribeItem("p", 0)
			}
		}
	})
}
