package main

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"

	"nudge/streams"
)

// timed is a line at its time.
type timed struct {
	atMS int64
	line []byte
}

// sortEvents sorts runs that fit into memory, and merges them. Of equal times the earlier line comes first.
func (c *cli) sortEvents(f *eventsFlags, in []string) (err error) {
	var runs []*sortedRun
	defer func() {
		for _, r := range runs {
			err = errors.Join(err, r.remove())
		}
	}()
	var held []timed
	bytesHeld := int64(0)
	spill := func() error {
		slices.SortStableFunc(held, func(a, b timed) int { return compareTimes(a.atMS, b.atMS) })
		r, err := spillRun(held)
		if err != nil {
			return err
		}
		runs, held, bytesHeld = append(runs, r), held[:0], 0
		if len(runs) < mostRuns {
			return nil
		}
		one, err := newRun()
		if err != nil {
			return err
		}
		if err = mergeRuns(runs, one.write); err == nil {
			err = one.rewind()
		}
		for _, r := range runs {
			err = errors.Join(err, r.remove())
		}
		runs = []*sortedRun{one}
		return err
	}
	err = eachEvent(f, in, func(at string, line []byte, _ *streams.Decoder, e *streams.Event, fault *streams.Fault) error {
		if fault != nil {
			return invalidf("%s: %v: ask nudge events check which lines are refused", at, fault)
		}
		held = append(held, timed{e.TimeMS, bytes.Clone(line)})
		if bytesHeld += int64(len(line)) + 48; bytesHeld > int64(f.memory) {
			return spill()
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(held, func(a, b timed) int { return compareTimes(a.atMS, b.atMS) })
	write, finish, err := c.lineSink(f.out)
	if err != nil {
		return err
	}
	runs = append(runs, &sortedRun{held: held}) // the latest, in memory
	return finish(mergeRuns(runs, func(x timed) error { return write(x.line) }))
}

func compareTimes(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// sortedRun is a sorted part: in a temporary file, or in memory.
type sortedRun struct {
	file   *os.File
	out    *bufio.Writer
	in     *bufio.Reader
	held   []timed
	number int
	next   timed
}

// mostRuns is how many temporary files are open at once: so many are merged into one.
const mostRuns = 64

func spillRun(lines []timed) (*sortedRun, error) {
	r, err := newRun()
	if err != nil {
		return nil, err
	}
	for i := range lines {
		if err := r.write(lines[i]); err != nil {
			return nil, errors.Join(err, r.remove())
		}
	}
	if err := r.rewind(); err != nil {
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}

func newRun() (*sortedRun, error) {
	file, err := os.CreateTemp("", "nudge-sort-")
	if err != nil {
		return nil, err
	}
	return &sortedRun{file: file, out: bufio.NewWriterSize(file, 1<<20)}, nil
}

// write appends a line: its time, its length, itself.
func (r *sortedRun) write(x timed) error {
	var head [12]byte
	binary.LittleEndian.PutUint64(head[:], uint64(x.atMS))
	binary.LittleEndian.PutUint32(head[8:], uint32(len(x.line)))
	if _, err := r.out.Write(head[:]); err != nil {
		return err
	}
	_, err := r.out.Write(x.line)
	return err
}

// rewind ends writing; the run is read from its beginning.
func (r *sortedRun) rewind() error {
	if err := r.out.Flush(); err != nil {
		return err
	}
	r.out = nil
	r.in = bufio.NewReaderSize(r.file, 256<<10)
	_, err := r.file.Seek(0, io.SeekStart)
	return err
}

func (r *sortedRun) remove() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.file.Close(), os.Remove(r.file.Name()))
}

// advance reads the next line; false at the end.
func (r *sortedRun) advance() (bool, error) {
	if r.file == nil {
		if len(r.held) == 0 {
			return false, nil
		}
		r.next, r.held = r.held[0], r.held[1:]
		return true, nil
	}
	var head [12]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if err == io.EOF {
			err = nil
		}
		return false, err
	}
	r.next = timed{int64(binary.LittleEndian.Uint64(head[:])), make([]byte, binary.LittleEndian.Uint32(head[8:]))}
	_, err := io.ReadFull(r.in, r.next.line)
	return err == nil, err
}

// runHeap gives the run whose next line is the earliest; of equal times the earlier run.
type runHeap []*sortedRun

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(i, j int) bool {
	if a, b := h[i].next.atMS, h[j].next.atMS; a != b {
		return a < b
	}
	return h[i].number < h[j].number
}
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(*sortedRun)) }
func (h *runHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func mergeRuns(runs []*sortedRun, write func(x timed) error) error {
	var h runHeap
	for i, r := range runs {
		r.number = i
		there, err := r.advance()
		if err != nil {
			return err
		}
		if there {
			h = append(h, r)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := write(h[0].next); err != nil {
			return err
		}
		there, err := h[0].advance()
		if err != nil {
			return err
		}
		if there {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}
