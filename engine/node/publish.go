package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/streams"
)

// Publisher sends messages to the decision stream, in order and without waiting for each. The messages it is given are
// numbered from 1 on; Reset takes the number back to what was acknowledged.
type Publisher interface {
	// Send sends messages; it waits only while too many are unacknowledged. After an error nothing is known of those that
	// are not acknowledged, and every call fails until Reset.
	Send(ctx context.Context, m []streams.Message) error
	// Acked says how many of the messages are acknowledged, all before them too, and the sequence of the last of them. The
	// sequences of messages sent since Reset follow each other without a gap.
	Acked() (n, seq uint64)
	// Notify receives when Acked or Err may have changed.
	Notify() <-chan struct{}
	Err() error
	Reset()
}

// Stream is the decision stream with the app's marker.
type Stream interface {
	// Read calls f for all messages from a sequence to the last one at the time of the call.
	Read(ctx context.Context, from uint64, f func(seq uint64, subject, id string, data []byte) error) error
	LastMarker(ctx context.Context) (m streams.Marker, seq uint64, ok bool, err error)
	// WriteMarker writes the marker if seq is that of the last one; else the error is streams.ErrFenced. After another error
	// the same call is repeated, which finds the marker if it was written.
	WriteMarker(ctx context.Context, m streams.Marker, seq uint64) (uint64, error)
	// PurgeCustomer removes the decisions of a customer, by its id as sent, up to a sequence of the stream.
	PurgeCustomer(ctx context.Context, id string, upTo uint64) error
	// Decisions calls f for the decisions on a customer, by its id as sent, that the stream holds, in their order.
	Decisions(ctx context.Context, customer string, f func(id string, data []byte) error) error
	// WaitConnected waits for the connection.
	WaitConnected(ctx context.Context) error
}

// epochOut is an epoch on its way out.
type epochOut struct {
	out     *engine.Output
	results *results // the sinks of the setup that it was folded under
	told    []*asked // requests that it answers
	hash    uint64   // of its journal entry
	offsets []int64
	cutAt   time.Time
	bytes   int64
	sent    []streams.Message // that it lacked, as they were sent last
	upTo    uint64            // number of its last message
	held    uint64            // sequence of its last message that the stream held already, or 0
	settled chan struct{}     // of what is no epoch, but comes after the last that is run again: closed when nothing is left over
}

// outbox publishes epochs in order and keeps the marker. Its run owns all fields but the atomics and channels.
type outbox struct {
	n       *Node
	pub     Publisher
	stream  Stream
	lease   *lease
	queue   chan *epochOut
	free    chan *engine.Output // published, to be released by the fold
	room    chan struct{}       // nudged when bytes fall
	results chan struct{}       // nudged when sinks have stored something

	bytes     atomic.Int64  // of outputs not yet acknowledged
	published atomic.Uint64 // epoch of the last marker written
	floor     uint64        // sequence of the last message of done, or of an epoch before: all beyond it is of later epochs

	waiting  []*epochOut // sent and not wholly acknowledged, in order
	sent     uint64      // number of the last message sent
	base     uint64      // the same at the last Reset
	done     *epochOut   // the last epoch that is wholly acknowledged; its messages are given back
	erased   []string    // customers to be purged before the next marker
	marker   streams.Marker
	attempt  *streams.Marker // a marker that may or may not have been written
	begun    time.Time       // when it was written
	writing  bool            // it is being written; wrote says how that ends
	wrote    chan markerEnd
	seq      uint64 // of the marker in its stream
	finish   bool
	early    bool            // the marker was made while there were such
	recovery map[string]held // what the stream held above the floor at the start and no epoch has given again yet
	upToOld  uint64          // epochs up to here were published before the start
	fromNew  uint64          // epochs from here on are new
	adopted  bool            // suppress by id only, for good
	gone     map[string]bool // ids that the stream remembers though it no longer holds them
	another  bool            // epochs that are run again were cut by another build: compare them by id
}

// markerEnd is how the writing of a marker ended.
type markerEnd struct {
	seq uint64
	err error
}

// markEvery is how often the marker is written at most while epochs are being published.
const markEvery = 100 * time.Millisecond

// run publishes until ctx ends, or until the queue is closed and everything is out; then the lease is released.
func (o *outbox) run(ctx context.Context) error {
	renew := time.NewTicker(max(o.n.cfg.Lease/4, 10*time.Millisecond))
	defer renew.Stop()
	mark := time.NewTicker(markEvery)
	defer mark.Stop()
	defer func() {
		if o.writing {
			<-o.wrote
		}
	}()
	var next *epochOut
	queue := o.queue
	for {
		if err := o.step(ctx); err != nil {
			return err
		}
		if next != nil && next.settled != nil {
			if err := o.settle(ctx); err != nil {
				return err
			}
			close(next.settled)
			next = nil
			continue
		}
		if next != nil && o.n.durable(next.out.Epoch) && !o.erasing() && next.results.room() {
			if err := o.send(ctx, next); err != nil {
				return err
			}
			next = nil
			continue
		}
		if queue == nil && next == nil && len(o.waiting) == 0 {
			return o.end(ctx)
		}
		in := queue
		if next != nil {
			in = nil
		}
		select {
		case e, ok := <-in:
			if !ok {
				queue = nil
			} else {
				next = e
			}
		case <-o.pub.Notify():
		case <-o.results:
		case <-o.n.synced:
		case end := <-o.wrote:
			if err := o.markEnded(ctx, end); err != nil {
				return err
			}
		case <-mark.C:
		case <-renew.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step sees to acknowledgements and the marker.
func (o *outbox) step(ctx context.Context) error {
	if o.pub.Err() != nil {
		if err := o.resolve(ctx); err != nil {
			return err
		}
	}
	if err := o.sinksFailed(); err != nil {
		return err
	}
	o.reap()
	age := o.lease.age(o.n.cfg.Now())
	behind := o.done != nil && o.done.out.Epoch > o.marker.Epoch || o.early && !o.unmet()
	switch {
	case len(o.erased) > 0:
		return o.mark(ctx)
	case !o.writing && (behind && (age >= markEvery || len(o.waiting) == 0) || age >= o.n.cfg.Lease/3):
		o.beginMark(ctx)
	}
	return nil
}

// sinksFailed is why a result stream can take no more.
func (o *outbox) sinksFailed() error {
	if len(o.waiting) == 0 {
		return nil
	}
	return o.waiting[0].results.err()
}

// reap takes note of the epochs that are wholly acknowledged.
func (o *outbox) reap() {
	n, seq := o.pub.Acked()
	for len(o.waiting) > 0 && o.waiting[0].upTo <= n && o.waiting[0].results.stored(o.waiting[0].out) {
		o.n.step("acknowledged")
		o.done = o.waiting[0]
		o.waiting = o.waiting[1:]
		o.floor = max(o.floor, o.done.held)
		if o.done.upTo > o.base {
			o.floor = max(o.floor, seq-(n-o.done.upTo))
		}
		if o.done.out.Epoch >= o.upToOld { // before the last marker of an earlier run it was done then
			o.erased = append(o.erased, o.done.out.Erased...)
		}
		o.n.metrics.published(o.done, o.n.cfg.Now())
		o.n.tell(o.done.told)
		o.recycle(o.done)
	}
}

func (o *outbox) recycle(e *epochOut) {
	o.bytes.Add(-e.bytes)
	select {
	case o.free <- e.out:
	default:
	}
	select {
	case o.room <- struct{}{}:
	default:
	}
}

// send sends an epoch. One that slept for longer than half the lease renews it first: that fences a node which was replaced.
func (o *outbox) send(ctx context.Context, e *epochOut) error {
	if o.lease.spent() {
		if err := o.mark(ctx); err != nil {
			return err
		}
	}
	msgs, err := o.lacking(e)
	if err != nil && o.n.cfg.Adopt && !o.adopted {
		if err = o.adopt(ctx, err); err == nil {
			msgs, err = o.lacking(e)
		}
	}
	if err != nil {
		return err
	}
	e.results.send(e)
	o.waiting = append(o.waiting, e)
	o.sent += uint64(len(msgs))
	e.sent, e.upTo = msgs, o.sent
	if len(msgs) == 0 {
		return nil
	}
	o.n.step("publish")
	err = o.pub.Send(ctx, msgs)
	o.n.step("published")
	if err != nil && ctx.Err() == nil {
		o.n.log.Warn("the decision stream is out of reach; what is unacknowledged will be looked up", zap.Error(err))
		return o.resolve(ctx)
	}
	return err
}

// resolve finds out what the stream holds of the epochs under way and sends what it lacks. Nothing is sent again on the
// hope that the server remembers it.
func (o *outbox) resolve(ctx context.Context) error {
	defer o.n.waitOver(waitNATS)
	for attempt := 0; ; attempt++ {
		o.n.waitFor(waitNATS, "", o.pub.Err())
		err := o.tryResolve(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, streams.ErrFenced) || errors.Is(err, errDiffers) {
			return err
		}
		o.n.log.Warn("the decision stream does not answer; trying again", zap.Error(err), zap.Int("attempt", attempt))
		select {
		case <-time.After(min(5*time.Second, 100*time.Millisecond<<min(attempt, 6))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remember notes the message that was refused because the stream had its id before: if it is not there any more it was purged, and is not to come back.
func (o *outbox) remember(err error) {
	var before *streams.StoredBefore
	if !errors.As(err, &before) {
		return
	}
	for _, e := range o.waiting {
		if first := e.upTo - uint64(len(e.sent)) + 1; before.Message >= first && before.Message <= e.upTo {
			if o.gone == nil {
				o.gone = map[string]bool{}
			}
			o.gone[strings.Clone(e.sent[before.Message-first].ID)] = true
		}
	}
}

var errDiffers = errors.New("differs")

func (o *outbox) tryResolve(ctx context.Context) error {
	if err := o.stream.WaitConnected(ctx); err != nil {
		return err
	}
	if err := o.write(ctx); err != nil {
		return err
	}
	stored, err := o.stored(ctx, o.floor)
	if err != nil {
		return err
	}
	found := len(stored)
	o.remember(o.pub.Err())
	o.pub.Reset()
	o.sent, _ = o.pub.Acked()
	o.base = o.sent
	sent := 0
	for _, e := range o.waiting {
		msgs, err := o.lacking(e)
		if err != nil {
			return fmt.Errorf("%w: %w", errDiffers, err)
		}
		if msgs, err = o.without(e, msgs, stored); err != nil {
			return fmt.Errorf("%w: %w", errDiffers, err)
		}
		o.sent += uint64(len(msgs))
		e.sent, e.upTo = msgs, o.sent
		sent += len(msgs)
		if err := o.pub.Send(ctx, msgs); err != nil {
			return err
		}
	}
	o.n.log.Info("the decision stream is back", zap.Int("held", found), zap.Int("sent_again", sent))
	return nil
}

// mark writes the marker for what is published by now, and so renews the lease.
func (o *outbox) mark(ctx context.Context) error {
	err := o.write(ctx)
	if err == nil {
		err = o.purge(ctx)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, streams.ErrFenced) {
		return err
	}
	return o.resolve(ctx)
}

// erasing says that an epoch under way erases customers. The next one is sent when their decisions are purged: so the purge
// takes those before the erasure and none after it.
func (o *outbox) erasing() bool {
	if len(o.erased) > 0 {
		return true
	}
	for _, e := range o.waiting {
		if len(e.out.Erased) > 0 && e.out.Epoch >= o.upToOld {
			return true
		}
	}
	return false
}

// purge removes the decisions of erased customers once the marker covers the epoch that erases them: what is purged would
// else be missed, and sent again, when the epoch is run again. It is repeated if a start finds the marker at
// that very epoch: later ones may have been sent since, so it reaches up to the marker's floor, the epoch's last sequence.
func (o *outbox) purge(ctx context.Context) error {
	if o.done == nil || o.marker.Epoch < o.done.out.Epoch {
		return nil
	}
	for len(o.erased) > 0 {
		o.n.step("purge")
		if err := o.stream.PurgeCustomer(ctx, o.erased[0], o.marker.Floor); err != nil {
			return fmt.Errorf("node: purge the decisions of an erased customer: %w", err)
		}
		o.n.step("purged")
		o.erased = o.erased[1:]
	}
	o.publishedUpTo()
	return nil
}

// publishedUpTo tells checkpoints how far everything is out, and purged. None is complete while the marker is early: messages of its epochs may lie above
// its floor then, and these epochs have to be run again to know them.
func (o *outbox) publishedUpTo() {
	if len(o.erased) == 0 && !o.early && o.published.Swap(o.marker.Epoch) != o.marker.Epoch {
		o.n.nudgeMarks()
	}
}

// beginMark has the marker written while epochs are sent on: those that follow it are none of its business.
func (o *outbox) beginMark(ctx context.Context) {
	o.ready()
	o.writing = true
	m, seq := *o.attempt, o.seq
	go func() {
		seq, err := o.stream.WriteMarker(ctx, m, seq)
		o.wrote <- markerEnd{seq, err}
	}()
}

// markEnded takes note of how the writing of a marker ended that was begun before.
func (o *outbox) markEnded(ctx context.Context, end markerEnd) error {
	o.writing = false
	switch {
	case end.err == nil:
		o.marked(end.seq)
		return nil
	case ctx.Err() != nil || errors.Is(end.err, streams.ErrFenced):
		return end.err
	}
	o.n.log.Warn("the marker may not have been written; what is unacknowledged will be looked up", zap.Error(end.err))
	return o.resolve(ctx)
}

// ready readies the marker that is written next. One that may have been written already is repeated as it was: only so can it be told from somebody else's.
func (o *outbox) ready() {
	o.begun = o.n.cfg.Now()
	if o.attempt == nil {
		m := o.nextMarker()
		m.Written = o.begun.UnixMilli()
		o.attempt, o.early = &m, o.unmet()
	}
	o.n.step("marker")
}

// marked takes note of a marker that was written.
func (o *outbox) marked(seq uint64) {
	o.n.step("marked")
	o.seq, o.marker, o.attempt = seq, *o.attempt, nil
	o.lease.renew(o.begun)
	o.publishedUpTo()
}

// write writes the marker and waits for it; first for one that is being written.
func (o *outbox) write(ctx context.Context) error {
	if o.writing {
		end := <-o.wrote
		o.writing = false
		switch {
		case end.err == nil:
			o.marked(end.seq)
		case ctx.Err() != nil || errors.Is(end.err, streams.ErrFenced):
			return end.err
		}
	}
	o.ready()
	var seq uint64
	for attempt := 0; ; attempt++ {
		var err error
		if seq, err = o.stream.WriteMarker(ctx, *o.attempt, o.seq); err == nil {
			break
		}
		if attempt == 2 || ctx.Err() != nil || errors.Is(err, streams.ErrFenced) {
			return fmt.Errorf("node: marker of epoch %d: %w", o.attempt.Epoch, err)
		}
		o.n.waitFor(waitNATS, "", err)
		if err := o.stream.WaitConnected(ctx); err != nil {
			return err
		}
	}
	o.n.waitOver(waitNATS)
	o.marked(seq)
	return nil
}

// nextMarker says what is published by now.
func (o *outbox) nextMarker() streams.Marker {
	m := o.marker
	m.Released, m.Adopted = o.finish, o.adopted
	d := o.done
	if d != nil && d.out.Epoch > m.Epoch {
		m.Epoch, m.EntryHash, m.Offsets = d.out.Epoch, d.hash, o.n.offsetMap(d.offsets)
	}
	if d != nil && d.out.Epoch == m.Epoch {
		m.Floor = o.floor
		if o.unmet() {
			for _, h := range o.recovery { // of later epochs, though what was lacking of this one lies behind them now
				m.Floor = min(m.Floor, h.seq-1)
			}
		}
	}
	return m
}

// end writes the last marker and releases the lease.
func (o *outbox) end(ctx context.Context) error {
	o.finish = true
	for !o.marker.Released || len(o.erased) > 0 || o.done != nil && o.marker.Epoch < o.done.out.Epoch {
		if err := o.mark(ctx); err != nil {
			return err
		}
	}
	o.n.log.Info("everything is published; the lease is released", zap.Uint64("epoch", o.marker.Epoch))
	return nil
}
