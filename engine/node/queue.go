package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"nudge/engine"
	"nudge/streams"
)

// chunksAhead bounds what a fetcher may be ahead of the fold: so many fetches of a partition.
const chunksAhead = 3

// arrival is what a fetcher tells the sequencer.
type arrival struct {
	queue *queue
	chunk *engine.Chunk // nil where the fetch brought nothing
	end   int64         // of the log, as the fetch reported it
	at    time.Time
	err   error
}

// queue is what was fetched of one partition and not yet folded. The sequencer owns it; its fetcher owns only credit.
type queue struct {
	engine.Partition
	topic      string
	chunks     []*engine.Chunk
	head       int   // first record of chunks[0] that was not taken
	next       int64 // the offset to be taken next
	end        int64 // of the log, when last heard
	stopAt     int64 // with until-end: the end found at the start, else -1
	endAtStart int64
	start      int64 // of the log, at the start
	taken      int64 // records since the metrics last asked
	heard      time.Time
	ever       bool      // a fetch has answered
	alive      time.Time // when the sequencer last heard of the fetcher; zero until it is started

	lastAppendMS int64     // of the last record taken
	clockMS      int64     // event time of the records taken, never back
	boundMS      int64     // where this clock may be at the end of the epoch being cut
	heldSince    time.Time // when its records first waited for those of other partitions; zero: they do not
	credit       chan struct{}
	debt         int // credit lent beyond chunksAhead
}

func newQueue(p engine.Partition, topic string, from int64) *queue {
	return &queue{Partition: p, topic: topic, next: from, stopAt: -1, credit: make(chan struct{}, chunksAhead)}
}

// lend lets the fetcher go on though the queue is full: an epoch that is folded again may need more than one fetch's worth.
func (q *queue) lend() {
	if len(q.chunks) < chunksAhead+q.debt {
		return
	}
	select {
	case <-q.credit:
		q.debt++
	default:
	}
}

func (q *queue) returnCredit() {
	if q.debt > 0 {
		q.debt--
		return
	}
	<-q.credit
}

func (q *queue) empty() bool { return len(q.chunks) == 0 }

// finished says that until-end has read the partition to its end.
func (q *queue) finished() bool { return q.stopAt >= 0 && q.next >= q.stopAt }

// idle says that the partition does not hold the watermark: nothing waits, and a fetch lately reported the end of the log.
func (q *queue) idle(now time.Time, after time.Duration) bool {
	return q.finished() || q.ever && q.empty() && q.next >= q.end && now.Sub(q.heard) < after
}

func (q *queue) hear(a arrival) {
	q.ever, q.end, q.heard = true, a.end, a.at
	if a.chunk != nil {
		q.chunks = append(q.chunks, a.chunk)
	}
}

// spanMS is how much event time an epoch of a log takes that is replayed without its journal. It is as cheap as more: nothing is synced.
const spanMS = int64(1000)

// headClock is where the partition's clock will stand after the next record; where it stands, if none waits.
func (q *queue) headClock() int64 {
	if len(q.chunks) > 0 && q.head < len(q.chunks[0].Records) {
		return q.clock(q.chunks[0], q.head)
	}
	return q.clockMS
}

// clock is where the partition's clock stands after a record. One that is no event, or that is refused for its time, leaves it.
func (q *queue) clock(c *engine.Chunk, i int) int64 {
	if c.Events == nil || c.Events[i].Type == streams.Invalid {
		return q.clockMS
	}
	at, fault := streams.CheckTime(&c.Events[i], c.Records[i].AppendMS)
	if fault != nil {
		return q.clockMS
	}
	return max(q.clockMS, min(at, c.Records[i].AppendMS))
}

// take takes up to limit records, with offsets below to and append times up to untilMS, and no further in event time than boundMS where no offset says
// how far the epoch goes. What was skipped at the head of the log is part of the span.
func (q *queue) take(limit int, to int64, untilMS int64, runs []engine.Run) (engine.Span, []engine.Run) {
	span := engine.Span{Partition: q.Partition, From: q.next, To: q.next}
	for len(q.chunks) > 0 && q.next < to {
		c := q.chunks[0]
		i := q.head
		for i < len(c.Records) && span.Count < limit && c.Records[i].Offset < to && c.Records[i].AppendMS <= untilMS {
			clock := q.clock(c, i)
			if to == noOffset && clock > q.boundMS {
				break
			}
			q.clockMS = clock
			span.Hash = engine.FoldHash(span.Hash, c.Records[i].Hash)
			q.lastAppendMS = c.Records[i].AppendMS
			span.Count++
			i++
		}
		if i > q.head {
			runs = append(runs, engine.Run{Chunk: c, I: q.head, J: i})
		}
		q.head = i
		q.next = min(c.Offset(i), to)
		if i < len(c.Records) || c.Next > to {
			break
		}
		if len(c.Records) == 0 {
			q.returnCredit() // nothing of it will be released
		}
		q.chunks = q.chunks[1:]
		q.head = 0
	}
	span.To = q.next
	q.taken += int64(span.Count)
	return span, runs
}

// covers says whether the records below to are all here.
func (q *queue) covers(to int64) bool {
	if q.next >= to {
		return true
	}
	return len(q.chunks) > 0 && q.chunks[len(q.chunks)-1].Next >= to
}

// Fetcher reads one partition in order.
type Fetcher interface {
	// Fetch waits until there is something to read or the driver's own patience ends; then it returns a batch without
	// records. An error is one that waiting does not cure.
	Fetch(ctx context.Context) (streams.Batch, error)
	Close()
}

// Source is where records come from.
type Source struct {
	// Fetcher starts reading a partition at an offset.
	Fetcher func(topic string, partition int32, from int64) Fetcher
	// Offsets gives the first offset of a partition and the one after its last.
	Offsets func(ctx context.Context, topic string, partition int32) (start, end int64, err error)
	// PartitionOf is the partition that producers choose for a key by default: where a request goes whose customer nobody knows. A node needs it.
	PartitionOf func(key []byte, partitions int32) int32
}

// forget drops what was fetched and not taken: the next fetcher reads it again.
func (q *queue) forget() {
	q.chunks, q.head, q.debt, q.credit = nil, 0, 0, make(chan struct{}, chunksAhead)
}

// fetchers are the goroutines that read the queues' partitions under one setup.
type fetchers struct {
	n       *Node
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (n *Node) newFetchers(ctx context.Context) *fetchers {
	f := &fetchers{n: n}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

// start starts the fetchers of some queues.
func (f *fetchers) start(of func(*queue) bool) {
	for _, q := range f.n.queues {
		if !of(q) {
			continue
		}
		q.alive = f.n.cfg.Now()
		from := max(q.next, q.start) // what lies before start is gone: checkGap has seen to it
		f.running.Go(func() { f.n.fetch(f.ctx, q, from) })
	}
}

// end ends them, and drops what they have read and nobody has taken.
func (f *fetchers) end() {
	f.cancel()
	f.running.Wait()
	for len(f.n.arrivals) > 0 {
		<-f.n.arrivals
	}
	for _, q := range f.n.queues {
		q.forget()
	}
}

// fetch reads a partition, decodes and hands over, until ctx ends or, with stopAt >= 0, that offset is reached.
func (n *Node) fetch(ctx context.Context, q *queue, from int64) {
	f := n.cfg.Source.Fetcher(q.topic, q.ID, from)
	defer f.Close()
	decoder := n.inputs[q.Input].NewDecoder()
	for stopAt := q.stopAt; stopAt < 0 || from < stopAt; {
		select {
		case q.credit <- struct{}{}:
		case <-ctx.Done():
			return
		}
		b, err := f.Fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		a := arrival{queue: q, end: b.End, at: n.cfg.Now(), err: err}
		if err == nil && stopAt >= 0 && b.Next >= stopAt {
			b = cutBatch(b, stopAt)
		}
		if err == nil && (len(b.Records) > 0 || b.Next > from) {
			a.chunk = n.decode(q, decoder, b)
			from = b.Next
		} else {
			<-q.credit
		}
		select {
		case n.arrivals <- a:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// cutBatch drops the records at and after an offset.
func cutBatch(b streams.Batch, to int64) streams.Batch {
	i := len(b.Records)
	for i > 0 && b.Records[i-1].Offset >= to {
		i--
	}
	b.Records, b.Next, b.End = b.Records[:i], to, to
	return b
}

func (n *Node) decode(q *queue, d *streams.Decoder, b streams.Batch) *engine.Chunk {
	c := &engine.Chunk{Partition: q.Partition, Records: b.Records, Next: b.Next}
	if n.inputs[q.Input].Catalog {
		return c
	}
	c.Events = n.eventSlice(len(b.Records))
	for i := range b.Records {
		if f := d.Decode(&b.Records[i], &c.Events[i]); f != nil {
			if c.Faults == nil {
				c.Faults = map[int]*streams.Fault{}
			}
			c.Faults[i] = f
			c.Events[i].Type = streams.Invalid
		}
	}
	return c
}

// eventSlice gives a slice of n events, one that was used before if there is one: an event's Lines keep their memory.
func (n *Node) eventSlice(size int) []streams.Event {
	select {
	case s := <-n.freeEvents:
		if cap(s) >= size {
			return s[:size]
		}
	default:
	}
	return make([]streams.Event, size)
}

// describe says where a partition stands, for people.
func (q *queue) describe() string {
	return fmt.Sprintf("%s/%d@%d of %d", q.topic, q.ID, q.next, q.end)
}
