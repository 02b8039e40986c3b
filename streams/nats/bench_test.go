package nats

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nudge/streams"
)

// BenchmarkPublish publishes decisions of 500 bytes to 100,000 customers in batches of an epoch's size, and reports the
// CPU time of this process (-benchtime=100000x): the client's alone, or that of both ends where the server is embedded.
func BenchmarkPublish(b *testing.B) {
	b.Run("client", func(b *testing.B) { benchmarkPublish(b, process(b, b.TempDir(), 0).url) })
	b.Run("embedded", func(b *testing.B) { benchmarkPublish(b, start(b, b.TempDir(), 0).URL()) })
}

func benchmarkPublish(b *testing.B, url string) {
	s := open(b, connect(b, Config{URL: url}))
	p := publisher(b, s, 0)
	ctx := b.Context()
	const customers = 100_000
	data := []byte(strings.Repeat("x", 500))
	msgs := make([]streams.Message, b.N)
	for i := range msgs {
		msgs[i] = streams.Message{
			Subject: fmt.Sprintf("%sdecisions.recommendation.home.u-%d", s.prefix, i*7919%customers),
			ID:      fmt.Sprintf("shop.clickstream-3-%d.home.0", i),
			Data:    data,
			TTL:     time.Hour,
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for batch := range slices.Chunk(msgs, 250) {
		if err := p.Send(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Wait(ctx, uint64(b.N)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkRead reads 100,000 decisions back, as recovery does.
func BenchmarkRead(b *testing.B) {
	s := open(b, connect(b, Config{URL: process(b, b.TempDir(), 0).url}))
	p := publisher(b, s, 0)
	const stored = 100_000
	for first := 0; first < stored; first += 1000 {
		if err := p.Send(b.Context(), decisions(s, first, 1000)); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Wait(b.Context(), stored); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		n := 0
		if err := s.Read(b.Context(), 0, func(uint64, string, string, []byte) error { n++; return nil }); err != nil || n != stored {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N*stored)/b.Elapsed().Seconds(), "msgs/s")
}

// cpu is the CPU time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
