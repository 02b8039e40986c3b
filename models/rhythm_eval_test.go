package models_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"nudge/models"
)

// auc is the probability that a case of label true scores above one of label false, ties counting half.
func auc(scores []float64, labels []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return scores[order[a]] < scores[order[b]] })
	var rankSum float64
	pos := 0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && scores[order[j]] == scores[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			if labels[k] {
				rankSum += float64(i+j+1) / 2
				pos++
			}
		}
		i = j
	}
	neg := len(scores) - pos
	return (rankSum - float64(pos)*float64(pos+1)/2) / (float64(pos) * float64(neg))
}

// purchases of one customer, ascending.
type purchases []int64

// judge learns all gaps that ended before the snapshot, and returns what is known of each customer then and whether
// nothing follows within the horizon.
func judge(all []purchases, snapshotMS, horizonMS int64) (r *models.Rhythm, known []models.Purchases, silent []bool) {
	r = &models.Rhythm{}
	for _, ps := range all {
		var p models.Purchases
		later := false
		for _, at := range ps {
			if at >= snapshotMS {
				later = later || at < snapshotMS+horizonMS
				continue
			}
			if p.Count > 0 && at-p.LastMS < models.SameOccasionMS {
				continue
			}
			if p.Count > 0 {
				r.Learn(at - p.LastMS)
			} else {
				p.FirstMS = at
			}
			p.Count++
			p.LastMS = at
		}
		if p.Count > 0 {
			known = append(known, p)
			silent = append(silent, !later)
		}
	}
	return r, known, silent
}

func report(t *testing.T, name string, all []purchases, snapshot time.Time, horizon time.Duration) (left, silent float64) {
	r, known, labels := judge(all, snapshot.UnixMilli(), horizon.Milliseconds())
	l, s, recency := make([]float64, len(known)), make([]float64, len(known)), make([]float64, len(known))
	var brier, mean, base float64
	for i, p := range known {
		l[i] = r.Left(p, snapshot.UnixMilli())
		s[i] = r.Silent(p, snapshot.UnixMilli(), horizon.Milliseconds())
		recency[i] = float64(-p.LastMS)
		y := 0.0
		if labels[i] {
			y = 1
		}
		base += y
		mean += s[i]
		brier += (s[i] - y) * (s[i] - y)
	}
	n := float64(len(known))
	left, silent = auc(l, labels), auc(s, labels)
	t.Logf("%s: %d customers, %d gaps, usual gap %.1f d; AUC by P(left) %.4f, by P(silent for %v) %.4f, by recency %.4f; mean P(silent) %.3f, share silent %.3f, Brier %.4f",
		name, len(known), r.Gaps(), r.UsualGapDays(), left, horizon, silent, auc(recency, labels), mean/n, base/n, brier/n)
	return left, silent
}

func TestRhythmOnCDNOW(t *testing.T) {
	in := bufio.NewScanner(shared(t, "cdnow/CDNOW_sample.txt"))
	index := map[string]int{}
	var all []purchases
	for in.Scan() {
		f := strings.Fields(in.Text())
		at, err := time.Parse("20060102", f[2])
		if err != nil {
			t.Fatal(err)
		}
		i, ok := index[f[1]]
		if !ok {
			i = len(all)
			index[f[1]] = i
			all = append(all, nil)
		}
		if n := len(all[i]); n == 0 || all[i][n-1] != at.UnixMilli() {
			all[i] = append(all[i], at.UnixMilli())
		}
	}
	left, silent := report(t, "cdnow", all, time.Date(1997, 10, 1, 0, 0, 0, 0, time.UTC), 39*7*24*time.Hour)
	if left < 0.73 || silent < 0.75 {
		t.Errorf("AUC %.4f and %.4f: below what doc.go claims", left, silent)
	}
}

func TestRhythmOnOnlineRetail(t *testing.T) {
	if testing.Short() {
		t.Skip("an evaluation on online_retail")
	}
	in := csv.NewReader(shared(t, "online_retail/online_retail.csv.gz"))
	in.ReuseRecord = true
	in.Read()
	type invoice struct{ customer, number string }
	first := map[invoice]int64{}
	for {
		f, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		quantity, _ := strconv.ParseFloat(f[3], 64)
		price, _ := strconv.ParseFloat(f[5], 64)
		if f[6] == "" || strings.HasPrefix(f[0], "C") || quantity <= 0 || price <= 0 {
			continue
		}
		at, err := time.Parse("2006-01-02 15:04:05", f[4])
		if err != nil {
			t.Fatal(err)
		}
		k := invoice{strings.Clone(f[6]), strings.Clone(f[0])}
		if old, ok := first[k]; !ok || at.UnixMilli() < old {
			first[k] = at.UnixMilli()
		}
	}
	byCustomer := map[string]purchases{}
	for k, at := range first {
		byCustomer[k.customer] = append(byCustomer[k.customer], at)
	}
	var all []purchases
	for _, ps := range byCustomer {
		sort.Slice(ps, func(i, j int) bool { return ps[i] < ps[j] })
		all = append(all, ps)
	}
	left, silent := report(t, "online_retail", all, time.Date(2011, 9, 1, 0, 0, 0, 0, time.UTC), 90*24*time.Hour)
	if left < 0.72 || silent < 0.73 {
		t.Errorf("AUC %.4f and %.4f: below what doc.go claims", left, silent)
	}
}

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
