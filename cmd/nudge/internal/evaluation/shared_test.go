package evaluation

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// shared reads files of the shared data sets, or skips the test.
func shared(t *testing.T, c Columns, names ...string) *Reader {
	t.Helper()
	if testing.Short() {
		t.Skip("an evaluation on whole data sets")
	}
	root := os.Getenv("NUDGE_DATA")
	if root == "" {
		root = "../../../../../shared/data"
	}
	r := NewReader(c)
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Skipf("the shared data sets are not here (set NUDGE_DATA to their folder): %v", err)
		}
		if err := r.Read(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// seeds runs a protocol under three hashes of the item ids. HR and NDCG move by less than .001 but for ties: ids mean nothing.
func seeds(t *testing.T, r *Reader, models []string, least map[string]float64, once func(m Recommender) Tally) {
	for _, name := range models {
		var first Means
		for seed := range uint64(3) {
			r.Order(seed)
			m, _ := Make(name)
			got := once(m).means()
			t.Logf("%s, seed %d: hr %.4f, mrr %.4f, ndcg %.4f", name, seed, got.HR, got.MRR, got.NDCG)
			if got.HR < least[name] {
				t.Errorf("%s: hr %.4f, want %.4f", name, got.HR, least[name])
			}
			if seed == 0 {
				first = got
			}
			if math.Abs(got.HR-first.HR) > .001 || math.Abs(got.NDCG-first.NDCG) > .001 {
				t.Errorf("%s: hr %.4f, ndcg %.4f under seed 0, %.4f, %.4f under seed %d", name, first.HR, first.NDCG, got.HR, got.NDCG, seed)
			}
		}
	}
}

// On the validation part: the test part is for nudge eval.
func TestSessionsOnSharedData(t *testing.T) {
	const rsc = "rsc15_sample/yoochoose-clicks-100k_train_"
	r := shared(t, Columns{}, rsc+"tr.txt.gz", rsc+"valid.txt.gz")
	seeds(t, r, []string{"co-occurrence", "neighbours", "blend-without-sequence"}, map[string]float64{"co-occurrence": .43, "neighbours": .61, "blend-without-sequence": .65}, func(m Recommender) Tally {
		train, test := r.Logs(1)
		f, err := Sessions(context.Background(), m, train, test, r.Users(), Protocol{K: 20})
		if err != nil {
			t.Fatal(err)
		}
		return f[ReadingA].Sum()
	})
}

// Without each customer's last item, which is for nudge eval.
func TestLeaveOneOutOnSharedData(t *testing.T) {
	r := shared(t, Columns{}, "beauty_bert4rec/beauty.txt.gz")
	seeds(t, r, []string{"co-occurrence", "neighbours"}, map[string]float64{"co-occurrence": .058, "neighbours": .061}, func(m Recommender) Tally {
		log, _ := r.Logs(1)
		last := map[int]int{}
		for i, x := range log {
			last[x.User] = i
		}
		var cut []Interaction
		for i, x := range log {
			if last[x.User] != i {
				cut = append(cut, x)
			}
		}
		f, err := LeaveOneOut(context.Background(), m, cut, r.Users(), Protocol{K: 10})
		if err != nil {
			t.Fatal(err)
		}
		return f.Sum()
	})
}

func TestPrequentialOnSharedData(t *testing.T) {
	r := shared(t, Columns{}, "ml100k/ml-100k.inter.gz")
	seeds(t, r, []string{"co-occurrence"}, map[string]float64{"co-occurrence": .22}, func(m Recommender) Tally {
		log, _ := r.Logs(1)
		p, err := TestThenLearn(context.Background(), m, log, r.Users(), Protocol{K: 20})
		if err != nil {
			t.Fatal(err)
		}
		return p.Second.Sum()
	})
}
