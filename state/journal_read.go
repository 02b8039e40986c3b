package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sort"
)

// segmentOf returns the segment that holds an epoch.
func (j *Journal) segmentOf(epoch uint64) (*segment, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first, last := j.segments[0].head.First, j.last.Load()
	if epoch < first || epoch > last {
		return nil, fmt.Errorf("state: journal: epoch %d: %w: it holds %d to %d", epoch, ErrNoEntry, first, last)
	}
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].head.First > epoch })
	return j.segments[i-1], nil
}

// Entry returns payload and hash of one epoch.
func (j *Journal) Entry(epoch uint64) (payload []byte, hash uint64, err error) {
	err = j.Read(epoch, func(_, h uint64, p []byte) error {
		payload, hash = slices.Clone(p), h
		return ErrStop
	})
	return payload, hash, err
}

// Read calls fn with every entry from an epoch on, up to the last one appended when it was called. The payload is only
// valid during the call. An error of fn ends it and is returned, ErrStop ends it without error. To read from behind
// the last entry reads nothing.
func (j *Journal) Read(from uint64, fn func(epoch, hash uint64, payload []byte) error) error {
	segments, upTo, err := j.from(from, false)
	if err != nil {
		return err
	}
	defer closeAll(segments)
	for i, s := range segments {
		end := s.end
		epoch, _, bad, err := s.walk(s.f, end, func(_ int64, e *entry) error {
			if e.epoch < from {
				return nil
			}
			return fn(e.epoch, e.hash, e.payload)
		})
		if errors.Is(err, ErrStop) {
			return nil
		}
		if err != nil {
			return err
		}
		if bad != nil {
			return s.corrupt(bad)
		}
		want := upTo
		if i+1 < len(segments) {
			want = segments[i+1].head.First - 1
		}
		if epoch != want {
			return s.corrupt(&badEntry{offset: end, epoch: epoch + 1, cause: errShort})
		}
	}
	return nil
}

// openedSegment is a segment being read: it stays readable when it is trimmed meanwhile.
type openedSegment struct {
	segment
	f *os.File
}

// from opens the segments that hold the entries from an epoch on, and says which entry is the last. Unless they are
// wanted whole, the first one begins with the entry itself where that is known.
func (j *Journal) from(epoch uint64, whole bool) (opened []openedSegment, upTo uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first, upTo := j.segments[0].head.First, j.last.Load()
	if epoch == upTo+1 && !whole {
		return nil, upTo, nil
	}
	if epoch < first || epoch > upTo && !whole {
		return nil, 0, fmt.Errorf("state: journal: epoch %d: %w: it holds %d to %d", epoch, ErrNoEntry, first, upTo)
	}
	defer func() {
		if err != nil {
			closeAll(opened)
		}
	}()
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].head.First > epoch })
	for n, s := range j.segments[i-1:] {
		f, err := os.Open(s.path)
		if err != nil {
			return opened, 0, fmt.Errorf("state: journal: read: %w", err)
		}
		o := openedSegment{segment: *s, f: f}
		opened = append(opened, o)
		if i+n < len(j.segments) { // not the last one, whose end is known
			fi, err := f.Stat()
			if err != nil {
				return opened, 0, fmt.Errorf("state: journal: read: %w", err)
			}
			opened[n].end = fi.Size()
		} else if k := int(epoch - s.head.First); n == 0 && !whole && k < len(j.offsets) {
			if err := opened[n].skipTo(j.offsets, k); err != nil {
				return opened, 0, err
			}
		}
	}
	return opened, upTo, nil
}

// skipTo makes the walk over the segment begin at its k-th entry.
func (o *openedSegment) skipTo(offsets []int64, k int) error {
	if k == 0 {
		return nil
	}
	var head [entryHeader]byte
	if _, err := o.f.ReadAt(head[:], offsets[k-1]); err != nil {
		return fmt.Errorf("state: journal: read %s at %d: %w", o.path, offsets[k-1], err)
	}
	o.head.First += uint64(k)
	o.head.Prev = binary.LittleEndian.Uint64(head[16:])
	o.start = offsets[k]
	return nil
}

func closeAll(opened []openedSegment) {
	for _, o := range opened {
		o.f.Close()
	}
}

// Trim removes the segments whose entries all lie before an epoch, and says how many they were.
func (j *Journal) Trim(before uint64) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.usable(); err != nil {
		return 0, err
	}
	n := 0
	for len(j.segments) > 1 && j.segments[1].head.First <= before {
		if err := os.Remove(j.segments[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, fmt.Errorf("state: journal: trim: %w", err)
		}
		j.segments = j.segments[1:]
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, syncDir(j.dir)
}
