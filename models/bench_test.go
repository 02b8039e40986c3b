package models_test

import (
	"math/rand"
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

func BenchmarkCoOccurrence(b *testing.B) {
	is, before := traffic(1<<18, 20_000)
	m := models.NewCoOccurrence(models.DefaultCoOccurrence(14 * 24 * 3600 * 1000))
	for k := range is {
		m.Learn(is[k], before[k], int64(k), 1)
	}
	b.Run("learn/10 pairs", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			k := n & (1<<18 - 1)
			m.Learn(is[k], before[k], int64(n), 1)
		}
	})
	b.Run("score/6 items", func(b *testing.B) {
		s := models.NewScratch()
		history := make([]models.Item, 6)
		for n := 0; b.Loop(); n++ {
			k := n & (1<<18 - 1)
			history[0] = is[k]
			copy(history[1:], before[k])
			s.Reset()
			m.Score(s, history, 1<<18)
			s.Top(8, func(i models.Item) bool { return i != history[0] })
		}
	})
}

func BenchmarkTrending(b *testing.B) {
	is, _ := traffic(1<<18, 20_000)
	m := models.NewTrending(24*3600*1000, 256)
	for n := 0; b.Loop(); n++ {
		m.Learn(is[n&(1<<18-1)], int64(n), 1)
	}
}

func BenchmarkRhythm(b *testing.B) {
	m := &models.Rhythm{}
	m.Learn(20 * 24 * 3600 * 1000)
	p := models.Purchases{Count: 4, FirstMS: 1, LastMS: 1e10}
	for b.Loop() {
		m.Left(p, 2e10)
	}
}
