package models_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"nudge/models"
)

// Two kinds of customers choose of lists of two items, of which they like one each, as often as they are likely to; what everybody likes and nobody chooses
// is the same for both.
func TestChoicesTellsTastesApart(t *testing.T) {
	for _, described := range []bool{true, false} {
		t.Run(fmt.Sprint("described ", described), func(t *testing.T) { tellsTastesApart(t, described) })
	}
}

func tellsTastesApart(t *testing.T, described bool) {
	m := models.NewChoices()
	const items = 8 // even ones are of one category and liked by one half, odd ones by the other
	for i := range models.Item(items) {
		if described {
			m.Describe(i, 1+uint32(i%2), 0, 0)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	leanings := make([]models.Leaning, 40)
	for range 4000 {
		who := r.IntN(len(leanings))
		a := models.Item(2 * r.IntN(items/2))
		c := models.Choice{Kind: models.ChoiceOfList, Options: []models.Item{a, a + 1}, Chosen: who % 2}
		if r.Float64() < .2 {
			c.Chosen = -1
		}
		if !m.Read(&c, &leanings[who]) {
			t.Fatal("a choice taught nothing")
		}
		m.Learn(&c)
	}
	best := func(by *models.Leaning) models.Item {
		s := models.NewScratch()
		m.Score(s, by, func(each func(models.Item)) {
			for i := range models.Item(items) {
				each(i)
			}
		})
		return s.Top(1, func(models.Item) bool { return true })[0].Item
	}
	for who := range leanings {
		if i := best(&leanings[who]); int(i)%2 != who%2 {
			t.Errorf("customer %d, who likes items of parity %d, is thought to like %d best", who, who%2, i)
		}
	}
	if !described {
		return
	}
	// What is new in a liked category is thought to be liked before anybody has seen it.
	m.Describe(items, 1, 0, 0)
	m.Describe(items+1, 2, 0, 0)
	s := models.NewScratch()
	m.Score(s, &leanings[0], func(each func(models.Item)) { each(items); each(items + 1) })
	if top := s.Top(2, func(models.Item) bool { return true }); top[0].Item != items || !(top[0].Score > top[1].Score+math.Ln2) {
		t.Errorf("new items %v: want that of the liked category well ahead", top)
	}
}

// The steps that a choice makes go down the gradient of its likelihood: what was chosen becomes likelier, what was passed over less likely.
func TestChoicesGoDownTheGradient(t *testing.T) {
	m := models.NewChoices()
	for i := range models.Item(3) {
		m.Describe(i, 1+uint32(i), 5, 100<<i)
	}
	worth := func(i models.Item, by *models.Leaning) float64 {
		s := models.NewScratch()
		m.Score(s, by, func(each func(models.Item)) { each(i) })
		return float64(s.Top(1, func(models.Item) bool { return true })[0].Score)
	}
	by := models.Leaning{1 << 14, -1 << 14, 1 << 15}
	before := [3]float64{worth(0, &by), worth(1, &by), worth(2, &by)}
	c := models.Choice{Kind: models.ChoiceOfSlate, Options: []models.Item{0, 1}, Chosen: 1}
	m.Read(&c, &by)
	m.Learn(&c)
	if now := worth(1, &by); !(now > before[1]) {
		t.Errorf("what was chosen is worth %v, before %v", now, before[1])
	}
	if gap := worth(1, &by) - worth(0, &by); !(gap > before[1]-before[0]) {
		t.Errorf("what was chosen is %v above what was passed over, before %v", gap, before[1]-before[0])
	}
}

func TestChoicesRefuseBadInput(t *testing.T) {
	m := models.NewChoices()
	for name, c := range map[string]models.Choice{
		"no options":       {Chosen: -1},
		"too many options": {Options: make([]models.Item, models.MostOptions+1), Chosen: -1},
		"no such option":   {Options: []models.Item{1}, Chosen: 1},
		"no such kind":     {Options: []models.Item{1}, Kind: models.ChoiceKinds},
	} {
		by := models.Leaning{5}
		if m.Read(&c, &by) || by != (models.Leaning{5}) {
			t.Errorf("%s: taught %v", name, by)
		}
	}
}
