package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// Acks is which acknowledgement a Producer waits for.
type Acks int8

// The acknowledgements. AcksAll makes the producer idempotent: a batch that is sent again after a lost answer is stored once.
const (
	AcksAll Acks = iota
	AcksLeader
	AcksNone
)

// queued is how many full batches of a partition may wait while one is on its way; then Send blocks.
const queued = 4

// ProducerConfig says how a Producer writes. Zero fields have the defaults that their comments name.
type ProducerConfig struct {
	Acks Acks // AcksAll
	// Linger is how long a batch that is not full waits for more records: 5 ms. Negative: not at all.
	Linger time.Duration
	// BatchBytes is when a batch is full: 512 KiB, or the topic's max.message.bytes if that is less.
	BatchBytes int
	// Compression is none, gzip, snappy, lz4 or zstd: none.
	Compression string
	// Gate is asked right before a batch is sent, each time; it waits until this process may write: nil for always.
	Gate func(context.Context) error
}

// Producer writes to one topic. It is safe for concurrent use; records of one partition are stored in the order in which Send returned.
//
// A broker that is away is waited for; meanwhile a few batches per partition are held and then Send blocks. An error that waiting can't cure
// stays: every later Send and Flush returns it.
type Producer struct {
	client     *Client
	topic      string
	acks       Acks
	linger     time.Duration
	batchBytes int
	maxRecord  int
	codec      compress.Compression
	gate       func(context.Context) error

	lanes  []*lane
	stored chan struct{} // nudged when a batch is stored, or never will be
	keyles atomic.Uint32 // turns for records without a key
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// errClosed is what a Producer says after Close.
var errClosed = errors.New("the producer is closed")

// errGate is what it says when its gate will not open.
var errGate = errors.New("this process may not write any more")

// Producer returns a writer of a topic. A missing topic is ErrTopicMissing. ctx is for the look-up of the topic only.
func (c *Client) Producer(ctx context.Context, topic string, cfg ProducerConfig) (*Producer, error) {
	info, err := c.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	p := &Producer{client: c, topic: topic, acks: cfg.Acks, linger: cfg.Linger, batchBytes: cfg.BatchBytes, maxRecord: int(info.MaxMessageBytes), gate: cfg.Gate}
	if p.linger == 0 {
		p.linger = 5 * time.Millisecond
	}
	if p.maxRecord <= 0 {
		p.maxRecord = 1 << 20
	}
	if p.batchBytes <= 0 {
		p.batchBytes = 512 << 10
	}
	p.batchBytes = min(p.batchBytes, p.maxRecord)
	if cfg.Compression != "" {
		if err := p.codec.UnmarshalText([]byte(cfg.Compression)); err != nil {
			return nil, fmt.Errorf("streams/kafka: write %s: %w: %w", topic, ErrConfig, err)
		}
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.stored = make(chan struct{}, 1)
	p.lanes = make([]*lane, info.Partitions)
	for i := range p.lanes {
		p.lanes[i] = &lane{producer: p, partition: int32(i), id: -1, epoch: -1, sequence: -1, lock: make(chan struct{}, 1), open: new(batch),
			queue: make(chan *batch, queued), begun: make(chan struct{}, 1), spare: make(chan *batch, queued+2),
			waiter: waiter{client: c, what: fmt.Sprintf("write %s/%d", topic, i)}}
		p.wg.Go(p.lanes[i].run)
	}
	return p, nil
}

// Partitions returns how many partitions the topic had when the Producer was made.
func (p *Producer) Partitions() int32 { return int32(len(p.lanes)) }

// Send writes a record to the partition of its key, or to one after the other if it has none. It returns when the record is held in
// memory, in a copy; Flush says when all are stored.
func (p *Producer) Send(ctx context.Context, r *Record) error {
	n := uint32(len(p.lanes))
	if r.Key == nil {
		return p.SendTo(ctx, int32((p.keyles.Add(1)-1)%n), r)
	}
	return p.SendTo(ctx, PartitionOf(r.Key, int32(n)), r)
}

// SendTo is Send with a partition of the caller's choice.
func (p *Producer) SendTo(ctx context.Context, partition int32, r *Record) error {
	if partition < 0 || int(partition) >= len(p.lanes) {
		return fmt.Errorf("streams/kafka: write %s/%d: %w; it has %d", p.topic, partition, ErrPartitionMissing, len(p.lanes))
	}
	if n := room(r) + batchHeaderBytes; n > p.maxRecord {
		return fmt.Errorf("streams/kafka: write %s/%d: %w: %d bytes, at most %d; raise the topic's max.message.bytes", p.topic, partition, ErrTooLarge, n, p.maxRecord)
	}
	if err := p.lanes[partition].add(ctx, r); err != nil {
		return fmt.Errorf("streams/kafka: write %s/%d: %w", p.topic, partition, err)
	}
	return nil
}

// Stored is how many records of a partition, in the order of Send, are stored.
func (p *Producer) Stored(partition int32) uint64 { return p.lanes[partition].stored.Load() }

// Notify receives when Stored or Err may have changed.
func (p *Producer) Notify() <-chan struct{} { return p.stored }

// Err is the error that waiting can't cure, nil as long as there is none.
func (p *Producer) Err() error { return context.Cause(p.ctx) }

func (p *Producer) nudge() {
	select {
	case p.stored <- struct{}{}:
	default:
	}
}

// Flush returns when every record that was sent before is stored, or with the reason why one is not.
func (p *Producer) Flush(ctx context.Context) error {
	done := make(chan struct{}, len(p.lanes))
	for _, l := range p.lanes {
		if err := l.flush(ctx, done); err != nil {
			return fmt.Errorf("streams/kafka: flush %s/%d: %w", p.topic, l.partition, err)
		}
	}
	for range p.lanes {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("streams/kafka: flush %s: %w", p.topic, context.Cause(ctx))
		case <-p.ctx.Done():
			return fmt.Errorf("streams/kafka: flush %s: %w", p.topic, context.Cause(p.ctx))
		}
	}
	if err := context.Cause(p.ctx); err != nil {
		return fmt.Errorf("streams/kafka: flush %s: %w", p.topic, err)
	}
	return nil
}

// Close ends the Producer. What was not flushed may be lost.
func (p *Producer) Close() {
	p.cancel(errClosed)
	p.wg.Wait()
}

// lane writes one partition: callers fill a batch, one goroutine sends them, one at a time, so that order and sequence hold.
type lane struct {
	producer  *Producer
	partition int32

	lock  chan struct{} // a mutex that gives up with a context; guards open and the sending side of queue
	open  *batch
	queue chan *batch
	begun chan struct{} // holds a token when open has its first record
	spare chan *batch   // buffers to use again

	stored atomic.Uint64 // records

	// The rest belongs to run.
	conn     *conn
	id       int64
	epoch    int16
	sequence int32 // of the batch that is being sent, -1 if the producer is not idempotent
	waiter   waiter
}

// hold takes the lock.
func (l *lane) hold(ctx context.Context) error {
	if err := context.Cause(l.producer.ctx); err != nil {
		return err
	}
	select {
	case l.lock <- struct{}{}:
		return nil
	default:
	}
	select {
	case l.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.producer.ctx.Done():
		return context.Cause(l.producer.ctx)
	}
}

func (l *lane) add(ctx context.Context, r *Record) error {
	if err := l.hold(ctx); err != nil {
		return err
	}
	defer func() { <-l.lock }()
	if l.open.count > 0 && len(l.open.b)+room(r) > l.producer.batchBytes {
		if err := l.push(ctx); err != nil {
			return err
		}
	}
	ms := r.TimeMS
	if ms == 0 {
		ms = time.Now().UnixMilli()
	}
	l.open.add(r, ms)
	if l.open.count == 1 {
		l.signal()
	}
	return nil
}

// push moves the open batch to the queue. The lock is held.
func (l *lane) push(ctx context.Context) error {
	if err := l.enqueue(ctx, l.open); err != nil {
		return err
	}
	l.renew()
	return nil
}

// renew begins another open batch. The lock is held.
func (l *lane) renew() {
	select {
	case l.open = <-l.spare:
		l.open.count = 0
	default:
		l.open = new(batch)
	}
}

func (l *lane) enqueue(ctx context.Context, b *batch) error {
	select {
	case l.queue <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.producer.ctx.Done():
		return context.Cause(l.producer.ctx)
	}
}

func (l *lane) signal() {
	select {
	case l.begun <- struct{}{}:
	default:
	}
}

// flush queues what is open and behind it a sign that answers on done.
func (l *lane) flush(ctx context.Context, done chan<- struct{}) error {
	if err := l.hold(ctx); err != nil {
		return err
	}
	defer func() { <-l.lock }()
	if l.open.count > 0 {
		if err := l.push(ctx); err != nil {
			return err
		}
	}
	return l.enqueue(ctx, &batch{flushed: done})
}

// take returns the next batch to send when the lingering is over, nil if there is none. Whoever holds the lock may be waiting for room in the
// queue, which only the caller makes: so what is queued does not wait for the lock.
func (l *lane) take() *batch {
	select {
	case b := <-l.queue:
		l.signal() // the open one still has to be looked after
		return b
	case l.lock <- struct{}{}:
	case <-l.producer.ctx.Done():
		return nil
	}
	defer func() { <-l.lock }()
	select {
	case b := <-l.queue:
		l.signal() // the open one still has to be looked after
		return b
	default:
	}
	if l.open.count == 0 {
		return nil
	}
	b := l.open
	l.renew()
	return b
}

// run sends batches until the Producer is closed or fails.
func (l *lane) run() {
	ctx := l.producer.ctx
	defer l.disconnect()
	for ctx.Err() == nil {
		var b *batch
		select {
		case b = <-l.queue:
		case <-l.begun:
			b = l.await(ctx)
		case <-ctx.Done():
			return
		}
		switch {
		case b == nil:
		case b.flushed != nil:
			b.flushed <- struct{}{}
		default:
			if err := l.deliver(ctx, b); err != nil {
				l.producer.cancel(err)
				l.producer.nudge()
				return
			}
			l.stored.Add(uint64(b.count))
			l.producer.nudge()
			select {
			case l.spare <- b:
			default:
			}
		}
	}
}

// await lets the open batch fill for as long as it may linger.
func (l *lane) await(ctx context.Context) *batch {
	if l.producer.linger < 0 {
		return l.take()
	}
	timer := time.NewTimer(l.producer.linger)
	defer timer.Stop()
	select {
	case b := <-l.queue:
		l.signal()
		return b
	case <-timer.C:
		return l.take()
	case <-ctx.Done():
		return nil
	}
}

func (l *lane) disconnect() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}
