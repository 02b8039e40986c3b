package models_test

import (
	"testing"

	"pgregory.net/rapid"

	"nudge/models"
)

// Whatever a customer does on a day, no more than so many events are heard, and an item counts for no more than so much.
func TestDailyBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const day = 24 * 3600_000
		var d models.Daily
		heard, of := 0, map[int]float32{}
		n := rapid.IntRange(0, 500).Draw(t, "events")
		for range n {
			d.Turn(9*day + rapid.Int64Range(0, day-1).Draw(t, "at"))
			item, weight := rapid.IntRange(0, 9).Draw(t, "item"), float32(rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "weight"))
			h, c := d.Teach(of[item], weight)
			if h {
				heard++
			}
			if c {
				of[item] += weight
			}
			if c && !h {
				t.Fatal("an event counts that is not heard")
			}
		}
		if heard != min(n, models.DailyItems) {
			t.Fatalf("%d heard of %d", heard, n)
		}
		for item, sum := range of {
			if sum >= 4*models.SameItem+4 {
				t.Fatalf("item %d counts for %v views", item, sum)
			}
		}
	})
}

func TestDailyAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.Custom(func(t *rapid.T) models.Daily {
			d := models.Daily{Day: rapid.Int32Range(0, 3).Draw(t, "day")}
			if d.Day > 0 {
				d.Items = uint16(rapid.IntRange(1, models.DailyItems).Draw(t, "items"))
			}
			return d
		})
		a, b, c := days.Draw(t, "a"), days.Draw(t, "b"), days.Draw(t, "c")
		sum := func(x, y models.Daily) models.Daily { x.Add(y); return x }
		if sum(sum(a, b), c) != sum(a, sum(b, c)) || sum(a, b) != sum(b, a) || sum(a, models.Daily{}) != a {
			t.Fatalf("%+v, %+v and %+v do not add up", a, b, c)
		}
	})
}
