package models_test

import (
	"math/rand"
	"syscall"
	"testing"

	"nudge/models"
)

// traffic is clicks on 20,000 items by Zipf's law, five items before each.
func traffic(n, items int) (is []models.Item, before [][]models.Item) {
	r := rand.New(rand.NewSource(1))
	z := rand.NewZipf(r, 1.1, 10, uint64(items-1))
	for range n {
		is = append(is, models.MakeItem(uint32(z.Uint64()), 0))
		b := make([]models.Item, 5)
		for k := range b {
			b[k] = models.MakeItem(uint32(z.Uint64()), 0)
		}
		before = append(before, b)
	}
	return is, before
}

// timed reports the processor's time beside the clock's: benchmarks are run on machines that have other things to do.
func timed(b *testing.B, loop func(n int)) {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	n := 0
	for ; b.Loop(); n++ {
		loop(n)
	}
	b.ReportMetric(float64(used()-before)/float64(n), "cpu-ns/op")
}

func BenchmarkCoOccurrence(b *testing.B) {
	is, before := traffic(1<<18, 20_000)
	m := models.NewCoOccurrence(models.DefaultCoOccurrence(14 * 24 * 3600 * 1000))
	for k := range is {
		m.Learn(is[k], before[k], int64(k), 1)
	}
	b.Run("learn/10 pairs", func(b *testing.B) {
		timed(b, func(n int) {
			k := n & (1<<18 - 1)
			m.Learn(is[k], before[k], int64(n), 1)
		})
	})
	b.Run("score/6 items", func(b *testing.B) {
		s := models.NewScratch()
		history := make([]models.Item, 6)
		timed(b, func(n int) {
			k := n & (1<<18 - 1)
			history[0] = is[k]
			copy(history[1:], before[k])
			s.Reset()
			m.Score(s, history, 1<<18)
			s.Top(8, func(i models.Item) bool { return i != history[0] })
		})
	})
}

func BenchmarkTrending(b *testing.B) {
	is, _ := traffic(1<<18, 20_000)
	m := models.NewTrending(24*3600*1000, 256)
	timed(b, func(n int) { m.Learn(is[n&(1<<18-1)], int64(n), 1) })
}

func BenchmarkRhythm(b *testing.B) {
	m := &models.Rhythm{}
	m.Learn(20 * 24 * 3600 * 1000)
	p := models.Purchases{Count: 4, FirstMS: 1, LastMS: 1e10}
	timed(b, func(int) { m.Left(p, 2e10) })
}
