package state

import (
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// cpu returns the CPU time that the process has used, background work of Badger included.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.TempDir(), Options{App: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func benchKey(dst []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(AppendKey(dst[:0], 'c', uint16(i%4), "user-"), uint64(i)*0x9e3779b97f4a7c15)
}

// benchPut writes one checkpoint of the given users, half of each value noise and half the same everywhere.
func benchPut(b *testing.B, s *Store, from, n, size int) CheckpointStats {
	b.Helper()
	c, err := s.Begin()
	if err != nil {
		b.Fatal(err)
	}
	var key []byte
	val := make([]byte, size)
	r := rand.New(rand.NewPCG(1, s.next))
	for i := from; i < from+n; i++ {
		key = benchKey(key, i)
		for k := 0; k+8 <= size/2; k += 8 {
			binary.LittleEndian.PutUint64(val[k:], r.Uint64())
		}
		c.Put(key, val)
	}
	st, err := c.Complete(nil)
	if err != nil {
		b.Fatal(err)
	}
	return st
}

func BenchmarkCheckpoint(b *testing.B) {
	s := benchStore(b)
	benchPut(b, s, 0, 100_000, 700)
	start := cpu()
	for b.Loop() {
		benchPut(b, s, 0, 100_000, 700)
	}
	b.ReportMetric(float64((cpu()-start).Milliseconds())/float64(b.N), "cpu-ms/op")
	size, err := s.SizeOnDisk()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size)/1e6, "disk-MB")
}

func BenchmarkGet(b *testing.B) {
	const users = 200_000
	s := benchStore(b)
	for range 3 {
		benchPut(b, s, 0, users, 700)
	}
	for _, bench := range []struct {
		name string
		from int
		hit  bool
	}{{"hit", 0, true}, {"miss", users, false}} {
		b.Run(bench.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var key, val []byte
			start := cpu()
			for b.Loop() {
				key = benchKey(key, bench.from+r.IntN(users))
				var ok bool
				var err error
				if val, ok, err = s.GetCopy(val[:0], key); err != nil || ok != bench.hit {
					b.Fatal(ok, err)
				}
			}
			b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			if _, n, _, err := s.Hash(); err != nil || n != users {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/users, "ns/row")
	})
}

// BenchmarkCold reads customers at random of whom most were written once, long ago.
func BenchmarkCold(b *testing.B) {
	const users = 500_000
	s := benchStore(b)
	benchPut(b, s, 0, users, 400)
	benchPut(b, s, 0, users/10, 400)
	r := rand.New(rand.NewPCG(1, 2))
	var key, val []byte
	b.ResetTimer()
	start := cpu()
	for b.Loop() {
		key = benchKey(key, r.IntN(users))
		var ok bool
		var err error
		if val, ok, err = s.GetCopy(val[:0], key); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64((cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func BenchmarkJournal(b *testing.B) {
	payload := make([]byte, 4096)
	for _, sync := range []bool{false, true} {
		name := "append"
		if sync {
			name = "append+sync"
		}
		b.Run(name, func(b *testing.B) {
			j, err := OpenJournal(b.TempDir(), JournalHeader{App: "bench"}, JournalOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			for b.Loop() {
				if _, _, err := j.Append(payload); err != nil {
					b.Fatal(err)
				}
				if sync {
					if err := j.Sync(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
