package state

import (
	"fmt"
	"os"
)

// TrimTo removes the oldest segments that lie wholly before an epoch while the journal is larger than keep bytes, and
// says how many they were.
func (j *Journal) TrimTo(before uint64, keep int64) (int, error) {
	j.mu.Lock()
	var size int64
	var sizes []int64
	var first []uint64
	for _, s := range j.segments {
		fi, err := os.Stat(s.path)
		if err != nil {
			j.mu.Unlock()
			return 0, fmt.Errorf("state: journal: size of a segment: %w", err)
		}
		size += fi.Size()
		sizes = append(sizes, fi.Size())
		first = append(first, s.head.First)
	}
	j.mu.Unlock()
	upTo := uint64(0)
	for i := 0; i+1 < len(sizes) && size > keep && first[i+1] <= before; i++ {
		size -= sizes[i]
		upTo = first[i+1]
	}
	if upTo == 0 {
		return 0, nil
	}
	return j.Trim(upTo)
}
