package node

import (
	"math"
	"time"

	"nudge/engine"
	"nudge/streams"
)

// aheadMS is how far in append time a partition may run ahead of the slowest that is not idle, and how much event time an epoch takes of one:
// within an epoch nothing is learned and nothing passes between shards, so a log that was written at once, or is thin, must not have its days in one.
const aheadMS = int64(60 * 1000)

// cut makes an epoch of what has arrived. It returns nil if there is nothing.
func (n *Node) cut() (*engine.Epoch, error) {
	now := n.cfg.Now()
	entry := &engine.Entry{ArrivalMS: now.UnixMilli()}
	ep := &engine.Epoch{Number: n.engine.Number() + 1, Entry: entry}
	for _, c := range n.commands {
		entry.Commands = append(entry.Commands, c.command)
	}
	n.ordered, n.commands = append(n.ordered, n.commands...), n.commands[:0]
	n.takeRecords(now, ep)
	n.idleAndTicks(now, entry)
	if err := n.takeRequests(entry); err != nil {
		return nil, err
	}
	if len(entry.Spans)+len(entry.Ticks)+len(entry.Commands)+len(entry.Catalog)+len(entry.Requests) == 0 && !n.crossing() {
		return nil, nil
	}
	return ep, nil
}

// takeRecords takes an epoch's worth of records: an equal share of every partition that has some, then what is left.
func (n *Node) takeRecords(now time.Time, ep *engine.Epoch) {
	until := n.align(now)
	n.bound(now, until)
	left := n.cfg.EpochEvents
	busy := 0
	for _, q := range n.queues {
		if !q.empty() {
			busy++
		}
	}
	for i, q := range n.queues {
		if q.empty() {
			continue
		}
		share := left / busy
		if busy == 1 {
			share = left
		}
		busy--
		left -= n.takeSpan(ep, i, max(share, 1), noOffset, until)
	}
}

// takeSpan takes up to limit records of a partition into the epoch and says how many.
func (n *Node) takeSpan(ep *engine.Epoch, i, limit int, to, untilMS int64) int {
	q := n.queues[i]
	from := len(ep.Runs)
	span, runs := q.take(limit, to, untilMS, ep.Runs)
	if span.To == span.From {
		return 0
	}
	if n.inputs[q.Input].Catalog {
		for _, r := range runs[from:] {
			for j := r.I; j < r.J; j++ {
				ep.Entry.Catalog = append(ep.Entry.Catalog, engine.CatalogRecord{Partition: q.Partition, Record: r.Chunk.Records[j]})
			}
			n.returnCredit(q, r)
		}
		ep.Runs = runs[:from]
	} else {
		ep.Runs = runs
		if shard := int(q.ID); span.Count > 0 && shard < len(n.lastRecord) {
			n.lastRecord[shard] = n.cfg.Now()
		}
	}
	ep.Entry.Spans = append(ep.Entry.Spans, span)
	return span.Count
}

// align is the append time up to which records may be taken: no partition runs more than a minute ahead of the slowest
// that is not idle.
func (n *Node) align(now time.Time) int64 {
	least := int64(math.MaxInt64)
	for _, q := range n.queues {
		if n.inputs[q.Input].Catalog || q.idle(now, n.cfg.IdleAfter) {
			continue
		}
		at := q.lastAppendMS
		if head := q.headRecord(); head != nil {
			at = head.AppendMS
		} else if !q.ever {
			continue
		}
		least = min(least, at)
	}
	if least > math.MaxInt64-aheadMS {
		return math.MaxInt64
	}
	return least + aheadMS
}

// heldMost is how long records wait for those of other partitions that happened before them.
const heldMost = time.Second

// bound says how far in event time each partition may be taken: a minute on from its next record. One with a backlog, as after a stop or
// where a log was written at once, waits for those whose events lie further back, so that what passes between shards does not come hours late;
// but not for long, since nobody knows for how long old events will go on coming there. Those that append times hold back (untilMS) hold back nobody.
func (n *Node) bound(now time.Time, untilMS int64) {
	least := int64(math.MaxInt64)
	for _, q := range n.queues {
		head := q.headRecord()
		if !n.inputs[q.Input].Catalog && !q.idle(now, n.cfg.IdleAfter) && (q.ever || head != nil || n.cfg.UntilEnd) && (head == nil || head.AppendMS <= untilMS) {
			least = min(least, q.headClock())
		}
	}
	for _, q := range n.queues {
		head := q.headClock()
		q.boundMS = head + aheadMS
		if n.inputs[q.Input].Catalog || head <= least || q.empty() || q.end-q.next < int64(n.cfg.EpochEvents) && !n.cfg.UntilEnd {
			q.heldSince = time.Time{}
			continue
		}
		switch {
		case q.heldSince.IsZero():
			q.heldSince = now
		case now.Sub(q.heldSince) > heldMost:
			q.heldSince = time.Time{}
			continue
		}
		q.boundMS = least + aheadMS
	}
}

func (q *queue) headRecord() *streams.Record {
	if len(q.chunks) > 0 && q.head < len(q.chunks[0].Records) {
		return &q.chunks[0].Records[q.head]
	}
	return nil
}

// idleAndTicks notes the partitions that do not hold the watermark, and moves the clocks of shards that are all idle.
func (n *Node) idleAndTicks(now time.Time, entry *engine.Entry) {
	tick := now.Sub(n.ticked) >= n.cfg.TickEvery
	for shard := range n.lastRecord {
		all := true
		for _, q := range n.queues {
			if int(q.ID) != shard || n.inputs[q.Input].Catalog {
				continue
			}
			if q.idle(now, n.cfg.IdleAfter) {
				entry.Idle = append(entry.Idle, q.Partition)
			} else {
				all = false
			}
		}
		if tick && all && !n.cfg.UntilEnd && !n.lastRecord[shard].IsZero() {
			entry.Ticks = append(entry.Ticks, engine.Tick{Shard: shard, AheadMS: now.Sub(n.lastRecord[shard]).Milliseconds()})
		}
	}
	if tick {
		n.ticked = now
	}
}

// tickDue says whether an idle shard's clock is to be moved.
func (n *Node) tickDue() bool {
	now := n.cfg.Now()
	if n.cfg.UntilEnd || now.Sub(n.ticked) < n.cfg.TickEvery {
		return false
	}
	for _, at := range n.lastRecord {
		if !at.IsZero() {
			return true
		}
	}
	return false
}

// release gives what an epoch used up back to the fetchers.
func (n *Node) release(runs []engine.Run) {
	for _, r := range runs {
		n.returnCredit(n.queueOf(r.Chunk.Partition), r)
	}
}

// returnCredit lets the fetcher of a queue go on if a run was the last of its chunk.
func (n *Node) returnCredit(q *queue, r engine.Run) {
	if r.J < len(r.Chunk.Records) {
		return
	}
	if r.Chunk.Events != nil {
		select {
		case n.freeEvents <- r.Chunk.Events:
		default:
		}
	}
	q.returnCredit()
}

func (n *Node) queueOf(p engine.Partition) *queue {
	for _, q := range n.queues {
		if q.Partition == p {
			return q
		}
	}
	return nil
}
