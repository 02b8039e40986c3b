package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
)

// Sink takes the lines of one result stream, in order, and holds each once: lines that it held when it was opened it passes over. It is
// used by one goroutine.
type Sink interface {
	// Write takes a line; ordinal counts the lines of an epoch. It may wait for room.
	Write(ctx context.Context, epoch uint64, ordinal int, key, value []byte) error
	// EndEpoch says that all lines of an epoch were written.
	EndEpoch(epoch uint64) error
	// Stored is the last epoch that was ended and all of whose lines are stored.
	Stored() uint64
	// Held is the last epoch of which it held a line when it was opened, and where that lies; 0 where it held none.
	Held() (epoch uint64, at string)
	// Notify receives when Stored may have changed.
	Notify() <-chan struct{}
	// Sync sees to it that what was written gets stored, and says why it can't be; nil as long as waiting helps. It is called every now
	// and then, and when Notify has received.
	Sync() error
	Close() error
}

// results hands epochs to the sinks of a setup. Each sink has a goroutine of its own, so that one that waits holds up neither the marker
// nor the others.
type results struct {
	lanes []*resultLane
}

type resultLane struct {
	output int
	name   string
	sink   Sink
	queue  chan *epochOut
	stored atomic.Uint64 // epoch
	failed atomic.Pointer[error]
}

// resultQueue bounds the epochs that wait for a sink.
const resultQueue = 512

// syncEvery is how often a sink makes sure that what it was given gets stored.
const syncEvery = 50 * time.Millisecond

// errAhead is why a result stream is ahead of the journal: an epoch's entry is durable before any line of it is sent.
var errAhead = errors.New("its last entries are lost")

// lineName is what lines are put out under: the journal, and how often an operator has let them begin anew.
func lineName(journal string, anew int) string {
	if anew == 0 {
		return journal
	}
	return fmt.Sprintf("%s+%d", journal, anew)
}

// beginResults opens the result streams once the lease is held, when nobody else writes to them, and before anything is journalled. Where one holds
// lines of lost epochs the operator may let all of them begin anew: under another name, which the marker keeps.
func (n *Node) beginResults(ctx context.Context) error {
	err := n.tryResults(ctx)
	for errors.Is(err, errAhead) && n.cfg.Adopt {
		n.log.Warn("adopting the result streams: windows of lost epochs are put out a second time", zap.Error(err))
		n.outbox.marker.Lines++
		if err := n.writeMarker(ctx); err != nil {
			return err
		}
		err = n.tryResults(ctx)
	}
	return err
}

// tryResults opens the sinks of the setup in force, and looks at those of the configured one if that is another.
func (n *Node) tryResults(ctx context.Context) error {
	n.lines = lineName(n.cfg.Journal.Header().ID, n.outbox.marker.Lines)
	if !n.engine.Setup().Equal(&n.cfg.Setup) {
		sinks, err := n.openSinks(ctx, &n.cfg.Setup)
		if err = errors.Join(err, closeSinks(sinks)); err != nil {
			return err
		}
	}
	return n.openResults(ctx)
}

// openSinks opens the sinks of a setup and holds them against the journal.
func (n *Node) openSinks(ctx context.Context, s *engine.Setup) ([]Sink, error) {
	if n.cfg.OpenSinks == nil {
		return nil, nil
	}
	sinks, err := n.cfg.OpenSinks(ctx, *s, n.lines, n.outbox.lease.await)
	if err != nil {
		return nil, err
	}
	last, _ := n.cfg.Journal.Last()
	for _, sink := range sinks {
		if sink == nil {
			continue
		}
		if epoch, at := sink.Held(); epoch > last {
			err := fmt.Errorf("node: %w: %s holds lines of epoch %d, the journal ends at %d: %w; restore the backup that belongs to the stream, or use --adopt to go on from this folder: the windows of lost epochs are put out a second time", ErrForeignState, at, epoch, last, errAhead)
			return nil, errors.Join(err, closeSinks(sinks))
		}
	}
	return sinks, nil
}

func closeSinks(sinks []Sink) error {
	var errs []error
	for _, s := range sinks {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// openResults opens the sinks of the setup in force and starts their goroutines.
func (n *Node) openResults(ctx context.Context) error {
	sinks, err := n.openSinks(ctx, n.engine.Setup())
	if err != nil {
		return err
	}
	r := &results{}
	for output, sink := range sinks {
		if sink != nil {
			r.lanes = append(r.lanes, &resultLane{output: output, name: n.outputs[output], sink: sink, queue: make(chan *epochOut, resultQueue)})
		}
	}
	n.results = r
	for _, l := range r.lanes {
		n.sinks = append(n.sinks, l.sink)
		n.writing.Go(func() { n.writeResults(ctx, l) })
	}
	return nil
}

// writeResults writes the lines of a lane's epochs until ctx ends.
func (n *Node) writeResults(ctx context.Context, l *resultLane) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case e := <-l.queue:
			n.step("lines")
			err = l.write(ctx, e, e.out.Epoch > n.outbox.upToOld)
		case <-l.sink.Notify():
			err = l.sink.Sync()
		case <-tick.C:
			err = l.sink.Sync()
		case <-ctx.Done():
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				l.failed.Store(&err)
				n.nudgeResults()
			}
			return
		}
		if stored := l.sink.Stored(); l.stored.Swap(stored) != stored {
			n.nudgeResults()
		}
	}
}

// write writes the lines of an epoch; of one that was published before the start nothing but its end.
func (l *resultLane) write(ctx context.Context, e *epochOut, fresh bool) error {
	ordinal := 0
	if fresh {
		for i := range e.out.Results {
			r := &e.out.Results[i]
			if r.Output != l.output {
				continue
			}
			if err := l.sink.Write(ctx, e.out.Epoch, ordinal, r.Key, r.Value); err != nil {
				return err
			}
			ordinal++
		}
	}
	return l.sink.EndEpoch(e.out.Epoch)
}

func (n *Node) nudgeResults() {
	select {
	case n.outbox.results <- struct{}{}:
	default:
	}
}

// room says whether every lane takes another epoch.
func (r *results) room() bool {
	for _, l := range r.lanes {
		if len(l.queue) == cap(l.queue) {
			return false
		}
	}
	return true
}

// send hands an epoch to the lanes; room has said that they take it.
func (r *results) send(e *epochOut) {
	for _, l := range r.lanes {
		l.queue <- e
	}
}

// stored says whether all lines of an epoch are stored.
func (r *results) stored(e *engine.Output) bool {
	for _, l := range r.lanes {
		if l.stored.Load() < e.Epoch {
			return false
		}
	}
	return true
}

// err is why a sink can take no more.
func (r *results) err() error {
	for _, l := range r.lanes {
		if err := l.failed.Load(); err != nil {
			return fmt.Errorf("node: outputs.features.%s: %w", l.name, *err)
		}
	}
	return nil
}

// closeResults closes all sinks that were opened.
func (n *Node) closeResults() {
	n.writing.Wait()
	for _, s := range n.sinks {
		if err := s.Close(); err != nil {
			n.fail(err)
		}
	}
}
