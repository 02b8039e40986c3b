package models_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"nudge/models"
)

// shared opens a file of the shared data sets, or skips the test.
func shared(t testing.TB, name string) io.Reader {
	t.Helper()
	root := os.Getenv("NUDGE_DATA")
	if root == "" {
		root = "../../shared/data"
	}
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Skipf("the shared data sets are not here (set NUDGE_DATA to their folder): %v", err)
	}
	t.Cleanup(func() { f.Close() })
	if !strings.HasSuffix(name, ".gz") {
		return f
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

type click struct {
	session, item string
	time          float64
	row           int
}

func clicks(t testing.TB, name string) []click {
	var out []click
	in := bufio.NewScanner(shared(t, name))
	in.Scan() // header
	for in.Scan() {
		f := strings.Split(in.Text(), "\t")
		at, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, click{f[0], f[1], at, len(out)})
	}
	return out
}

// sessions groups clicks, each session by (time, row), sessions by their last time.
func sessions(cs []click) [][]click {
	index := map[string]int{}
	var out [][]click
	for _, c := range cs {
		i, ok := index[c.session]
		if !ok {
			i = len(out)
			index[c.session] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	for _, s := range out {
		sort.Slice(s, func(i, j int) bool {
			return s[i].time < s[j].time || s[i].time == s[j].time && s[i].row < s[j].row
		})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i][len(out[i])-1].time < out[j][len(out[j])-1].time })
	return out
}

// numbering gives items numbers in the order in which they are met.
type numbering map[string]models.Item

func (n numbering) of(id string) models.Item {
	i, ok := n[id]
	if !ok {
		i = models.MakeItem(uint32(len(n)), 0)
		n[id] = i
	}
	return i
}

// recent returns the last n distinct items of a sequence, the latest first, as a customer's history holds them.
func recent(dst []models.Item, seq []models.Item, n int) []models.Item {
	dst = dst[:0]
next:
	for k := len(seq) - 1; k >= 0 && len(dst) < n; k-- {
		for _, d := range dst {
			if d == seq[k] {
				continue next
			}
		}
		dst = append(dst, seq[k])
	}
	return dst
}

// rank counts the items that score at least as much as the target; misses rank last.
func rank(s *models.Scratch, items int, target models.Item, keep func(models.Item) bool) int {
	top := s.Top(items, keep)
	for k := range top {
		if top[k].Item == target {
			for k+1 < len(top) && top[k+1].Score == top[k].Score {
				k++
			}
			return k + 1
		}
	}
	return math.MaxInt32
}

func TestSessionsEval(t *testing.T) {
	if testing.Short() {
		t.Skip("an evaluation on rsc15_sample")
	}
	train := sessions(clicks(t, "rsc15_sample/yoochoose-clicks-100k_train_full.txt.gz"))
	test := sessions(clicks(t, "rsc15_sample/yoochoose-clicks-100k_test.txt.gz"))
	num := numbering{}
	opt := models.DefaultCoOccurrence(14 * 24 * 3600 * 1000)
	const learnWindow, scoreWindow = 3, 6
	co := models.NewCoOccurrence(opt)
	var before []models.Item
	var seq []models.Item
	for _, s := range train {
		seq = seq[:0]
		for _, c := range s {
			i := num.of(c.item)
			before = recent(before, seq, learnWindow+1)
			co.Learn(i, without(before, i, learnWindow), int64(c.time*1000), 1)
			seq = append(seq, i)
		}
	}
	items := len(num)
	scratch := models.NewScratch()
	var b, c score
	for _, s := range test {
		seq = seq[:0]
		inSession := map[models.Item]bool{}
		for k, click := range s {
			target, known := num[click.item]
			if k > 0 && known {
				last := seq[len(seq)-1]
				before = recent(before, seq, scoreWindow)
				scratch.Reset()
				co.Score(scratch, before, int64(s[k-1].time*1000))
				if target != last {
					b.add(rank(scratch, items, target, func(i models.Item) bool { return i != last }), 20)
				} else {
					b.add(math.MaxInt32, 20)
				}
				if !inSession[target] {
					c.add(rank(scratch, items, target, func(i models.Item) bool { return !inSession[i] }), 20)
				}
			}
			if known {
				seq = append(seq, target)
				inSession[target] = true
			}
		}
	}
	t.Logf("rsc15_sample: %d items; B: HR@20 %.4f MRR@20 %.4f (%d targets); C: %.4f %.4f (%d)", items, b.hr(), b.mrr(), b.n, c.hr(), c.mrr(), c.n)
	if b.hr() < 0.40 || b.mrr() < 0.16 {
		t.Errorf("HR@20 %.4f MRR@20 %.4f: below what doc.go claims", b.hr(), b.mrr())
	}
}

func without(items []models.Item, i models.Item, n int) []models.Item {
	k := 0
	for _, x := range items {
		if x != i && k < n {
			items[k] = x
			k++
		}
	}
	return items[:k]
}

type score struct {
	n         int
	hits      int
	mrrs, dcg float64
}

func (s *score) add(rank, n int) {
	s.n++
	if rank <= n {
		s.hits++
		s.mrrs += 1 / float64(rank)
		s.dcg += 1 / math.Log2(float64(rank)+1)
	}
}
func (s *score) hr() float64   { return float64(s.hits) / float64(s.n) }
func (s *score) mrr() float64  { return s.mrrs / float64(s.n) }
func (s *score) ndcg() float64 { return s.dcg / float64(s.n) }

func TestHistoriesEval(t *testing.T) {
	if testing.Short() {
		t.Skip("an evaluation on beauty_bert4rec")
	}
	in := bufio.NewScanner(shared(t, "beauty_bert4rec/beauty.txt.gz"))
	num := numbering{}
	var users [][]models.Item
	last := ""
	for in.Scan() {
		user, item, _ := strings.Cut(in.Text(), " ")
		if user != last {
			users = append(users, nil)
			last = user
		}
		users[len(users)-1] = append(users[len(users)-1], num.of(item))
	}
	const learnWindow, scoreWindow = 3, 6
	co := models.NewCoOccurrence(models.DefaultCoOccurrence(14 * 24 * 3600 * 1000))
	var before []models.Item
	learn := func(u []models.Item, from, to int) {
		for k := from; k < to; k++ {
			before = recent(before, u[:k], learnWindow+1)
			co.Learn(u[k], without(before, u[k], learnWindow), 0, 1)
		}
	}
	for _, u := range users {
		learn(u, 0, len(u)-2)
	}
	evaluate := func() (s score) {
		scratch := models.NewScratch()
		for _, u := range users {
			history := u[:len(u)-1]
			seen := map[models.Item]bool{}
			for _, i := range history {
				seen[i] = true
			}
			before = recent(before, history, scoreWindow)
			scratch.Reset()
			co.Score(scratch, before, 0)
			s.add(rank(scratch, 200, u[len(u)-1], func(i models.Item) bool { return !seen[i] }), 10)
		}
		return s
	}
	frozen := evaluate()
	for _, u := range users {
		learn(u, len(u)-2, len(u)-1)
	}
	streamed := evaluate()
	t.Logf("beauty: %d users, %d items; HR@10 %.4f NDCG@10 %.4f; with the validation item learned %.4f %.4f",
		len(users), len(num), frozen.hr(), frozen.ndcg(), streamed.hr(), streamed.ndcg())
	if frozen.hr() < 0.05 || streamed.hr() < 0.055 {
		t.Errorf("HR@10 %.4f and %.4f: below what doc.go claims", frozen.hr(), streamed.hr())
	}
}
