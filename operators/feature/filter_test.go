package feature

import (
	"math"
	"testing"
	"time"

	"nudge/streams"
)

// Numbers are compared as numbers, however the pipeline and the sender write them; texts as texts.
func TestFiltersCompareNumbers(t *testing.T) {
	price := &streams.Event{Type: streams.ProductViewed, Name: "product.viewed", Lines: []streams.Line{{ID: "p1", Price: 100 * streams.Micro, HasPrice: true, Quantity: 2}},
		Context: streams.Context{Channel: "3"}, Props: streams.Props(`{"x":5,"half":0.50,"code":"007","flag":true}`)}
	for _, c := range []struct {
		field  string
		values []string
		want   float64
	}{
		{"price", []string{"100"}, 1},
		{"price", []string{"100.00"}, 1},
		{"price", []string{"1e2"}, 1},
		{"price", []string{"50", "100.0"}, 1},
		{"price", []string{"100.000001"}, 0},
		{"price", []string{">= 100", "< 100.000001"}, 1},
		{"price", []string{"> 100"}, 0},
		{"quantity", []string{"2.0"}, 1},
		{"channel", []string{"3"}, 1},
		{"channel", []string{"3.0"}, 0},
		{"props.x", []string{"5.0"}, 1},
		{"props.x", []string{"4", "5"}, 1},
		{"props.x", []string{"50"}, 0},
		{"props.half", []string{".5"}, 1},
		{"props.code", []string{"007"}, 1},
		{"props.code", []string{"7"}, 0},
		{"props.flag", []string{"true"}, 1},
		{"type", []string{"product.viewed"}, 1},
	} {
		s, err := New(map[string]Definition{"n": {Count: []string{"product.viewed"}, If: map[string][]string{c.field: c.values}}}, nil, time.UTC)
		if err != nil {
			t.Errorf("if: {%s: %q}: %v", c.field, c.values, err)
			continue
		}
		var r Row
		s.Observe(&r, &Observation{Event: price, Line: -1, TimeMS: 1000, WatermarkMS: math.MinInt64})
		if got := s.Value(&r, 0, 1000).Number; got != c.want {
			t.Errorf("if: {%s: %q} counts %v, want %v", c.field, c.values, got, c.want)
		}
	}
}

type categories map[string]string

func (c categories) Category(id string) string { return c[id] }

// A filter by a category lets pass what lies below it, and no other that begins with the same letters; an order's value counts once, of its lines only those that pass.
func TestFiltersOfCategoriesTakeWhatLiesBelow(t *testing.T) {
	order := &streams.Event{Type: streams.OrderCompleted, Name: "order.completed", Value: 60 * streams.Micro, HasValue: true, Lines: []streams.Line{
		{ID: "runner", Price: 10 * streams.Micro, HasPrice: true, Quantity: 1}, {ID: "polish", Price: 20 * streams.Micro, HasPrice: true, Quantity: 1},
		{ID: "hat", Price: 30 * streams.Micro, HasPrice: true, Quantity: 1}}}
	items := categories{"runner": "Shoes > Running > Trail", "polish": "Shoes and care", "hat": "Hats"}
	for _, c := range []struct {
		values        []string
		value, amount float64
	}{
		{[]string{"Shoes"}, 60, 10},
		{[]string{"Shoes > Running"}, 60, 10},
		{[]string{"Shoes > Running > Trail"}, 60, 10},
		{[]string{"Shoes > Run"}, 0, 0},
		{[]string{"Shoes > Running > Trail > Wide"}, 0, 0},
		{[]string{"Running"}, 0, 0},
		{[]string{"shoes"}, 0, 0},
		{[]string{"Hats", "Shoes"}, 60, 40},
		{[]string{"Hats", "Shoes and care"}, 60, 50},
	} {
		is := map[string][]string{"category": c.values}
		s, err := New(map[string]Definition{"value": {Sum: "order.completed.value", If: is}, "amount": {Sum: "order.completed.amount", If: is}}, nil, time.UTC)
		if err != nil {
			t.Errorf("if: {category: %q}: %v", c.values, err)
			continue
		}
		var r Row
		s.Observe(&r, &Observation{Event: order, Line: -1, TimeMS: 1000, WatermarkMS: math.MinInt64, Items: items})
		for i := range s.Len() {
			want := map[string]float64{"value": c.value, "amount": c.amount}[s.Name(i)]
			if got := s.Value(&r, i, 1000).Number; got != want {
				t.Errorf("if: {category: %q}: %s is %v, want %v", c.values, s.Name(i), got, want)
			}
		}
	}
}

// However a number is written, it is one column.
func TestFiltersOfOneNumberShareTheirColumn(t *testing.T) {
	of := func(price string) Definition {
		return Definition{Count: []string{"product.viewed"}, If: map[string][]string{"price": {price}}}
	}
	s, err := New(map[string]Definition{"a": of("100"), "b": of("1e2"), "c": of("100.00")}, nil, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.sources) != 1 {
		t.Errorf("%d sources, want 1", len(s.sources))
	}
}

// A merge counts for nobody.
func TestMergesAreNotCounted(t *testing.T) {
	if _, err := New(map[string]Definition{"n": {Count: []string{"user.merged"}}}, nil, time.UTC); err == nil {
		t.Error("{count: user.merged} is taken, and would always be 0")
	}
}
