package evaluation

import (
	"cmp"
	"slices"

	"nudge/models"
)

// diverse makes lists as a recommender with diversify does. Interactions say nothing of what items are like, so those are alike that are met together.
type diverse struct {
	models.Diversity
	together together
	demand   trending
	order    []models.Candidate // the best first; NoItem: in the list
	standing []models.Standing  // of order's
	above    []models.Item
	list     []models.Candidate
}

func newDiverse(strength float64) *diverse {
	d := &diverse{together: together{m: models.NewCoOccurrence(models.DefaultCoOccurrence(14 * day))}, demand: trending{m: models.NewTrending(3*day, kept)}}
	d.Diversity = models.Diversity{Strength: strength, Alike: d.together.m.Alike, Share: d.demand.m.Share}
	return d
}

func (d *diverse) learn(x *Interaction, before *models.Query) {
	d.together.Learn(x, before)
	d.demand.Learn(x, before)
}

// choose returns the first k of what was found that is not out, with scores that say their places. Of those that are worth the same the target comes last.
func (d *diverse) choose(found []models.Candidate, target models.Item, out func(models.Item) bool, k int) []models.Candidate {
	d.order = slices.DeleteFunc(append(d.order[:0], found...), func(c models.Candidate) bool { return !(c.Score > 0) || out(c.Item) })
	slices.SortFunc(d.order, func(a, b models.Candidate) int {
		if d := cmp.Compare(b.Score, a.Score); d != 0 || a.Item == b.Item {
			return d
		}
		if a.Item == target {
			return 1
		}
		if b.Item == target {
			return -1
		}
		return cmp.Compare(a.Item, b.Item)
	})
	d.order = d.order[:min(len(d.order), models.DiversityConsidered)]
	d.standing = slices.Grow(d.standing[:0], len(d.order))[:len(d.order)]
	clear(d.standing)
	d.above, d.list = d.above[:0], d.list[:0]
	for len(d.list) < min(k, len(d.order)) {
		at, most := -1, 0.0
		for i := range d.order {
			c := &d.order[i]
			if c.Item == models.NoItem {
				continue
			}
			if worth := d.Worth(&d.standing[i], c.Item, float64(c.Score), d.above, most); at < 0 || worth > most {
				at, most = i, worth
			}
		}
		d.above = append(d.above, d.order[at].Item)
		d.list = append(d.list, models.Candidate{Item: d.order[at].Item, Score: float32(k - len(d.list))})
		d.order[at].Item = models.NoItem
	}
	return d.list
}
