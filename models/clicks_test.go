package models_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"nudge/models"
)

// TestClicksUnderstandPositions shows lists whose good items stand at the end: what is looked at falls with the place, and a model without
// that would think them bad.
func TestClicksUnderstandPositions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	look := []float64{1, 0.6, 0.4, 0.25, 0.15, 0.1}
	taken := []float64{0.05, 0.3} // of a feature 0 and 1
	m := models.NewClicks(2)
	for range 100_000 {
		for k := range look {
			f := uint16(0)
			if r.Float64() < []float64{0.1, 0.2, 0.4, 0.6, 0.8, 0.9}[k] {
				f = 1
			}
			m.Learn(&models.Offered{Item: models.NoItem, Features: []uint16{f}}, k+1, r.Float64() < look[k]*taken[f], 1)
		}
	}
	for f, want := range taken {
		if got := models.Chance(m.Logit(&models.Offered{Item: models.NoItem, Features: []uint16{uint16(f)}})); got < 0.8*want || got > 1.25*want {
			t.Errorf("feature %d is taken with %.3f, want about %.3f", f, got, want)
		}
	}
	for k, want := range look {
		if got := m.Look(k + 1); got < want-0.1 || got > want+0.1 {
			t.Errorf("position %d is looked at with %.3f, want about %.3f", k+1, got, want)
		}
	}
}

// TestClicksOfAnItem learns that one item is better than its features say, and forgets it.
func TestClicksOfAnItem(t *testing.T) {
	m := models.NewClicks(1)
	r := rand.New(rand.NewPCG(3, 4))
	offer := func(i models.Item) *models.Offered { return &models.Offered{Item: i, Features: []uint16{0}} }
	before := m.Logit(offer(7))
	for range 3000 {
		m.Learn(offer(7), 1, r.Float64() < 0.4, 1)
		m.Learn(offer(8), 1, r.Float64() < 0.02, 1)
	}
	if good, bad := models.Chance(m.Logit(offer(7))), models.Chance(m.Logit(offer(8))); good < 2*bad || before >= m.Logit(offer(7)) {
		t.Errorf("the good item is taken with %.3f, the bad one with %.3f", good, bad)
	}
	m.Forget(7)
	if m.Logit(offer(7)) != m.Logit(offer(9)) {
		t.Error("a forgotten item still has a weight")
	}
	whole := m.AppendRow(nil, 0)
	m.Learn(&models.Offered{Features: []uint16{9999}}, 1, true, 1)
	m.Learn(offer(7), 0, true, 1)
	m.Learn(offer(7), 1, true, -1)
	if string(whole) != string(m.AppendRow(nil, 0)) {
		t.Error("bad input taught something")
	}
}

// terms of items in tests: their category, and themselves.
func termsOf(i int) []uint32 { return []uint32{uint32(i % 3), uint32(10 + i%2), uint32(100 + i)} }

// TestContentOrder fills an index in every order: the answers are the same.
func TestContentOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7, 8}).Draw(t, "order")
		gone := rapid.IntRange(0, 8).Draw(t, "gone")
		ask := func(order []int) string {
			m := models.NewContent()
			for _, i := range order {
				m.Set(models.Item(i), int64(i/2), termsOf(i))
			}
			m.Forget(uint32(gone))
			m.Set(models.Item(order[0]), int64(order[0]/2), termsOf(order[0]+1))
			m.Set(models.Item(order[0]), int64(order[0]/2), termsOf(order[0]))
			m.Forget(uint32(gone))
			m.Settle()
			s := models.NewScratch()
			m.Score(s, &models.ContentScratch{}, []models.Item{1, 5, models.NoItem, 77}, nil)
			return fmt.Sprint(s.Top(20, func(models.Item) bool { return true }))
		}
		if got, want := ask(order), ask([]int{0, 1, 2, 3, 4, 5, 6, 7, 8}); got != want {
			t.Fatalf("filled in the order %v:\n%s\nwant\n%s", order, got, want)
		}
	})
}

// TestContentFindsTheNew has a term with more items than are looked at: a new one is found at once.
func TestContentFindsTheNew(t *testing.T) {
	m := models.NewContent()
	const n = 3 * models.ContentScanned
	for i := range n {
		m.Set(models.Item(i), int64(i), []uint32{1, uint32(1000 + i)})
	}
	m.Set(models.Item(n), n, []uint32{1, 2})
	m.Settle()
	s := models.NewScratch()
	m.Score(s, &models.ContentScratch{}, []models.Item{3}, nil)
	found := map[models.Item]bool{}
	for _, c := range s.Top(n, func(models.Item) bool { return true }) {
		found[c.Item] = true
	}
	if !found[n] || found[5] || len(found) != models.ContentScanned+1 { // and the item itself
		t.Errorf("%d items are found, the new one: %v", len(found), found[n])
	}
	if a, b := m.Alike(3, 4), m.Alike(3, 3); a != 1.0/3 || b != 1 || m.Alike(3, models.NoItem) != 0 {
		t.Errorf("alike are %v and %v, want 1/3 and 1", a, b)
	}
}

func TestRepurchase(t *testing.T) {
	const day = 24 * 3600_000
	m := models.NewRepurchase()
	for i := range int64(60) {
		m.Learn(1, 7, 0)             // coffee
		m.Learn(1, 7, (20+i%10)*day) // comes back after three weeks or four
		m.Learn(2, 8, 0)             // a phone
	}
	if r := m.Rate(1, 7); r < 0.4 || r > 0.55 {
		t.Errorf("coffee is bought again with %.2f, want about a half", r)
	}
	if !m.Never(2, 8) || m.Never(1, 7) || m.Never(3, 9) {
		t.Error("a phone is bought again, or coffee, or what nobody knows, never")
	}
	early, due, late := m.Due(1, 7, 3*day), m.Due(1, 7, 24*day), m.Due(1, 7, 200*day)
	if !(due > 5*early && due > 5*late && due > 0.35) {
		t.Errorf("due after 3, 24, 200 days: %.3f, %.3f, %.3f", early, due, late)
	}
	if a, b := m.Rate(4, 7), m.Rate(4, 9); a < 2*b {
		t.Errorf("a new sort of coffee is bought again with %.3f, something unknown with %.3f", a, b)
	}
}
