package evaluation

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"nudge/models"
)

// missed is the rank of a target that is not among what was ranked.
const missed = math.MaxInt32

// rank is how many of the candidates score at least as much as the target, itself included; missed where it is not one of them, or
// scores nothing. What is filtered out does not count, and can't be found.
func rank(candidates []models.Candidate, target models.Item, out func(models.Item) bool) int {
	score := float32(0)
	for i := range candidates {
		if candidates[i].Item == target {
			score = candidates[i].Score
			break
		}
	}
	if !(score > 0) || out(target) {
		return missed
	}
	n := 0
	for i := range candidates {
		if candidates[i].Score >= score && !out(candidates[i].Item) {
			n++
		}
	}
	return n
}

// Tally sums what some targets came to.
type Tally struct{ N, HR, MRR, NDCG float64 }

func (t *Tally) add(rank, k int) {
	t.N++
	if rank <= k {
		t.HR++
		t.MRR += 1 / float64(rank)
		t.NDCG += 1 / math.Log2(float64(rank)+1)
	}
}

func (t *Tally) sum(x *Tally) {
	t.N += x.N
	t.HR += x.HR
	t.MRR += x.MRR
	t.NDCG += x.NDCG
}

// Means are the means over targets.
type Means struct{ HR, MRR, NDCG float64 }

func (t Tally) means() Means {
	if t.N == 0 {
		return Means{}
	}
	return Means{t.HR / t.N, t.MRR / t.N, t.NDCG / t.N}
}

// Figures gathers what a model's answers came to under one reading.
type Figures struct {
	K       int
	ByUser  map[int]*Tally
	Slices  map[string]*Tally
	users   []int // of ByUser, as they were met
	crowd   *crowd
	lists   *diverse // nil: as the model ranks
	shown   map[models.Item]int
	novelty spread
	unlike  spread
	list    []models.Candidate
}

// The slices that figures are also given for.
const (
	sliceNewCustomer = "new_customer" // one item before
	sliceNewItem     = "new_item"     // the target was met fewer than 5 times before
	sliceRepeats     = "repeats"      // the target is one of those that are ruled out, as the customer had met it: a miss
	sliceLongTail    = "long_tail"    // the target is not of the most popular items that make up half of all events
)

func newFigures(k int, c *crowd, lists *diverse) *Figures {
	return &Figures{K: k, ByUser: map[int]*Tally{}, Slices: map[string]*Tally{sliceNewCustomer: {}, sliceNewItem: {}, sliceRepeats: {}, sliceLongTail: {}}, crowd: c, lists: lists, shown: map[models.Item]int{}}
}

// ask takes in an answer, and returns the target's rank in it.
func (f *Figures) ask(user, before int, target models.Item, found []models.Candidate, out func(models.Item) bool) int {
	t := f.ByUser[user]
	if t == nil {
		t = &Tally{}
		f.ByUser[user] = t
		f.users = append(f.users, user)
	}
	if f.lists != nil {
		found = f.lists.choose(found, target, out, f.K)
	}
	n := rank(found, target, out)
	t.add(n, f.K)
	if out(target) {
		f.Slices[sliceRepeats].add(n, f.K)
	}
	if before == 1 {
		f.Slices[sliceNewCustomer].add(n, f.K)
	}
	if f.crowd.met(target) < 5 {
		f.Slices[sliceNewItem].add(n, f.K)
	}
	if !f.crowd.head(target) {
		f.Slices[sliceLongTail].add(n, f.K)
	}
	f.look(found, out)
	return n
}

// look takes in the list that would be shown.
func (f *Figures) look(found []models.Candidate, out func(models.Item) bool) {
	f.list = f.list[:0]
	for _, c := range found {
		full := len(f.list) == f.K
		if full && c.Score <= f.list[f.K-1].Score || out(c.Item) {
			continue
		}
		if !full {
			f.list = append(f.list, c)
		}
		at := len(f.list) - 1
		for ; at > 0 && f.list[at-1].Score < c.Score; at-- {
			f.list[at] = f.list[at-1]
		}
		f.list[at] = c
	}
	for i, c := range f.list {
		f.shown[c.Item]++
		f.novelty.add(f.crowd.surprise(c.Item))
		if len(f.users)%16 == 1 { // pairs are dear: those of one user in 16
			for _, d := range f.list[:i] {
				f.unlike.add(1 - f.crowd.alike(c.Item, d.Item))
			}
		}
	}
}

// Sum is the tally of all users.
func (f *Figures) Sum() (t Tally) {
	for _, u := range f.users {
		t.sum(f.ByUser[u])
	}
	return t
}

// Coverage is the share of the known items that was among the first K of a list.
func (f *Figures) Coverage() float64 {
	return float64(len(f.shown)) / float64(max(len(f.crowd.counts), 1))
}

// Evenness is how many items, shown equally often, would be as varied as what was shown, as a share of the known ones: 2^entropy of the
// first K of all lists (Gomez-Uribe, Hunt 2015, effective catalog size). Coverage counts an item that was shown once like one of every list.
func (f *Figures) Evenness() float64 {
	counts := slices.Sorted(maps.Values(f.shown)) // sums of floats depend on their order
	all, bits := 0.0, 0.0
	for _, n := range counts {
		all += float64(n)
	}
	for _, n := range counts {
		bits -= float64(n) / all * math.Log2(float64(n)/all)
	}
	if all == 0 {
		return 0
	}
	return math.Exp2(bits) / float64(max(len(f.crowd.counts), 1))
}

const bootstraps = 200

// Spread is the standard deviation of the means over bootstraps of users.
func (f *Figures) Spread(seed uint64) Means {
	var hr, mrr, ndcg spread
	f.resample(seed, func(pick func() int) {
		var t Tally
		for range f.users {
			t.sum(f.ByUser[pick()])
		}
		m := t.means()
		hr.add(m.HR)
		mrr.add(m.MRR)
		ndcg.add(m.NDCG)
	})
	return Means{hr.sd(), mrr.sd(), ndcg.sd()}
}

func (f *Figures) resample(seed uint64, once func(pick func() int)) {
	if len(f.users) == 0 {
		return
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for range bootstraps {
		once(func() int { return f.users[r.IntN(len(f.users))] })
	}
}

// Paired is how much better f is than other on the same targets, and the standard deviation of that over bootstraps of users.
func (f *Figures) Paired(other *Figures, seed uint64) (diff, sd Means) {
	a, b := f.Sum().means(), other.Sum().means()
	var hr, mrr, ndcg spread
	f.resample(seed, func(pick func() int) {
		var x, y Tally
		for range f.users {
			u := pick()
			x.sum(f.ByUser[u])
			if t := other.ByUser[u]; t != nil {
				y.sum(t)
			}
		}
		p, q := x.means(), y.means()
		hr.add(p.HR - q.HR)
		mrr.add(p.MRR - q.MRR)
		ndcg.add(p.NDCG - q.NDCG)
	})
	return Means{a.HR - b.HR, a.MRR - b.MRR, a.NDCG - b.NDCG}, Means{hr.sd(), mrr.sd(), ndcg.sd()}
}

// crowd knows who met what: popularity, and how alike items are by their users.
type crowd struct {
	counts map[models.Item]int
	users  map[models.Item][]int
	events int
	heads  map[models.Item]bool
	looked int // events when heads was made
}

const usersKept = 64 // of an item, the first: enough to tell how alike two are

func newCrowd() *crowd { return &crowd{counts: map[models.Item]int{}, users: map[models.Item][]int{}} }

func (c *crowd) add(x *Interaction) {
	c.counts[x.Item]++
	c.events++
	if u := c.users[x.Item]; len(u) < usersKept && !slices.Contains(u, x.User) {
		c.users[x.Item] = append(u, x.User)
	}
}

func (c *crowd) met(i models.Item) int { return c.counts[i] }

// head says whether an item is one of the most popular that make up half of all events so far. That is looked at anew with every quarter more.
func (c *crowd) head(i models.Item) bool {
	if c.heads == nil || c.events > c.looked+c.looked/4 {
		c.looked, c.heads = c.events, map[models.Item]bool{}
		all := make([]models.Item, 0, len(c.counts))
		for i := range c.counts {
			all = append(all, i)
		}
		slices.SortFunc(all, func(a, b models.Item) int {
			if d := c.counts[b] - c.counts[a]; d != 0 {
				return d
			}
			return int(a) - int(b)
		})
		for sum, k := 0, 0; k < len(all) && 2*sum < c.events; k++ {
			c.heads[all[k]] = true
			sum += c.counts[all[k]]
		}
	}
	return c.heads[i]
}

// surprise is the self-information of an item in bits: -log2 of its share of all events.
func (c *crowd) surprise(i models.Item) float64 {
	return -math.Log2((float64(c.counts[i]) + 1) / float64(c.events+1))
}

// alike is the cosine of two items' sets of users.
func (c *crowd) alike(a, b models.Item) float64 {
	x, y := c.users[a], c.users[b]
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	both := 0
	for _, u := range x {
		if slices.Contains(y, u) {
			both++
		}
	}
	return float64(both) / math.Sqrt(float64(len(x)*len(y)))
}

// spread is a running mean and standard deviation.
type spread struct{ n, mean, m2 float64 }

func (s *spread) add(x float64) {
	s.n++
	d := x - s.mean
	s.mean += d / s.n
	s.m2 += d * (x - s.mean)
}

func (s *spread) sd() float64 {
	if s.n < 2 {
		return 0
	}
	return math.Sqrt(s.m2 / (s.n - 1))
}
