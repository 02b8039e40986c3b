package evaluation

import (
	"maps"
	"slices"

	"nudge/models"
)

// makers make the models by name.
var makers = map[string]func() Recommender{
	"random":     func() Recommender { return &random{} },
	"last-item":  func() Recommender { return &lastItem{} },
	"popularity": func() Recommender { return &popularity{counts: map[models.Item]float32{}} },
	"trending":   func() Recommender { return &trending{m: models.NewTrending(3*day, known)} },
	"co-occurrence": func() Recommender {
		return &together{m: models.NewCoOccurrence(models.DefaultCoOccurrence(14 * day)), s: models.NewScratch()}
	},
	"neighbours": func() Recommender {
		return &near{m: models.NewNeighbours(models.DefaultNeighbours()), s: models.NewScratch()}
	},
	"sequence":               newSequence,
	"blend":                  func() Recommender { return newBlend(true) },
	"blend-without-sequence": func() Recommender { return newBlend(false) },
}

// Names are the names of the models.
func Names() []string { return slices.Sorted(maps.Keys(makers)) }

// Make makes a model by its name.
func Make(name string) (Recommender, bool) {
	f, ok := makers[name]
	if !ok {
		return nil, false
	}
	return f(), true
}

const (
	day  = 24 * 3600_000 // in milliseconds
	kept = 100           // candidates of a source
	// known are the candidates of a source that says the same to everybody: of the first ones many a customer has met most.
	known = 1000
)

func everything(models.Item) bool { return true }

// random shows some item or other.
type random struct {
	items []models.Item
	known map[models.Item]bool
	state uint64
	out   []models.Candidate
}

func (r *random) Learn(x *Interaction, _ *models.Query) {
	if r.known == nil {
		r.known = map[models.Item]bool{}
	}
	if !r.known[x.Item] {
		r.known[x.Item] = true
		r.items = append(r.items, x.Item)
	}
}

func (r *random) Rank(*models.Query) []models.Candidate {
	r.out = r.out[:0]
	for k := range min(kept, len(r.items)) {
		r.state = r.state*6364136223846793005 + 1442695040888963407
		i := r.items[int(r.state>>33)%len(r.items)]
		if !slices.ContainsFunc(r.out, func(c models.Candidate) bool { return c.Item == i }) {
			r.out = append(r.out, models.Candidate{Item: i, Score: 1 / float32(k+1)})
		}
	}
	return r.out
}

// lastItem shows what was met last, the latest first.
type lastItem struct{ out []models.Candidate }

func (l *lastItem) Learn(*Interaction, *models.Query) {}

func (l *lastItem) Rank(q *models.Query) []models.Candidate {
	l.out = l.out[:0]
	for _, i := range distinct(nil, q, kept) {
		l.out = append(l.out, models.Candidate{Item: i, Score: 1 / float32(len(l.out)+1)})
	}
	return l.out
}

// popularity shows what was met most, counted, whenever that was: of two that were met as often neither stands before the other.
type popularity struct {
	counts map[models.Item]float32
	top    []models.Candidate // the first of all, best first
	out    []models.Candidate
}

func (p *popularity) Learn(x *Interaction, _ *models.Query) {
	if !x.Counts {
		return
	}
	p.counts[x.Item] += x.Weight
	now := models.Candidate{Item: x.Item, Score: p.counts[x.Item]}
	at := slices.IndexFunc(p.top, func(c models.Candidate) bool { return c.Item == x.Item })
	switch {
	case at >= 0:
	case len(p.top) < known:
		at = len(p.top)
		p.top = append(p.top, now)
	case now.Score > p.top[known-1].Score: // counts only grow: who is not among the first has not been passed since
		at = known - 1
	default:
		return
	}
	for ; at > 0 && p.top[at-1].Score < now.Score; at-- {
		p.top[at] = p.top[at-1]
	}
	p.top[at] = now
}

func (p *popularity) Rank(*models.Query) []models.Candidate {
	p.out = append(p.out[:0], p.top...) // the caller may turn it about
	return p.out
}

type trending struct {
	m   *models.Trending
	out []models.Candidate
}

func (t *trending) Learn(x *Interaction, _ *models.Query) {
	if x.Counts {
		t.m.Learn(x.Item, x.TimeMS, x.Weight)
	}
}

func (t *trending) Rank(*models.Query) []models.Candidate {
	t.out = t.out[:0]
	for _, i := range t.m.Top() {
		t.out = append(t.out, models.Candidate{Item: i, Score: float32(t.m.Share(i))})
	}
	return t.out
}

// together is the co-occurrence as the default pipeline has it: 3 different items before each, asked with 6.
type together struct {
	m    *models.CoOccurrence
	s    *models.Scratch
	past []models.Item
}

func (t *together) Learn(x *Interaction, before *models.Query) {
	if !x.Counts {
		return
	}
	const window = 3
	t.past = slices.DeleteFunc(distinct(t.past[:0], before, window+1), func(i models.Item) bool { return i == x.Item })
	t.m.Learn(x.Item, t.past[:min(len(t.past), window)], x.TimeMS, x.Weight)
}

func (t *together) Rank(q *models.Query) []models.Candidate {
	t.past = distinct(t.past[:0], q, 6)
	t.s.Reset()
	t.m.Score(t.s, t.past, q.NowMS)
	return t.s.Top(kept, everything)
}

func distinct(to []models.Item, q *models.Query, n int) []models.Item {
	for _, i := range q.Items {
		if len(to) < n && !slices.Contains(to, i) {
			to = append(to, i)
		}
	}
	return to
}

type near struct {
	m    *models.Neighbours
	s    *models.Scratch
	past []models.Item
}

func (t *near) Learn(x *Interaction, _ *models.Query) {
	t.m.Learn(uint64(x.User)+1, x.Item, x.TimeMS)
}

func (t *near) Rank(q *models.Query) []models.Candidate {
	t.past = distinct(t.past[:0], q, models.SessionItems)
	t.s.Reset()
	t.m.Score(t.s, t.past, q.Session, q.NowMS)
	return t.s.Top(kept, everything)
}

type blend struct {
	m *models.NextItem
	s *models.NextItemScratch
}

func newBlend(deep bool) *blend {
	o := models.DefaultNextItem()
	o.Sequence = deep
	m := models.NewNextItem(o)
	return &blend{m, m.NewScratch()}
}

func (t *blend) Learn(x *Interaction, before *models.Query) {
	if x.Counts {
		t.m.Learn(t.s, x.Item, before, x.TimeMS, x.Weight)
	} else {
		t.m.Hear(t.s, x.Item, before, x.TimeMS)
	}
	t.m.Train(nil)
}

func (t *blend) Rank(q *models.Query) []models.Candidate { return t.m.Rank(t.s, q) }

type sequence struct {
	m   *models.Sequence
	s   *models.SequenceScratch
	out []models.Candidate
}

func newSequence() Recommender {
	m := models.NewSequence(models.DefaultSequence())
	return &sequence{m: m, s: m.NewScratch()}
}

func (t *sequence) Learn(x *Interaction, before *models.Query) {
	t.m.Learn(x.Item, before)
	t.m.Train(nil)
}

func (t *sequence) Rank(q *models.Query) []models.Candidate {
	t.out = t.out[:0]
	if t.m.Ask(t.s, q) {
		top := t.m.Top(t.s, kept)
		for _, c := range top {
			t.out = append(t.out, models.Candidate{Item: c.Item, Score: float32(models.Exp(float64(c.Score - top[0].Score)))})
		}
	}
	return t.out
}
