package models

import "sort"

// What a group of items, such as those of a category, keeps at hand: enough for a list.
const perGroup = 48

// groups are the best items of each group, derived from the rows as the best of all are: only an item that is learned can rise, and with it its
// group. In order of their best item.
type groups struct {
	of    []uint32 // by row; 0: none
	byKey map[uint32]*group
	order []*group
	holes bool // of some group a best item is gone, and others are outside of it
}

type group struct {
	key  uint32
	at   int // in order
	top  []Item
	hole bool
}

// Group says which group an item belongs to; 0 is none. It is the row's until it is said anew, or forgotten.
func (t *Trending) Group(item Item, key uint32) {
	n := item.Row()
	if int(n) >= len(t.groups.of) {
		if key == 0 {
			return
		}
		t.groups.of = append(t.groups.of, make([]uint32, int(n)+1-len(t.groups.of))...)
	}
	if t.groups.of[n] == key {
		return
	}
	t.leave(n)
	if t.groups.of[n] = key; int(n) < len(t.rows) && t.rows[n].value > 0 {
		t.join(t.rows[n].item)
	}
}

// Groups are the best items of up to n groups, those with the best item first. The slices are the model's own.
func (t *Trending) Groups(n int, each func(top []Item)) {
	for _, g := range t.groups.order[:min(n, len(t.groups.order))] {
		each(g.top)
	}
}

// join puts an item that has risen to its place in its group, and that to its place among the groups.
func (t *Trending) join(item Item) {
	n := item.Row()
	if int(n) >= len(t.groups.of) || t.groups.of[n] == 0 {
		return
	}
	key := t.groups.of[n]
	g := t.groups.byKey[key]
	if g == nil {
		g = &group{key: key, at: len(t.groups.order)}
		if t.groups.byKey == nil {
			t.groups.byKey = map[uint32]*group{}
		}
		t.groups.byKey[key] = g
		t.groups.order = append(t.groups.order, g)
	}
	var in bool
	if g.top, in = t.place(g.top, item, t.rows[n].grouped, perGroup, func(out Item) { t.rows[out.Row()].grouped = false }); !in {
		return
	}
	t.rows[n].grouped = true
	for g.at > 0 && g.top[0] == item && t.less(item, t.groups.order[g.at-1].top[0]) {
		t.groups.swap(g.at, g.at-1)
	}
}

// leave takes a row's item out of its group.
func (t *Trending) leave(row uint32) {
	if int(row) >= len(t.rows) || !t.rows[row].grouped {
		return
	}
	t.rows[row].grouped = false
	g := t.groups.byKey[t.groups.of[row]]
	if len(g.top) == perGroup { // some may be outside
		g.hole, t.groups.holes = true, true
	}
	for k, i := range g.top {
		if i.Row() == row {
			g.top = append(g.top[:k], g.top[k+1:]...)
			break
		}
	}
	for at := g.at; at+1 < len(t.groups.order); at++ {
		if next := t.groups.order[at+1]; len(g.top) > 0 && !t.less(next.top[0], g.top[0]) {
			break
		}
		t.groups.swap(at, at+1)
	}
	if len(g.top) == 0 {
		t.groups.order = t.groups.order[:g.at]
		delete(t.groups.byKey, g.key)
		t.loaded = t.loaded || g.hole // all that stood in it are gone before anybody could stand in
	}
}

func (g *groups) swap(a, b int) {
	g.order[a], g.order[b] = g.order[b], g.order[a]
	g.order[a].at, g.order[b].at = a, b
}

// settleGroups finds the items that stand in for those that are gone; all says that no group is to be trusted.
func (t *Trending) settleGroups(all bool) {
	if !all && !t.groups.holes {
		return
	}
	t.groups.holes = false
	members := map[uint32][]Item{}
	if all {
		t.groups.byKey, t.groups.order = nil, t.groups.order[:0]
	}
	for n := range t.rows {
		if t.rows[n].value == 0 || n >= len(t.groups.of) || t.groups.of[n] == 0 {
			continue
		}
		if key := t.groups.of[n]; all || t.groups.byKey[key] != nil && t.groups.byKey[key].hole {
			t.rows[n].grouped = false
			members[key] = append(members[key], t.rows[n].item)
		}
	}
	if all {
		t.groups.byKey = make(map[uint32]*group, len(members))
		for _, key := range t.groups.of { // in the order of rows
			if members[key] != nil && t.groups.byKey[key] == nil {
				t.groups.byKey[key] = &group{key: key, hole: true}
				t.groups.order = append(t.groups.order, t.groups.byKey[key])
			}
		}
	}
	for _, g := range t.groups.order {
		if !g.hole {
			continue
		}
		g.hole = false
		m := members[g.key]
		sort.Slice(m, func(i, j int) bool { return t.less(m[i], m[j]) })
		g.top = append(g.top[:0], m[:min(len(m), perGroup)]...)
		for _, i := range g.top {
			t.rows[i.Row()].grouped = true
		}
	}
	sort.Slice(t.groups.order, func(i, j int) bool { return t.less(t.groups.order[i].top[0], t.groups.order[j].top[0]) })
	for at, g := range t.groups.order {
		g.at = at
	}
}
