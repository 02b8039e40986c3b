package models_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"nudge/models"
)

// What the groups hold is a function of the rows: whatever was learned, forgotten and moved, in whatever order, a model that loads the rows holds
// the same.
func TestTrendingGroups(t *testing.T) {
	const items = 160
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, of := models.NewTrending(3600_000, 8), map[models.Item]uint32{}
		at := int64(1e12)
		for step := range 4000 {
			i := models.Item(r.IntN(items))
			switch n := r.IntN(40); {
			case n == 0:
				m.Forget(i.Row())
				of[i] = 0
			case n <= 3:
				of[i] = uint32(r.IntN(4))
				m.Group(i, of[i])
			default:
				at += r.Int64N(600_000)
				m.Learn(i, at, float32(1+r.IntN(4)))
			}
			if step%7 > 0 && r.IntN(3) > 0 { // some of it within one epoch
				continue
			}
			m.Settle()
			if step%50 != 0 {
				continue
			}
			fresh := models.NewTrending(3600_000, 8)
			for i := range models.Item(items) {
				fresh.Group(i, of[i])
				if b := m.AppendRow(nil, i.Row()); len(b) > 0 {
					if err := fresh.LoadRow(i.Row(), b); err != nil {
						t.Fatal(err)
					}
				}
			}
			fresh.Settle()
			said := func(m *models.Trending) (out string) {
				m.Groups(3, func(top []models.Item) { out += fmt.Sprintln(len(top), top) })
				return out
			}
			if a, b := said(m), said(fresh); a != b {
				t.Fatalf("seed %d, step %d:\n%s\nloaded:\n%s", seed, step, a, b)
			}
		}
	}
}
