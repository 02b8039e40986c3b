package latency

import (
	"math/bits"
	"sync"
	"time"
)

// Histogram counts durations in buckets that grow with them. It is safe for concurrent use. The zero value is empty.
type Histogram struct {
	mu     sync.Mutex
	counts [buckets]int64
	n      int64
	max    time.Duration
}

// Below 128 µs a bucket is 1 µs wide; above, every doubling has 64 buckets, up to 2^40 µs.
const (
	fine    = 7
	buckets = 1<<fine + (40-fine)*64
)

func bucketOf(us uint64) int {
	if us < 1<<fine {
		return int(us)
	}
	shift := bits.Len64(us) - fine // us>>shift is in [64, 128)
	return min(1<<fine+(shift-1)*64+int(us>>shift)-64, buckets-1)
}

// upper is the largest number of microseconds of a bucket.
func upper(bucket int) uint64 {
	if bucket < 1<<fine {
		return uint64(bucket)
	}
	shift := (bucket-1<<fine)/64 + 1
	return (uint64((bucket-1<<fine)%64+64)+1)<<shift - 1
}

// Add counts a duration; negative ones count as none.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[bucketOf(uint64(d.Microseconds()))]++
	h.n++
	h.max = max(h.max, d)
}

// Count is how many durations were counted.
func (h *Histogram) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// Quantile is the duration that a share q of those counted does not exceed; 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	rank := min(int64(q*float64(h.n)), h.n-1)
	for i, c := range h.counts {
		if rank < c {
			return min(time.Duration(upper(i))*time.Microsecond, h.max)
		}
		rank -= c
	}
	return 0
}

// Max is the longest duration.
func (h *Histogram) Max() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.max
}
