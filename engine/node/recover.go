package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.uber.org/zap"

	"nudge/engine"
)

// recover starts the fetchers, folds the epochs of the journal that the checkpoint lacks, cut exactly as before, brings the
// catalogue up to its end, and takes up a changed definition.
func (n *Node) recover(fetching, kill context.Context) error {
	last, _ := n.cfg.Journal.Last()
	n.lastCheck = n.cfg.Now()
	again := n.engine.Number() < last
	if !again {
		if err := n.settle(kill); err != nil {
			return err
		}
	}
	if last == 0 && n.cfg.Store.Empty() {
		ep := &engine.Epoch{Number: 1, Entry: &engine.Entry{ArrivalMS: n.cfg.Now().UnixMilli(), Setup: &n.cfg.Setup}}
		if err := n.foldNew(kill, ep); err != nil {
			return err
		}
	}
	if err := n.markChecked(kill); err != nil {
		return err
	}
	fetchers := n.newFetchers(fetching)
	fetchers.start(func(q *queue) bool { return again || n.inputs[q.Input].Catalog })
	if again {
		if err := n.foldAgain(kill, last); err != nil {
			return err
		}
	}
	n.began = n.engine.Totals()
	if err := n.acceptGaps(kill); err != nil {
		return err
	}
	if err := n.readCatalogs(kill); err != nil {
		return err
	}
	if !n.engine.Setup().Equal(&n.cfg.Setup) {
		fetchers.end() // what they have decoded ahead was decoded as the old setup has it
		if err := n.changeSetup(kill); err != nil {
			return err
		}
		n.newFetchers(fetching).start(func(*queue) bool { return true })
	} else if !again {
		fetchers.start(func(q *queue) bool { return !n.inputs[q.Input].Catalog })
	}
	return nil
}

// markChecked has the marker catch up with a checkpoint that is ahead of it: of the epoch in which a rebuild was taken over, which put out nothing.
func (n *Node) markChecked(kill context.Context) error {
	if n.cfg.Store.Empty() || n.engine.Number() <= n.outbox.upToOld {
		return nil
	}
	meta, err := engine.ReadMeta(n.cfg.Store.Meta())
	if err != nil {
		return err
	}
	return n.handOut(kill, &epochOut{out: &engine.Output{Epoch: meta.Epoch}, results: n.results, hash: meta.EntryHash, offsets: n.offsets(), cutAt: n.cfg.Now()})
}

// foldAgain folds the journal's epochs after the checkpoint.
func (n *Node) foldAgain(kill context.Context, last uint64) error {
	started, from := n.cfg.Now(), n.engine.Number()
	err := n.cfg.Journal.Read(from+1, func(number, hash uint64, payload []byte) error {
		entry, err := engine.DecodeEntry(payload)
		if err != nil {
			return err
		}
		ep := &engine.Epoch{Number: number, Entry: entry}
		if err := n.takeEntry(kill, ep); err != nil {
			return err
		}
		return n.fold(kill, ep, hash)
	})
	if errors.Is(err, engine.ErrRebuilt) {
		return errors.New("node: nudge rebuild was interrupted while it switched: run it again to finish")
	}
	if err != nil {
		return err
	}
	if err := n.settle(kill); err != nil {
		return err
	}
	n.log.Info("recovered", zap.Uint64("from_epoch", from), zap.Uint64("to_epoch", last), zap.Duration("took", n.cfg.Now().Sub(started)))
	return nil
}

// settle returns when the outbox has held what the stream had above the floor against all epochs of the journal, and found that it had nothing else.
// Nothing is journalled before: a start that were killed in between would leave entries that the lost ones' messages pass for their own.
func (n *Node) settle(kill context.Context) error {
	e := &epochOut{settled: make(chan struct{})}
	queue := n.outbox.queue
	for {
		select {
		case queue <- e:
			queue = nil
		case <-e.settled:
			return nil
		case end := <-n.checkEnded:
			if err := n.checkpointEnded(end); err != nil {
				return err
			}
		case c := <-n.calls:
			c.f(n.engine)
			close(c.done)
		case err := <-n.failures:
			return err
		case <-kill.Done():
			return kill.Err()
		}
	}
}

// takeEntry waits for the records of a journal entry and takes them, cut as before.
func (n *Node) takeEntry(kill context.Context, ep *engine.Epoch) error {
	for _, want := range ep.Entry.Spans {
		q := n.queueOf(want.Partition)
		if q == nil {
			return fmt.Errorf("node: the journal's epoch %d reads partition %d of input %d, which the pipeline does not have", ep.Number, want.ID, want.Input)
		}
		if n.inputs[q.Input].Catalog { // by value
			q.skipTo(want.To)
			continue
		}
		for !q.covers(want.To) {
			if q.ever && q.empty() && q.end < want.To {
				return fmt.Errorf("node: %w: %s/%d ends at %d, the journal's epoch %d read up to %d: restore the topic, or a backup together with it", ErrRecordsChanged, q.topic, q.ID, q.end, ep.Number, want.To)
			}
			q.lend()
			if err := n.hearOne(kill); err != nil {
				return err
			}
		}
		got, runs := q.take(math.MaxInt, want.To, math.MaxInt64, ep.Runs)
		ep.Runs = runs
		if got != want {
			return fmt.Errorf("node: %w: %s/%d [%d, %d): %d records with hash %x, the journal's epoch %d had %d with %x: the topic was changed; set another `generation` and use an empty state folder with --adopt, or restore the topic", ErrRecordsChanged, q.topic, q.ID, want.From, want.To, got.Count, got.Hash, ep.Number, want.Count, want.Hash)
		}
		if got.Count > 0 {
			n.lastRecord[q.ID] = n.cfg.Now()
		}
	}
	for _, g := range ep.Entry.Gaps {
		if q := n.queueOf(g.Partition); q != nil {
			q.skipTo(g.To)
		}
	}
	return nil
}

// hearOne waits for one arrival, answering calls meanwhile.
func (n *Node) hearOne(kill context.Context) error {
	select {
	case a := <-n.arrivals:
		return n.hear(a)
	case end := <-n.checkEnded:
		return n.checkpointEnded(end)
	case c := <-n.calls:
		c.f(n.engine)
		close(c.done)
		return nil
	case err := <-n.failures:
		return err
	case <-kill.Done():
		return kill.Err()
	}
}

// acceptGaps journals the records that the topics no longer hold, as the operator allowed. It comes after the journal's own
// epochs: what they read of a partition lies behind the gap, or they have accepted it themselves.
func (n *Node) acceptGaps(kill context.Context) error {
	entry := &engine.Entry{ArrivalMS: n.cfg.Now().UnixMilli()}
	for _, q := range n.queues {
		if q.next >= q.start {
			continue
		}
		n.log.Warn("records are lost and the loss is accepted", zap.String("topic", q.topic), zap.Int32("partition", q.ID), zap.Int64("from", q.next), zap.Int64("to", q.start))
		entry.Gaps = append(entry.Gaps, engine.Gap{Partition: q.Partition, From: q.next, To: q.start})
		q.skipTo(q.start)
	}
	if len(entry.Gaps) == 0 {
		return nil
	}
	return n.foldNew(kill, &engine.Epoch{Number: n.engine.Number() + 1, Entry: entry})
}

// readCatalogs reads the catalogue topics to the end that they had at the start, before the first customer's event.
func (n *Node) readCatalogs(kill context.Context) error {
	for {
		left := false
		var ep *engine.Epoch
		for i, q := range n.queues {
			if !n.inputs[q.Input].Catalog {
				continue
			}
			for !q.empty() {
				if ep == nil {
					ep = &engine.Epoch{Number: n.engine.Number() + 1, Entry: &engine.Entry{ArrivalMS: n.cfg.Now().UnixMilli()}}
				}
				if n.takeSpan(ep, i, n.cfg.EpochEvents, noOffset, math.MaxInt64) == 0 {
					break
				}
			}
			left = left || q.next < q.endAtStart
		}
		if ep != nil && len(ep.Entry.Spans) > 0 {
			if err := n.foldNew(kill, ep); err != nil {
				return err
			}
			continue
		}
		if !left {
			return nil
		}
		if err := n.hearOne(kill); err != nil {
			return err
		}
	}
}

// changeSetup takes the configured setup up, where the state was made under another one: at a checkpoint, so that the
// journal's entry that changes it is the first after one. No fetcher runs meanwhile.
func (n *Node) changeSetup(kill context.Context) error {
	was := n.engine.Setup()
	same := func(a, b engine.Topic) bool {
		return a.Topic == b.Topic && a.Catalog == b.Catalog && (a.Partitions == b.Partitions || a.Partitions == 0)
	}
	if !slices.EqualFunc(was.Inputs, n.cfg.Setup.Inputs, same) {
		return errors.New("node: the changed pipeline reads other topics, or topics with other partition counts, than the state was made with: set another `generation` and use an empty state folder with --adopt")
	}
	n.log.Info("the pipeline has changed", zap.String("from", engine.Policy(was.Definition)), zap.String("to", engine.Policy(n.cfg.Setup.Definition)))
	if err := n.checkpointNow(kill); err != nil {
		return err
	}
	if err := n.build(&n.cfg.Setup); err != nil {
		return err
	}
	if err := n.openResults(kill); err != nil {
		return err
	}
	for i, in := range n.inputs {
		for id := range int32(in.Partitions) {
			p := engine.Partition{Input: i, ID: id}
			if n.queueOf(p) != nil {
				continue
			}
			start, end, err := n.cfg.Source.Offsets(kill, in.Topic.Topic, id)
			if err != nil {
				return err
			}
			q := newQueue(p, in.Topic.Topic, start)
			q.start, q.end, q.endAtStart = start, end, end
			if n.cfg.UntilEnd {
				q.stopAt = end
			}
			n.queues = append(n.queues[:len(n.queues):len(n.queues)], q)
		}
	}
	entry := &engine.Entry{ArrivalMS: n.cfg.Now().UnixMilli(), Setup: &n.cfg.Setup}
	return n.foldNew(kill, &engine.Epoch{Number: n.engine.Number() + 1, Entry: entry})
}

// skipTo drops what lies before an offset.
func (q *queue) skipTo(to int64) {
	if _, runs := q.take(math.MaxInt, to, math.MaxInt64, nil); len(runs) > 0 {
		for _, r := range runs {
			if r.J == len(r.Chunk.Records) {
				q.returnCredit()
			}
		}
	}
	q.next = max(q.next, to)
}
