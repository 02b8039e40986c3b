package simulate

import (
	"cmp"
	"math"
	"slices"
)

// What stands here tells what only the world knows. It is for measuring a recommender, never for feeding one.

// Utility is the truth about what an item is worth to a shopper now, noise aside, price included; of who takes what is good enough, how it stands
// in its worst aspect. False if the world knows no such shopper or item.
func (w *World) Utility(user, item string) (float64, bool) {
	p := w.personNamed(user, false)
	i, ok := w.itemNamed(item)
	if p == nil || !ok {
		return 0, false
	}
	return float64(w.appeal(&p.likes, &w.items[i])), true
}

// Best returns the ids of the n items in stock that are worth most to somebody now, the best first; none if the world knows no such
// person. It is what nobody can beat who knows less than the world.
func (w *World) Best(id string, anonymous bool, n int) []string {
	p := w.personNamed(id, anonymous)
	if p == nil {
		return nil
	}
	return w.best(p, n)
}

// Favourites are the numbers of the n categories that somebody likes most, and of those that they liked most before their taste turned last.
func (w *World) Favourites(id string, anonymous bool, n int) (now, before []int) {
	p := w.personNamed(id, anonymous)
	if p == nil {
		return nil, nil
	}
	most := func(taste *[len(categories)]float32) []int {
		all := make([]int, len(taste))
		for c := range all {
			all[c] = c
		}
		slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(taste[b], taste[a]) })
		return all[:min(n, len(all))]
	}
	if p.turnedMS == 0 {
		return most(&p.taste), most(&p.taste)
	}
	return most(&p.taste), most(&p.was)
}

func (w *World) best(p *person, n int) []string {
	var best []ranked
	for i := range uint32(len(w.items)) {
		it := &w.items[i]
		if it.stock > 0 && !p.owns(it.no) && !p.looked(it.no) {
			best = insert(best, ranked{i, w.appeal(&p.likes, it)}, n)
		}
	}
	return w.ids(best)
}

// ranked is the slot of an item and what it is worth.
type ranked struct {
	item  uint32
	worth float32
}

// insert keeps the n best, the best first.
func insert(best []ranked, x ranked, n int) []ranked {
	at := len(best)
	for at > 0 && best[at-1].worth < x.worth {
		at--
	}
	if at < n {
		best = slices.Insert(best[:min(len(best), n-1)], at, x)
	}
	return best
}

func (w *World) ids(best []ranked) []string {
	ids := make([]string, len(best))
	for k, x := range best {
		ids[k] = string(w.items[x.item].appendID(nil))
	}
	return ids
}

// appeal is what an item is worth to somebody who did not look for its category, by the law of the world.
func (w *World) appeal(p *likes, it *item) float32 {
	if w.satisfices() {
		return p.unsought(it)
	}
	return p.appeal(it)
}

// appeal is what it is worth by utility.
func (p *likes) appeal(it *item) float32 { return p.utility(it) + 0.5*p.taste[it.cat] }

// Shopper is who is behind an id: the number that a shopper keeps, logged in or not, and when their taste turned last, 0 for never. False of strangers.
func (w *World) Shopper(id string, anonymous bool) (no uint32, turnedMS int64, ok bool) {
	p := w.personNamed(id, anonymous)
	if p == nil || p.role != known {
		return 0, 0, false
	}
	return p.no, p.turnedMS, true
}

// Category is the number of an item's category; false if there is no such item (any more).
func (w *World) Category(item string) (int, bool) {
	i, ok := w.itemNamed(item)
	if !ok {
		return 0, false
	}
	return int(w.items[i].cat), true
}

// Clicked is the chance that somebody who is visiting would click a recommended item now, were it the only one that they see.
func (w *World) Clicked(id string, anonymous bool, item string) float64 {
	p := w.personNamed(id, anonymous)
	i, ok := w.itemNamed(item)
	if p == nil || !ok || !p.active || !p.curious(&w.items[i]) {
		return 0
	}
	if w.satisfices() {
		return takes(p.unsought(&w.items[i]), p.aspiration()+unasked)
	}
	// The difference of two Gumbel variables is logistic.
	return 1 / (1 + math.Exp(float64(p.reserve()-p.appeal(&w.items[i]))))
}

// Seen is the chance that the place of a list, from 1, is seen.
func Seen(place int) float64 {
	return min(max(float64(leastSeen+seenBeyond-place)/seenBeyond, 0), 1)
}
