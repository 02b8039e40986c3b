package operators

import (
	"encoding/json"
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
	var logs []logged
	for _, name := range []string{"user.last", "user.path", "user.views"} {
		slot, kind, _ := p.names(scopeEvent).Name(splitName(name))
		logs = append(logs, newLogged(name, slot, kind))
	}
	hold := func(text string) {
		published := &Published{}
		if err := json.Unmarshal([]byte(text), &published.Features); err != nil {
			t.Fatal(err)
		}
		a.hold(now, c, Difference{Customer: now.Customer}, logs, published)
	}
	hold(`{"user.views":3,"user.path":["p3","p2"],"user.last":"p3"}`)
	if len(found) != 0 || a.Features != 3 {
		t.Fatalf("%d features were audited, these differ: %+v", a.Features, found)
	}
	hold(`{"user.views":4,"user.path":["p2","p3"]}`)
	if len(found) != 3 || found[0].Feature != "user.last" || found[0].Logged != notKnown || found[1].Feature != "user.path" || found[2].Feature != "user.views" ||
		found[2].Logged != "4" || found[2].Expected != 3.0 || found[2].Customer != "u1" {
		t.Fatalf("these differ: %+v", found)
	}
}
