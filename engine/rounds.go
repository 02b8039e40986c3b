package engine

import (
	"container/heap"
	"encoding/binary"
	"slices"

	"nudge/state"
)

// visit is a customer who is to be visited when the watermark passes a time.
type visit struct {
	atMS int64
	key  string // the customer's
}

const roundMS = 1000

// round is the visits of one second. Many customers share it, so it is a list, and its rows in the store are runs of that list: a timer,
// which is a row of its own, costs ten times as much.
type round struct {
	second int64
	chunks uint32  // rows of the store, those of a checkpoint in progress too
	last   uint32  // how many of them are of the checkpoint in progress
	flight []visit // what those hold
	fresh  []visit // since
}

// rounds is a shard's index of visits by time. Which visits a customer wants is in the customer; the index may still hold one of a
// customer who was erased, merged or visited since, so whoever pops looks there first.
//
// What a complete checkpoint holds is not kept in memory: it is read when its second comes.
type rounds struct {
	bySecond map[int64]*round
	seconds  secondHeap // of all rounds but the current one
	recent   *round     // that the last visit was added to
	current  *round
	queue    []visit // of the current round, ascending; those of one time in the order in which they were added
	next     int     // of queue
	spent    []*round
	gone     []*round // the spent ones whose rows the checkpoint in progress deletes
	pending  []*round // whose flight is still to be handed to it
	// scan reads the rows of a second out of the store, in their order.
	scan func(second int64, f func(row []byte)) error
}

// secondHeap is a heap of seconds, the least on top.
type secondHeap []int64

func (h secondHeap) Len() int           { return len(h) }
func (h secondHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h secondHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *secondHeap) Push(x any)        { *h = append(*h, x.(int64)) }
func (h *secondHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	*h = (*h)[:last]
	return s
}

func newRounds(scan func(second int64, f func(row []byte)) error) rounds {
	return rounds{bySecond: map[int64]*round{}, scan: scan}
}

func secondOf(ms int64) int64 {
	s := ms / roundMS
	if ms < s*roundMS {
		s--
	}
	return s
}

// add has key visited at a time that the watermark has not passed.
func (r *rounds) add(atMS int64, key string) {
	second := secondOf(atMS)
	x := r.recent
	if x == nil || x.second != second {
		if x = r.bySecond[second]; x == nil {
			x = &round{second: second}
			r.bySecond[second] = x
			heap.Push(&r.seconds, second)
		}
		r.recent = x
	}
	v := visit{atMS, key}
	x.fresh = append(x.fresh, v)
	if x == r.current {
		at, _ := slices.BinarySearchFunc(r.queue[r.next:], atMS+1, compareVisit)
		r.queue = slices.Insert(r.queue, r.next+at, v)
	}
}

func compareVisit(v visit, atMS int64) int {
	switch {
	case v.atMS < atMS:
		return -1
	case v.atMS > atMS:
		return 1
	}
	return 0
}

// pop takes the first visit that is due at a time, if there is one.
func (r *rounds) pop(upToMS int64) (visit, bool, error) {
	for {
		if r.current != nil && len(r.seconds) > 0 && r.seconds[0] < r.current.second {
			r.suspend()
		}
		if r.current != nil {
			if r.next < len(r.queue) {
				v := r.queue[r.next]
				if v.atMS > upToMS {
					return visit{}, false, nil
				}
				r.queue[r.next].key = ""
				r.next++
				return v, true, nil
			}
			if upToMS < r.current.second*roundMS+roundMS-1 {
				return visit{}, false, nil // more may come for this second
			}
			r.end()
		}
		if len(r.seconds) == 0 || r.seconds[0]*roundMS > upToMS {
			return visit{}, false, nil
		}
		if err := r.open(r.bySecond[heap.Pop(&r.seconds).(int64)]); err != nil {
			return visit{}, false, err
		}
	}
}

// open makes a round the current one.
func (r *rounds) open(x *round) error {
	r.current, r.queue, r.next = x, r.queue[:0], 0
	if x.chunks > x.last {
		if err := r.scan(x.second, func(row []byte) { r.queue = parseVisits(r.queue, x.second, row) }); err != nil {
			return err
		}
	}
	r.queue = append(append(r.queue, x.flight...), x.fresh...)
	slices.SortStableFunc(r.queue, func(a, b visit) int { return compareVisit(a, b.atMS) })
	return nil
}

// end leaves the current round, all of whose visits were made.
func (r *rounds) end() {
	x := r.current
	delete(r.bySecond, x.second)
	if x.chunks > 0 {
		r.spent = append(r.spent, x)
	}
	x.fresh = nil
	if r.recent == x {
		r.recent = nil
	}
	r.current = nil
}

// suspend puts the current round back: one before it has come up. What of it is in the store will be read again and is then
// found to be done.
func (r *rounds) suspend() {
	r.current.fresh = append([]visit{}, r.queue[r.next:]...)
	heap.Push(&r.seconds, r.current.second)
	r.current, r.queue, r.next = nil, r.queue[:0], 0
}

// visitsInRow bounds the visits of one row of the store.
const visitsInRow = 4096

func roundRow(b []byte, shard int, second int64, chunk uint32) []byte {
	b = state.AppendKey(b, kindRound, uint16(shard), "")
	b = binary.BigEndian.AppendUint64(b, uint64(second)^1<<63)
	return binary.BigEndian.AppendUint32(b, chunk)
}

func appendVisits(b []byte, second int64, visits []visit) []byte {
	for _, v := range visits {
		b = binary.AppendUvarint(b, uint64(v.atMS-second*roundMS))
		b = appendString(b, v.key)
	}
	return b
}

func parseVisits(to []visit, second int64, row []byte) []visit {
	r := reader{b: row}
	for len(r.b) > 0 && r.err == nil {
		v := visit{second*roundMS + int64(r.uvarint()), r.string()}
		if r.err == nil {
			to = append(to, v)
		}
	}
	return to
}

// begin starts a checkpoint of the index. delete takes the rows that nobody needs any more.
func (r *rounds) begin(delete func(second int64, chunk uint32)) {
	for _, x := range r.spent {
		for chunk := range x.chunks {
			delete(x.second, chunk)
		}
	}
	r.gone, r.spent = r.spent, r.gone[:0]
	r.pending = r.pending[:0]
	r.each(func(x *round) {
		if len(x.fresh) == 0 {
			return
		}
		x.flight, x.fresh = x.fresh, nil
		x.last = uint32((len(x.flight) + visitsInRow - 1) / visitsInRow)
		x.chunks += x.last
		r.pending = append(r.pending, x)
	})
}

// each calls f with all rounds, by time.
func (r *rounds) each(f func(x *round)) {
	seconds := slices.Clone(r.seconds)
	if r.current != nil {
		seconds = append(seconds, r.current.second)
	}
	slices.Sort(seconds)
	for _, s := range seconds {
		f(r.bySecond[s])
	}
}

// drain hands rows with up to n visits, or with one round, to write, and says how many rows' worth of work that was.
func (r *rounds) drain(n int, write func(second int64, chunk uint32, visits []visit)) int {
	done := 0
	for done < n && len(r.pending) > 0 {
		last := len(r.pending) - 1
		x := r.pending[last]
		r.pending = r.pending[:last]
		chunk := x.chunks - x.last
		for visits := range slices.Chunk(x.flight, visitsInRow) {
			write(x.second, chunk, visits)
			chunk++
		}
		done += 1 + len(x.flight)/32 // a visit is much less than a row
	}
	return done
}

// complete ends a checkpoint; after one that failed its visits are still to be written.
func (r *rounds) complete(ok bool) {
	settle := func(x *round) {
		if !ok && x.last > 0 {
			x.chunks -= x.last
			x.fresh = append(x.flight, x.fresh...)
		}
		x.flight, x.last = nil, 0
	}
	r.each(settle)
	for _, x := range r.spent {
		x.flight, x.last = nil, 0 // rows that may never have been written are deleted without harm
	}
	if !ok {
		r.spent = append(r.spent, r.gone...)
	}
	r.gone, r.pending = r.gone[:0], r.pending[:0]
}

// appendIndex writes which rounds have rows in the store, and how many.
func (r *rounds) appendIndex(b []byte) []byte {
	before := int64(0)
	r.each(func(x *round) {
		if x.chunks > 0 {
			b = binary.AppendVarint(b, x.second-before)
			b = binary.AppendUvarint(b, uint64(x.chunks))
			before = x.second
		}
	})
	return b
}

func (r *rounds) loadIndex(b []byte) error {
	d := reader{b: b}
	second := int64(0)
	for len(d.b) > 0 && d.err == nil {
		second += d.varint()
		r.bySecond[second] = &round{second: second, chunks: uint32(d.uvarint())}
		heap.Push(&r.seconds, second)
	}
	return d.err
}

// VisitAt has the program visit this customer when the watermark passes a time: Program.Visit. However often it is asked for, a customer is
// visited once for a time. What the watermark has passed already is visited next.
func (t *Turn) VisitAt(atMS int64) {
	s, c := t.shard, t.customer
	if !c.addVisit(atMS) {
		return
	}
	if t.byTimer {
		atMS = max(atMS, t.timer.AtMS+1)
	} else {
		atMS = s.ahead(atMS)
	}
	s.rounds.add(atMS, c.key)
}

// addVisit notes that the customer wants to be visited, and says whether that is news.
func (c *customer) addVisit(atMS int64) bool {
	at, found := slices.BinarySearch(c.visits, atMS)
	if found {
		return false
	}
	c.visits = slices.Insert(c.visits, at, atMS)
	return true
}

// visitCustomer makes the visits of a customer that are due.
func (s *shard) visitCustomer(v visit) {
	c := s.find(v.key)
	if c == nil || len(c.visits) == 0 || c.visits[0] > v.atMS {
		return
	}
	s.touch(c)
	for len(c.visits) > 0 && c.visits[0] <= v.atMS {
		atMS := c.visits[0]
		c.visits = slices.Delete(c.visits, 0, 1)
		s.beginVisit(c, atMS, v.atMS)
		s.engine.program.Visit(&s.turn, atMS)
	}
}

// beginVisit readies the turn for a visit that was asked for at a time and is made at dueMS.
func (s *shard) beginVisit(c *customer, atMS, dueMS int64) {
	s.turn.begin(c)
	s.turn.Event, s.turn.NowMS = nil, atMS
	s.turn.turn.timer, s.turn.byTimer = Timer{Name: visitTimer, AtMS: dueMS}, true
}

// visitTimer stands for a visit where a timer's name would.
const visitTimer = " visit"

// flush has up to n customers who want to be visited say goodbye instead, in the order of their visits, and says how many it was.
func (s *shard) flush(n int) (done int) {
	for done < n {
		v, ok, err := s.rounds.pop(1<<63 - roundMS)
		if err != nil {
			s.fail(err)
			return done
		}
		if !ok {
			return done
		}
		c := s.find(v.key)
		if c == nil || len(c.visits) == 0 {
			continue
		}
		s.touch(c)
		c.visits = nil
		s.beginVisit(c, s.watermarkMS, s.watermarkMS)
		s.engine.program.Flush(&s.turn)
		done++
	}
	return done
}

// visitPassed makes the visits of a customer that comes from another shard whose times this shard's watermark has passed. The windows that close
// then are the customer's own still: those of the one that it is merged into have closed here already.
func (s *shard) visitPassed(c *customer) {
	for len(c.visits) > 0 && c.visits[0] <= s.watermarkMS {
		atMS := c.visits[0]
		c.visits = slices.Delete(c.visits, 0, 1)
		s.beginVisit(c, atMS, atMS)
		s.engine.program.Visit(&s.turn, atMS)
	}
}

// moveVisits hands the visits of a customer to the one that it was merged into. Those that the watermark has passed keep their time.
func (s *shard) moveVisits(into, from *customer) {
	for _, atMS := range from.visits {
		if into.addVisit(atMS) {
			s.rounds.add(s.ahead(atMS), into.key)
		}
	}
}

// Result is one line of a result stream: what a window held when it closed.
type Result struct {
	Output     int    // of Program.Outputs
	Key, Value []byte // the entity, by whose key results are partitioned; JSON
}

// resultSlot is the place of a result in the arena.
type resultSlot struct{ output, start, key, end int }

// Result puts one line out to a result stream. key and value are copied.
func (t *Turn) Result(output int, key, value []byte) {
	s := t.shard
	r := resultSlot{output: output, start: len(s.arena)}
	s.arena = append(s.arena, key...)
	r.key = len(s.arena)
	s.arena = append(s.arena, value...)
	r.end = len(s.arena)
	s.results = append(s.results, r)
}

// Publish puts a message out beside the decisions. Its id must be a function of its cause.
func (t *Turn) Publish(subject, id, data []byte) {
	s := t.shard
	sl := slot{start: len(s.arena), ttl: s.engine.outage()}
	s.arena = append(s.arena, subject...)
	sl.subject = len(s.arena)
	s.arena = append(s.arena, id...)
	sl.id = len(s.arena)
	s.arena = append(s.arena, data...)
	sl.end = len(s.arena)
	s.out = append(s.out, sl)
}

// CountResult counts a line of a result stream that went out with Publish.
func (t *Turn) CountResult(output int) { t.shard.countResult(output) }

func (s *shard) countResult(output int) { count(&s.counts.Results, s.engine.outputs[output]) }

// collectResults adds the results of a shard to the output.
func (s *shard) collectResults(out *Output) {
	for _, r := range s.results {
		s.countResult(r.output)
		out.Results = append(out.Results, Result{r.output, s.arena[r.start:r.key:r.key], s.arena[r.key:r.end:r.end]})
	}
	s.results = s.results[:0]
}
