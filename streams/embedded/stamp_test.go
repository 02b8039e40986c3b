package embedded

import (
	"bytes"
	"testing"
)

// FuzzRestamp: what is not a sound batch comes back as it was.
func FuzzRestamp(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add(make([]byte, batchHeaderBytes), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		before := bytes.Clone(b)
		if got := restamp(b, now); len(b) < batchHeaderBytes && !bytes.Equal(got, before) {
			t.Fatalf("got %x, want %x", got, before)
		}
	})
}

func FuzzZeroTimes(f *testing.F) {
	f.Add([]byte{14, 0, 2, 0, 1, 1, 0, 0}, 1)
	f.Fuzz(func(t *testing.T, records []byte, count int) {
		fresh, changed, ok := zeroTimes(records, count)
		if !ok {
			return
		}
		if _, again, ok := zeroTimes(fresh, count); !ok || again {
			t.Fatalf("changed %v, then changed %v, sound %v", changed, again, ok)
		}
	})
}
