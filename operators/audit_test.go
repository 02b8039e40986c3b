package operators

import (
	"math"
	"testing"

	"nudge/engine"
	"nudge/operators/feature"
	"nudge/streams"
)

// A logged feature that the events contradict is named; one that they bear out is not.
func TestAuditFindsDifferences(t *testing.T) {
	p, err := New(Config{Timezone: "UTC", Limits: Limits{Items: 100, History: 4, Cart: 3, Bought: 3}, Features: map[string]feature.Definition{
		"user.views": {Count: []string{"product.viewed"}, Unit: "d"}, "user.path": {Sequence: "product.viewed.item", K: 2, Unit: "d"}, "user.last": {Last: "any.item", Unit: "d"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var found []*Difference
	a := &Audit{Differs: func(d *Difference) { found = append(found, d) }}
	p.Audit(a)
	c := newCustomer(p.sets)
	s := p.NewScratch(0).(*scratch)
	for i, item := range []string{"p1", "p2", "p3"} {
		p.observe(&engine.Turn{Event: &streams.Event{Type: streams.ProductViewed, Lines: []streams.Line{{ID: item}}}, NowMS: int64(i), WatermarkMS: math.MinInt64}, c, s)
	}
	now := &engine.Turn{Customer: "u1", NowMS: 5}
	a.logged(now, c, "home", []byte(`,"user.views":3,"user.path":["p3","p2"],"user.last":"p3"`))
	if len(found) != 0 || a.Features != 3 {
		t.Fatalf("%d features were audited, these differ: %+v", a.Features, found)
	}
	a.logged(now, c, "home", []byte(`,"user.views":4,"user.path":["p2","p3"],"user.last":"p3"`))
	if len(found) != 2 || found[0].Feature != "user.path" || found[1].Feature != "user.views" || found[1].Logged != "4" || found[1].Expected != 3.0 || found[1].Customer != "u1" {
		t.Fatalf("these differ: %+v", found)
	}
}
