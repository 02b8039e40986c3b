package engine

import (
	"container/heap"
	"encoding/binary"
	"math"
	"strings"
)

// due is one timer in a shard's order: time, key, name.
type due struct {
	atMS int64
	key  string // the customer's
	name string
}

func (a due) before(b due) bool {
	if a.atMS != b.atMS {
		return a.atMS < b.atMS
	}
	if c := strings.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	return a.name < b.name
}

type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(due)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	return d
}

// nearMS is how far ahead of the watermark timers are kept in memory; later ones wait in the store.
const nearMS = int64(60 * 60 * 1000)

// timers is a shard's index of timers by time. What a customer's timers are is in the customer; the index may still hold
// one that was moved or disarmed, so whoever pops looks there first.
//
// Those due up to horizon are in near. Later ones are rows of the store; changes that no complete checkpoint holds yet
// are in ops (true: put, false: delete), and in flight while a checkpoint is being written.
type timers struct {
	near      dueHeap
	horizonMS int64
	ops       map[string]bool
	inFlight  map[string]bool
	pending   []string // keys of inFlight that have still to be handed to the checkpoint
	// scan reads the index rows with from <= time <= to out of the store.
	scan func(fromMS, toMS int64, f func(row []byte)) error
}

func newTimers(scan func(fromMS, toMS int64, f func(row []byte)) error) timers {
	return timers{horizonMS: math.MinInt64, ops: map[string]bool{}, scan: scan}
}

// appendDue writes the index row of d: time (sortable), key length, key, name.
func appendDue(b []byte, d due) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(d.atMS)^1<<63)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.key)))
	b = append(b, d.key...)
	return append(b, d.name...)
}

func parseDue(b []byte) due {
	at := int64(binary.BigEndian.Uint64(b) ^ 1<<63)
	n := 10 + int(binary.BigEndian.Uint16(b[8:]))
	return due{atMS: at, key: string(b[10:n]), name: string(b[n:])}
}

func (t *timers) put(d due) {
	t.ops[string(appendDue(nil, d))] = true
	if d.atMS <= t.horizonMS {
		heap.Push(&t.near, d)
	}
}

func (t *timers) delete(d due) { t.ops[string(appendDue(nil, d))] = false }

// next is the time of the first timer that is due at the watermark, if there is one.
func (t *timers) next(watermarkMS int64) (atMS int64, ok bool, err error) {
	if watermarkMS > t.horizonMS {
		if err := t.advance(watermarkMS + nearMS); err != nil {
			return 0, false, err
		}
	}
	if len(t.near) == 0 || t.near[0].atMS > watermarkMS {
		return 0, false, nil
	}
	return t.near[0].atMS, true, nil
}

// pop takes the timer that next found.
func (t *timers) pop() due {
	d := heap.Pop(&t.near).(due)
	for len(t.near) > 0 && t.near[0] == d {
		heap.Pop(&t.near)
	}
	return d
}

// advance moves the horizon and loads what lies before it.
func (t *timers) advance(toMS int64) error {
	fromMS := t.horizonMS
	if fromMS != math.MinInt64 {
		fromMS++
	}
	err := t.scan(fromMS, toMS, func(row []byte) {
		if _, changed := t.ops[string(row)]; changed {
			return
		}
		if _, changed := t.inFlight[string(row)]; changed {
			return
		}
		t.near = append(t.near, parseDue(row))
	})
	if err != nil {
		return err
	}
	for row, on := range t.ops {
		t.load(row, on, fromMS, toMS)
	}
	for row, on := range t.inFlight {
		if _, changed := t.ops[row]; !changed {
			t.load(row, on, fromMS, toMS)
		}
	}
	heap.Init(&t.near) // its order is total, so the order of loading does not matter
	t.horizonMS = toMS
	return nil
}

func (t *timers) load(row string, on bool, fromMS, toMS int64) {
	if !on {
		return
	}
	if d := parseDue([]byte(row)); d.atMS >= fromMS && d.atMS <= toMS {
		t.near = append(t.near, d)
	}
}

// begin starts a checkpoint of the index.
func (t *timers) begin() {
	t.inFlight, t.ops = t.ops, map[string]bool{}
	t.pending = t.pending[:0]
	for row := range t.inFlight {
		t.pending = append(t.pending, row)
	}
}

// drain hands up to n changes to write and says how many it was.
func (t *timers) drain(n int, write func(row string, on bool)) int {
	done := min(n, len(t.pending))
	for _, row := range t.pending[len(t.pending)-done:] {
		write(row, t.inFlight[row])
	}
	t.pending = t.pending[:len(t.pending)-done]
	return done
}

// complete ends a checkpoint; after one that failed its changes are still to be written.
func (t *timers) complete(ok bool) {
	if !ok {
		for row, on := range t.inFlight {
			if _, changed := t.ops[row]; !changed {
				t.ops[row] = on
			}
		}
	}
	t.inFlight, t.pending = nil, nil
}
