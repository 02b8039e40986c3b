package simulate

import (
	"testing"
)

func BenchmarkNext(b *testing.B) {
	shop := Default()
	shop.Shoppers, shop.Items = 100_000, 20_000
	w, err := New(shop)
	if err != nil {
		b.Fatal(err)
	}
	for range 100_000 {
		w.Next()
	}
	b.ReportAllocs()
	b.ResetTimer()
	var n int64
	for b.Loop() {
		n += int64(len(w.Next().Value))
	}
	b.SetBytes(n / int64(b.N))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
