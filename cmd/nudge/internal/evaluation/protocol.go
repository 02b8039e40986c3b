package evaluation

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"nudge/models"
)

// Recommender is a model under test.
type Recommender interface {
	// Learn takes in an interaction; before is what its customer or session did until then.
	Learn(x *Interaction, before *models.Query)
	// Rank scores candidates for what comes next, in any order; what it leaves out has no score. The slice is its own until the next call.
	Rank(q *models.Query) []models.Candidate
}

// Protocol is how a model is asked, and what it learns of.
type Protocol struct {
	K int
	// Learn says that the model goes on learning while it is tested; in leave-one-out, that it learns the validation item.
	Learn bool
	// Diversity makes the lists diverse, by as much as a recommender's diversify says.
	Diversity float64
}

// The readings of a next item. Targets that a reading rules out stay in the denominator of B, and are not asked for in C.
const (
	ReadingA = "A" // all items are candidates
	ReadingB = "B" // all but the last
	ReadingC = "C" // all but those of the query; only targets that are not in it
)

// history keeps what each user did, oldest first.
type history struct {
	items [][]models.Item
	times [][]int64
	query models.Query
}

func newHistory(users int) *history {
	return &history{items: make([][]models.Item, users), times: make([][]int64, users)}
}

func (h *history) add(x *Interaction) {
	h.items[x.User] = append(h.items[x.User], x.Item)
	h.times[x.User] = append(h.times[x.User], x.TimeMS)
}

// of returns the query of a user after the interactions so far, as of its last; it is valid until the next call.
func (h *history) of(user int) *models.Query {
	q, items := &h.query, h.items[user]
	q.Items, q.TimesMS, q.NowMS, q.Session = q.Items[:0], q.TimesMS[:0], 0, uint64(user)+1
	for k := len(items) - 1; k >= max(0, len(items)-models.MaxHistory); k-- {
		q.Items = append(q.Items, items[k])
		q.TimesMS = append(q.TimesMS, h.times[user][k])
	}
	if len(q.TimesMS) > 0 {
		q.NowMS = q.TimesMS[0]
	}
	return q
}

// byTime orders a log by time, and of equal times by row.
func byTime(log []Interaction) []Interaction {
	out := slices.Clone(log)
	slices.SortStableFunc(out, func(a, b Interaction) int {
		return cmp.Or(cmp.Compare(a.TimeMS, b.TimeMS), cmp.Compare(a.Row, b.Row))
	})
	return out
}

// test is one model under one protocol.
type test struct {
	ctx    context.Context
	model  Recommender
	crowd  *crowd
	past   *history
	lists  *diverse // nil: as the model ranks
	taught taught
}

func newTest(ctx context.Context, m Recommender, users int, p Protocol) *test {
	t := &test{ctx: ctx, model: m, crowd: newCrowd(), past: newHistory(users), taught: taught{}}
	if p.Diversity > 0 {
		t.lists = newDiverse(p.Diversity)
	}
	return t
}

func (t *test) figures(k int) *Figures { return newFigures(k, t.crowd, t.lists) }

// learn teaches what the customer may teach on that day, as in the stream.
func (t *test) learn(x *Interaction, before *models.Query) {
	t.crowd.add(x)
	if heard, counts := t.taught.teach(x); heard {
		y := *x
		y.Counts = counts
		if t.lists != nil && counts {
			t.lists.learn(&y, before)
		}
		t.model.Learn(&y, before)
	}
}

// daily is what a customer has taught on the latest day; of each item, the weight of what counted.
type daily struct {
	models.Daily
	items map[models.Item]float32
}

// taught are the days of the customers.
type taught map[int]*daily

// teach says whether an interaction is heard, and counts; what is of no day is not bounded by one.
func (t taught) teach(x *Interaction) (heard, counts bool) {
	if x.Untimed {
		return true, true
	}
	d := t[x.User]
	if d == nil {
		d = &daily{}
		t[x.User] = d
	}
	return d.teach(x)
}

// Beyond is how many interactions of a log no model learns, as their customers have taught enough on that day.
func Beyond(log []Interaction) (n int) {
	t := taught{}
	for _, x := range byTime(log) {
		if heard, _ := t.teach(&x); !heard {
			n++
		}
	}
	return n
}

func (d *daily) teach(x *Interaction) (heard, counts bool) {
	if d.items == nil || models.DayOf(x.TimeMS) > d.Day {
		d.items = map[models.Item]float32{}
	}
	d.Turn(x.TimeMS)
	if heard, counts = d.Teach(d.items[x.Item], x.Weight); counts {
		d.items[x.Item] += x.Weight
	}
	return heard, counts
}

// learnAll lets a model learn a log in the order of time.
func (t *test) learnAll(log []Interaction) error {
	for i := range log {
		if i%1024 == 0 && t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		t.learn(&log[i], t.past.of(log[i].User))
		t.past.add(&log[i])
	}
	return nil
}

func nothing(models.Item) bool { return false }

// WithBot adds a session, the one after those that there are, of n clicks in the log's last hour on items of it that a seed picks.
func WithBot(log []Interaction, n, session int, seed uint64) []Interaction {
	out := slices.Clone(log)
	if len(log) == 0 {
		return out
	}
	endMS, rows := int64(math.MinInt64), 0
	for i := range log {
		endMS, rows = max(endMS, log[i].TimeMS), max(rows, log[i].Row+1)
	}
	r := rand.New(rand.NewPCG(seed, 4))
	for k := range n {
		out = append(out, Interaction{User: session, Item: log[r.IntN(len(log))].Item, TimeMS: endMS - 3600_000 + int64(k)*3600_000/int64(n), Row: rows + k, Weight: 1})
	}
	return out
}

// Sessions trains on one log, and asks for every next item of another one's sessions from what came before it in the session. A query is
// the prefix and the time of its last click. The figures are by reading.
func Sessions(ctx context.Context, m Recommender, train, tests []Interaction, users int, p Protocol) (map[string]*Figures, error) {
	t := newTest(ctx, m, users, p)
	if err := t.learnAll(byTime(train)); err != nil {
		return nil, err
	}
	t.past = newHistory(users)
	tests = byTime(tests)
	figures := map[string]*Figures{ReadingA: t.figures(p.K), ReadingB: t.figures(p.K), ReadingC: t.figures(p.K)}
	ask := func(x *Interaction) {
		items := t.past.items[x.User]
		if len(items) == 0 {
			return
		}
		last := items[len(items)-1]
		met := func(i models.Item) bool { return slices.Contains(items, i) }
		found := m.Rank(t.past.of(x.User))
		figures[ReadingA].ask(x.User, len(items), x.Item, found, nothing)
		figures[ReadingB].ask(x.User, len(items), x.Item, found, func(i models.Item) bool { return i == last })
		if !met(x.Item) {
			figures[ReadingC].ask(x.User, len(items), x.Item, found, met)
		}
	}
	// What happens at one moment is asked for before any of it is learned.
	for i := 0; i < len(tests); {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		j := i
		var queries []models.Query
		for ; j < len(tests) && tests[j].TimeMS == tests[i].TimeMS; j++ {
			ask(&tests[j])
			if p.Learn {
				q := *t.past.of(tests[j].User)
				q.Items, q.TimesMS = slices.Clone(q.Items), slices.Clone(q.TimesMS)
				queries = append(queries, q)
			}
			t.past.add(&tests[j])
		}
		for k := range queries {
			t.learn(&tests[i+k], &queries[k])
		}
		i = j
	}
	return figures, nil
}

// LeaveOneOut asks for every user's last item from all before it; the model has learned all but the last two, and with Learn all but the
// last. What the user has met is not ranked: a target that is a repeat of it is a miss, and counted as such.
func LeaveOneOut(ctx context.Context, m Recommender, log []Interaction, users int, p Protocol) (*Figures, error) {
	log = byTime(log)
	left := make([]int, users)
	for i := range log {
		left[log[i].User]++
	}
	var train, validation, target []Interaction
	for i := range log {
		left[log[i].User]--
		switch left[log[i].User] {
		case 0:
			target = append(target, log[i])
		case 1:
			validation = append(validation, log[i])
		default:
			train = append(train, log[i])
		}
	}
	t := newTest(ctx, m, users, p)
	if err := t.learnAll(train); err != nil {
		return nil, err
	}
	for i := range validation {
		if p.Learn {
			t.learn(&validation[i], t.past.of(validation[i].User))
		}
		t.past.add(&validation[i])
	}
	f := t.figures(p.K)
	for i := range target {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		x := &target[i]
		if items := t.past.items[x.User]; len(items) > 0 {
			f.ask(x.User, len(items), x.Item, m.Rank(t.past.of(x.User)), func(i models.Item) bool { return slices.Contains(items, i) })
		}
	}
	return f, nil
}

// Prequential are the figures of a log that was tested and learned event by event.
type Prequential struct {
	First, Second *Figures // halves of the log, targets that the user had not met
	Repeats       *Figures // of the second half: targets that it had, ranked among all
	Hours         []Hour
}

// Hour is what the targets of an hour came to that their users had not met.
type Hour struct {
	StartMS int64   `json:"start_ms"`
	N       int     `json:"n"`
	HR      float64 `json:"hr"`
	Fading  float64 `json:"fading_hr"` // with a factor of .999 for each target
}

// TestThenLearn asks for every event's item before it is learned, in the order of time: targets are events of items that came before, of
// users that did something before.
func TestThenLearn(ctx context.Context, m Recommender, log []Interaction, users int, p Protocol) (*Prequential, error) {
	t := newTest(ctx, m, users, p)
	out := &Prequential{First: t.figures(p.K), Second: t.figures(p.K), Repeats: t.figures(p.K)}
	log = byTime(log)
	const fade = .999
	var hits, targets float64
	var hour Tally
	end := func() {
		if h := len(out.Hours) - 1; h >= 0 {
			out.Hours[h].N, out.Hours[h].HR, out.Hours[h].Fading = int(hour.N), hour.means().HR, hits/max(targets, 1)
		}
		hour = Tally{}
	}
	for i := range log {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		x := &log[i]
		const hourMS = 3600_000
		if at := x.TimeMS - (x.TimeMS%hourMS+hourMS)%hourMS; len(out.Hours) == 0 || out.Hours[len(out.Hours)-1].StartMS != at {
			end()
			out.Hours = append(out.Hours, Hour{StartMS: at})
		}
		items := t.past.items[x.User]
		if len(items) > 0 && !x.NoTarget && t.crowd.met(x.Item) > 0 {
			found := m.Rank(t.past.of(x.User))
			met := func(i models.Item) bool { return slices.Contains(items, i) }
			if met(x.Item) {
				if 2*i >= len(log) {
					out.Repeats.ask(x.User, len(items), x.Item, found, nothing)
				}
			} else {
				half := out.First
				if 2*i >= len(log) {
					half = out.Second
				}
				n := half.ask(x.User, len(items), x.Item, found, met)
				hour.add(n, p.K)
				hits, targets = fade*hits, fade*targets+1
				if n <= p.K {
					hits++
				}
			}
		}
		t.learn(x, t.past.of(x.User))
		t.past.add(x)
	}
	end()
	return out, nil
}
