package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	client "github.com/nats-io/nats.go"

	"nudge/streams"
)

// ErrUnsure says that it is unknown which of the unacknowledged messages are in the stream. Read it, then Reset.
var ErrUnsure = errors.New("unsure what is stored")

// A chunk is what one acknowledgement covers. It ends after so many messages or bytes and at the end of every Send. On a
// replicated stream every message is a chunk.
const (
	chunkMessages = 64
	chunkBytes    = 64 << 10
)

// windowBytes is how many bytes may wait for acknowledgement. The server drops what exceeds 128 MiB of a stream's queue.
const windowBytes = 16 << 20

// largestWindow keeps below the number of messages that a server holds in a stream's queue before it drops.
const largestWindow = 50_000

// Publisher sends messages to the stream and keeps account of what is acknowledged. One goroutine sends at a time;
// everything else may be called from anywhere.
//
// The messages that were ever sent are numbered from 1. After a failure Reset forgets those that were not
// acknowledged, and the numbering goes on after the last one that was.
type Publisher struct {
	stream *Stream
	window uint64
	sub    *client.Subscription
	inbox  string // the acknowledgements' subject up to the life's number, with the dot
	notify chan struct{}

	sending sync.Mutex // held by Send; guards what follows
	msg     client.Msg
	last    string   // id of the last message
	id      []string // the values in msg.Header, so that a message allocates no map
	after   []string
	ttl     []string
	trace   []string
	ttlOf   time.Duration // what ttl[0] says

	mu       sync.Mutex
	life     uint64 // counts resets: acknowledgements of an earlier life are ignored
	base     uint64 // stream sequence before the first message of this life
	start    uint64 // number of the last message before this life
	sent     uint64
	acked    uint64
	highest  uint64  // highest sequence acknowledged
	chunks   []chunk // asked and not acknowledged, in order
	bytes    int     // of chunks
	failed   error
	waiters  []waiter
	timer    *time.Timer
	timeouts time.Duration
}

// chunk is a run of messages whose last one asked for an acknowledgement.
type chunk struct {
	last  uint64 // number of its last message
	bytes int
	at    time.Time
}

// waiter waits until message n is acknowledged.
type waiter struct {
	n    uint64
	done chan struct{}
}

// Publisher makes the stream's publisher; window is how many messages may wait for acknowledgement, 0 for a default.
// A stream that holds messages must be Read, from wherever the caller's knowledge ends, before the first is sent.
func (s *Stream) Publisher(window int) (*Publisher, error) {
	if window <= 0 {
		window = 8192
	}
	p := &Publisher{
		stream:   s,
		window:   uint64(min(window, largestWindow)),
		inbox:    s.conn.nc.NewInbox() + ".",
		notify:   make(chan struct{}, 1),
		id:       make([]string, 1),
		after:    make([]string, 1),
		ttl:      make([]string, 1),
		trace:    make([]string, 1),
		timeouts: s.conn.ackTimeout,
	}
	p.msg.Header = client.Header{headerID: p.id}
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop()
	sub, err := s.conn.nc.Subscribe(p.inbox+"*.*", p.receive)
	if err != nil {
		return nil, fmt.Errorf("streams/nats: publisher of %s: %w", s.cfg.Name, err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by the window
		return nil, fmt.Errorf("streams/nats: publisher of %s: %w", s.cfg.Name, err)
	}
	p.sub = sub
	s.conn.mu.Lock()
	s.conn.publishers[p] = struct{}{}
	s.conn.mu.Unlock()
	return p, nil
}

// Send sends the messages. It blocks only while the window is full. Of its errors, ErrUnsure leaves any number of them
// sent and stays until Reset; when ctx ends, Sent says how many were sent; and a message that can never be sent is
// refused before any other is.
func (p *Publisher) Send(ctx context.Context, msgs []streams.Message) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	if err := p.check(msgs); err != nil {
		return fmt.Errorf("streams/nats: publish to %s: %w", p.stream.cfg.Name, err)
	}
	for len(msgs) > 0 {
		n, size := p.cut(msgs)
		expect, first, reply, err := p.reserve(ctx, n, size)
		if err != nil {
			return fmt.Errorf("streams/nats: publish to %s: %w", p.stream.cfg.Name, err)
		}
		for i := range msgs[:n] {
			if i == n-1 {
				p.msg.Reply = reply
			}
			if err := p.publish(&msgs[i], expect+uint64(i), first && i == 0); err != nil {
				p.fail(fmt.Errorf("send %s: %w", msgs[i].ID, err))
				return fmt.Errorf("streams/nats: publish to %s: %w", p.stream.cfg.Name, p.Err())
			}
		}
		p.last = strings.Clone(p.last) // the caller's strings are his after the call
		msgs = msgs[n:]
	}
	return nil
}

// check finds messages that no server would take: to try again would be in vain.
func (p *Publisher) check(msgs []streams.Message) error {
	largest := p.stream.conn.nc.MaxPayload()
	for i := range msgs {
		m := &msgs[i]
		if m.ID == "" {
			return fmt.Errorf("message on %s has no id", m.Subject)
		}
		if err := clean(m.Subject); err != nil {
			return fmt.Errorf("message %s: %w", m.ID, err)
		}
		if size := len(m.Data) + 2*len(m.ID) + len(m.Trace) + headerRoom; largest > 0 && int64(size) > largest {
			return fmt.Errorf("message %s on %s: %d bytes: the server takes %d (max_payload in its configuration)", m.ID, m.Subject, size, largest)
		}
	}
	return nil
}

// cut says how many of the messages make up the next chunk, and their size.
func (p *Publisher) cut(msgs []streams.Message) (n, size int) {
	most := min(chunkMessages, int(p.window), len(msgs))
	if !p.stream.chained() {
		most = 1
	}
	for n < most && size < chunkBytes {
		size += len(msgs[n].Data) + len(msgs[n].Subject) + len(msgs[n].ID) + headerRoom
		n++
	}
	return n, size
}

// reserve waits for room for a chunk and notes it as asked. It returns the sequence that must be the stream's last
// before the chunk, whether the chunk is the first of this life, and the subject for its acknowledgement.
func (p *Publisher) reserve(ctx context.Context, n, size int) (expect uint64, first bool, reply string, err error) {
	for {
		p.mu.Lock()
		if p.failed != nil {
			p.mu.Unlock()
			return 0, false, "", p.failed
		}
		if len(p.chunks) == 0 || p.sent+uint64(n)-p.acked <= p.window && p.bytes+size <= windowBytes {
			break
		}
		done := p.wait(p.chunks[0].last)
		p.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return 0, false, "", ctx.Err()
		}
	}
	defer p.mu.Unlock()
	if first = p.sent == p.start; first { // go on where the stream was last seen to end
		p.base = p.stream.seen.Load()
	}
	expect = p.base + p.sent - p.start
	p.sent += uint64(n)
	p.bytes += size
	if len(p.chunks) == 0 {
		p.timer.Reset(p.timeouts)
	}
	p.chunks = append(p.chunks, chunk{last: p.sent, bytes: size, at: time.Now()})
	b := make([]byte, 0, len(p.inbox)+32)
	b = append(b, p.inbox...)
	b = strconv.AppendUint(b, p.life, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, p.sent, 10)
	return expect, first, string(b), nil
}

// The headers of a message.
const (
	headerID       = "Nats-Msg-Id"
	headerAfterSeq = "Nats-Expected-Last-Sequence"
	headerAfterID  = "Nats-Expected-Last-Msg-Id"
	headerTTL      = "Nats-TTL"
	headerTrace    = "traceparent"
	headerRoom     = 256 // more than they take beside the ids and the trace
)

// publish hands one message to the connection, with what it must come after.
func (p *Publisher) publish(m *streams.Message, expect uint64, first bool) error {
	p.id[0] = m.ID
	if first || !p.stream.chained() {
		delete(p.msg.Header, headerAfterID)
		p.msg.Header[headerAfterSeq] = p.after
		p.after[0] = strconv.FormatUint(expect, 10)
	} else {
		delete(p.msg.Header, headerAfterSeq)
		p.msg.Header[headerAfterID] = p.after
		p.after[0] = p.last
	}
	p.last = m.ID
	if m.TTL > 0 {
		if m.TTL != p.ttlOf {
			p.ttlOf, p.ttl[0] = m.TTL, ttlHeader(m.TTL, p.stream.cfg.Outage)
		}
		p.msg.Header[headerTTL] = p.ttl
	} else {
		delete(p.msg.Header, headerTTL)
	}
	if m.Trace != "" {
		p.trace[0] = m.Trace
		p.msg.Header[headerTrace] = p.trace
	} else {
		delete(p.msg.Header, headerTrace)
	}
	p.msg.Subject, p.msg.Data = m.Subject, m.Data
	err := p.stream.conn.nc.PublishMsg(&p.msg)
	p.msg.Reply = ""
	return err
}

// ttlHeader writes a TTL in whole seconds, rounded up, and never below the outage that recovery must bridge.
func ttlHeader(ttl, outage time.Duration) string {
	ttl = max(ttl, outage, time.Second)
	return strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10)
}

// receive takes an acknowledgement. It runs on the subscription's own goroutine.
func (p *Publisher) receive(m *client.Msg) {
	life, n, ok := p.about(m.Subject)
	if !ok {
		return
	}
	seq, duplicate, err := parseAck(m.Data, m.Header.Get("Status"))

	p.mu.Lock()
	defer p.mu.Unlock()
	if life != p.life || n <= p.acked || n > p.sent || p.failed != nil {
		return
	}
	if err == nil {
		err = p.verify(n, seq, duplicate)
	}
	if err != nil {
		p.failLocked(fmt.Errorf("refused: %w", err))
		return
	}
	p.acked, p.highest = n, seq
	p.stream.seen.Store(seq)
	i := 0
	for i < len(p.chunks) && p.chunks[i].last <= n {
		p.bytes -= p.chunks[i].bytes
		i++
	}
	p.chunks = p.chunks[:copy(p.chunks, p.chunks[i:])]
	if len(p.chunks) == 0 {
		p.timer.Stop()
	}
	p.wake(n)
}

// verify looks for an acknowledgement that does not fit. mu is held.
func (p *Publisher) verify(n, seq uint64, duplicate bool) error {
	expected := p.base + n - p.start
	switch {
	case duplicate:
		return &streams.StoredBefore{Message: n, Seq: seq}
	case seq != expected:
		return fmt.Errorf("message %d was stored as sequence %d, expected %d", n, seq, expected)
	case !p.stream.chained() && n != p.chunks[0].last:
		return fmt.Errorf("message %d is acknowledged before message %d", n, p.chunks[0].last)
	}
	return nil
}

// about reads from the subject of an acknowledgement which life and message it is about.
func (p *Publisher) about(subject string) (life, n uint64, ok bool) {
	if len(subject) <= len(p.inbox) {
		return 0, 0, false
	}
	first, second, _ := strings.Cut(subject[len(p.inbox):], ".")
	life, err1 := strconv.ParseUint(first, 10, 64)
	n, err2 := strconv.ParseUint(second, 10, 64)
	return life, n, err1 == nil && err2 == nil
}

// wait notes that someone waits for message n. mu is held.
func (p *Publisher) wait(n uint64) <-chan struct{} {
	done := make(chan struct{})
	p.waiters = append(p.waiters, waiter{n, done})
	return done
}

// wake tells those who wait for a message up to n. mu is held.
func (p *Publisher) wake(n uint64) {
	kept := p.waiters[:0]
	for _, w := range p.waiters {
		if w.n <= n {
			close(w.done)
		} else {
			kept = append(kept, w)
		}
	}
	clear(p.waiters[len(kept):])
	p.waiters = kept
	select {
	case p.notify <- struct{}{}:
	default:
	}
}

// expire fails the publisher if an acknowledgement is overdue.
func (p *Publisher) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chunks) == 0 || p.failed != nil {
		return
	}
	if left := p.timeouts - time.Since(p.chunks[0].at); left > 0 {
		p.timer.Reset(left)
		return
	}
	p.failLocked(fmt.Errorf("no acknowledgement of message %d within %v", p.chunks[0].last, p.timeouts))
}

// lost is told that the connection is gone. With nothing in flight that is no failure: the chain goes on when it is back.
func (p *Publisher) lost(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chunks) > 0 {
		p.failLocked(err)
	}
}

func (p *Publisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failLocked(err)
}

func (p *Publisher) failLocked(err error) {
	if p.failed != nil {
		return
	}
	p.failed = fmt.Errorf("%w: %w", ErrUnsure, err)
	p.timer.Stop()
	p.wake(^uint64(0))
}

// Err is nil, or the ErrUnsure that must be resolved by reading the stream and Reset.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Sent is the number of the last message sent.
func (p *Publisher) Sent() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Acked says that the first n messages are acknowledged, the last of them as stream sequence seq (0 before the first).
func (p *Publisher) Acked() (n, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked, p.highest
}

// Notify is sent to, without blocking, whenever Acked or Err has changed.
func (p *Publisher) Notify() <-chan struct{} { return p.notify }

// Wait returns when the first n messages are acknowledged, or when the publisher fails.
func (p *Publisher) Wait(ctx context.Context, n uint64) error {
	p.mu.Lock()
	if p.acked >= n || p.failed != nil {
		err := p.failed
		if p.acked >= n {
			err = nil
		}
		p.mu.Unlock()
		return p.place(err)
	}
	done := p.wait(n)
	p.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return p.place(ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.acked >= n {
		return nil
	}
	return p.place(p.failed)
}

func (p *Publisher) place(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("streams/nats: acknowledgements of %s: %w", p.stream.cfg.Name, err)
}

// Reset makes the publisher usable again after a failure, or begins anew without one: it forgets what is not
// acknowledged. The caller has read the stream since the failure; if not, or if the stream has grown since,
// the server refuses the next message and the publisher is unsure again.
func (p *Publisher) Reset() {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life++
	p.failed = nil
	p.sent, p.start = p.acked, p.acked
	p.chunks, p.bytes = p.chunks[:0], 0
	p.timer.Stop()
	p.wake(p.acked)
}

// Close stops the publisher. What is not acknowledged stays unsure.
func (p *Publisher) Close() {
	p.stream.conn.mu.Lock()
	delete(p.stream.conn.publishers, p)
	p.stream.conn.mu.Unlock()
	p.fail(errors.New("publisher closed"))
	p.sub.Unsubscribe() // fails only on a closed connection, which has no subscriptions either
}
