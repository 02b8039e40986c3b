package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"nudge/streams"
)

const (
	// missingAfter is how long a topic that was there may be unknown to the broker before that is taken for the truth.
	missingAfter = 5 * time.Second
	// damagedAfter is how often the same fetch may bring damaged data before that is not the network's fault.
	damagedAfter = 3
	// stalledAfter is how many empty answers in a row a broker may give while it says that there are records.
	stalledAfter = 20
)

// Fetcher reads one partition in order. Fetch and Close are called by one goroutine; Stats by any.
type Fetcher struct {
	client    *Client
	topic     string
	partition int32
	next      int64
	maxBytes  int

	id        TopicID // of the incarnation that is being read; zero until it is known
	conn      *conn
	epoch     int32
	waiter    waiter
	missing   time.Time // since when the broker has not known the topic; zero if it does
	damaged   int
	stalled   int
	fetches   atomic.Uint64
	records   atomic.Uint64
	bytes     atomic.Uint64
	skipped   atomic.Uint64
	reconnect atomic.Uint64
}

// Stats counts what a Fetcher has done.
type Stats struct {
	Fetches    uint64
	Records    uint64
	Bytes      uint64 // as they came, compressed or not
	Skipped    uint64 // records of aborted transactions, and transaction markers
	Reconnects uint64
	Waiting    string // what it waits for; "" if nothing is wrong
}

// Fetcher returns a reader of one partition that begins at offset from. It connects with the first Fetch.
func (c *Client) Fetcher(topic string, partition int32, from int64) *Fetcher {
	return &Fetcher{client: c, topic: topic, partition: partition, next: from, maxBytes: c.cfg.MaxBytes,
		waiter: waiter{client: c, what: fmt.Sprintf("read %s/%d", topic, partition)}}
}

// Stats returns the counts so far.
func (f *Fetcher) Stats() Stats {
	return Stats{Fetches: f.fetches.Load(), Records: f.records.Load(), Bytes: f.bytes.Load(), Skipped: f.skipped.Load(),
		Reconnects: f.reconnect.Load(), Waiting: f.waiter.text()}
}

// Close ends the connection. A later Fetch opens another.
func (f *Fetcher) Close() {
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
}

// Fetch returns the records that follow, as soon as there are any, or an empty batch after Config.MaxWait. Batch.Next is where the next
// Fetch goes on. The records share buffers that belong to this batch alone and stay valid while they are referenced.
//
// A broker that is away or slow is waited for, as long as ctx allows. The errors are those of ctx and those that waiting can't cure:
// *ErrOffsetBelowStart, *ErrOffsetAboveEnd, ErrTopicMissing, ErrTopicRecreated, ErrPartitionMissing, ErrDenied, ErrUnsupported, ErrCorrupt. The
// Fetcher stands where it stood after any of them.
func (f *Fetcher) Fetch(ctx context.Context) (streams.Batch, error) {
	for {
		batch, err := f.try(ctx)
		if err == nil {
			f.waiter.over()
			return batch, nil
		}
		f.Close()
		if err = f.judge(err); ctx.Err() != nil || !curable(err) {
			f.waiter.over()
			return streams.Batch{}, fmt.Errorf("streams/kafka: read %s/%d@%d: %w", f.topic, f.partition, f.next, err)
		}
		if err := f.waiter.pause(ctx, err); err != nil {
			f.waiter.over()
			return streams.Batch{}, fmt.Errorf("streams/kafka: read %s/%d@%d: %w", f.topic, f.partition, f.next, err)
		}
	}
}

// judge makes errors that may be a passing state of the broker or the network curable until they have lasted.
func (f *Fetcher) judge(err error) error {
	switch {
	case errors.Is(err, ErrTopicMissing) && f.id != (TopicID{}):
		if f.missing.IsZero() {
			f.missing = time.Now()
		}
		if time.Since(f.missing) < missingAfter {
			return errors.New(err.Error())
		}
	case errors.Is(err, ErrCorrupt):
		if f.damaged++; f.damaged < damagedAfter {
			return errors.New(err.Error())
		}
		return fmt.Errorf("%w (the same %d times); restore the partition's log from a replica or a backup", err, f.damaged)
	}
	return err
}

// connect finds the partition's leader and connects to it.
func (f *Fetcher) connect(ctx context.Context) error {
	meta, err := f.client.metadata(ctx, f.topic)
	if err != nil {
		return err
	}
	f.missing = time.Time{}
	if f.id != (TopicID{}) && f.id != meta.id {
		return fmt.Errorf("%w: its id was %s and is %s; offsets of the old topic mean nothing in the new one: give the app a new generation "+
			"and an empty state folder", ErrTopicRecreated, f.id, meta.id)
	}
	addr, err := meta.leader(f.partition)
	if err != nil {
		return err
	}
	cn, err := f.client.dial(ctx, addr)
	if err != nil {
		return err
	}
	if f.id != (TopicID{}) {
		f.reconnect.Add(1)
	}
	f.conn, f.id, f.epoch = cn, meta.id, meta.partitions[f.partition].epoch
	return nil
}

// try makes one fetch.
func (f *Fetcher) try(ctx context.Context) (streams.Batch, error) {
	if f.conn == nil {
		if err := f.connect(ctx); err != nil {
			return streams.Batch{}, err
		}
	}
	cfg := &f.client.cfg
	r, err := f.conn.exchange(ctx, cfg.MaxWait+cfg.Patience, fetchKey, fetchVersion, true, f.request)
	if err != nil {
		return streams.Batch{}, err
	}
	f.fetches.Add(1)
	ans, err := readFetch(&r)
	if err != nil {
		return streams.Batch{}, fmt.Errorf("%s: %w", f.conn.addr, err)
	}
	if ans.code != 0 {
		return streams.Batch{}, f.refused(ctx, &ans)
	}
	d := decoder{from: f.next}
	partial, err := d.decode(ans.records, ans.aborted)
	if err != nil {
		return streams.Batch{}, err
	}
	f.damaged = 0
	f.bytes.Add(uint64(len(ans.records)))
	f.records.Add(uint64(len(d.records)))
	f.skipped.Add(d.skipped)
	switch {
	case partial:
		// Brokers before KIP-74 cut even the first batch.
		if f.maxBytes >= maxFrame/2 {
			return streams.Batch{}, fmt.Errorf("%w: the batch at offset %d is larger than %d bytes", ErrUnsupported, f.next, f.maxBytes)
		}
		f.maxBytes *= 2
	case d.next == f.next && f.next < ans.stable:
		if f.stalled++; f.stalled >= stalledAfter {
			f.stalled = 0
			return streams.Batch{}, fmt.Errorf("%s: nothing comes although the log ends at %d", f.conn.addr, ans.stable)
		}
	default:
		f.stalled = 0
		f.maxBytes = cfg.MaxBytes
	}
	f.next = d.next
	return streams.Batch{Records: d.records, Next: d.next, End: ans.stable}, nil
}

// refused turns the error of a fetch into what it means for the position.
func (f *Fetcher) refused(ctx context.Context, ans *fetched) error {
	if kafkago.Error(ans.code) != kafkago.OffsetOutOfRange {
		return fmt.Errorf("%s: %w", f.conn.addr, refusal(ans.code, ""))
	}
	ranges := make([]Range, f.partition+1)
	if err := f.client.listOffsets(ctx, f.conn.addr, f.topic, []int32{f.partition}, ranges); err != nil {
		return err
	}
	switch held := ranges[f.partition]; {
	case f.next < held.Start:
		return &ErrOffsetBelowStart{Topic: f.topic, Partition: f.partition, Offset: f.next, Start: held.Start}
	case f.next > held.End:
		return &ErrOffsetAboveEnd{Topic: f.topic, Partition: f.partition, Offset: f.next, End: held.End}
	}
	return fmt.Errorf("%s: %w, but now it is not", f.conn.addr, kafkago.OffsetNotAvailable)
}

func (f *Fetcher) request(w *writer) {
	cfg := &f.client.cfg
	w.int32(-1) // not a replica
	w.int32(int32(cfg.MaxWait / time.Millisecond))
	w.int32(1) // MinBytes
	w.int32(int32(f.maxBytes))
	w.int8(readCommitted)
	w.int32(0)  // no session
	w.int32(-1) // and none to begin
	w.compactLen(1)
	w.b = append(w.b, f.id[:]...)
	w.compactLen(1)
	w.int32(f.partition)
	w.int32(f.epoch)
	w.int64(f.next)
	w.int32(-1) // epoch of the last record: only replicas need to know where logs diverge
	w.int64(-1) // log start, for replicas
	w.int32(int32(f.maxBytes))
	w.tags()
	w.tags()
	w.compactLen(0) // nothing forgotten
	w.compactString("")
	w.tags()
}

// fetched is the answer to a fetch of one partition. Its records alias the answer's buffer.
type fetched struct {
	code    int16
	stable  int64 // last stable offset
	aborted []aborted
	records []byte
}

// readFetch decodes an answer of version 13.
func readFetch(r *reader) (fetched, error) {
	var ans fetched
	r.int32() // throttle
	ans.code = r.int16()
	r.int32() // session
	for topics := r.compactLen(); topics > 0; topics-- {
		r.take(16)
		for partitions := r.compactLen(); partitions > 0; partitions-- {
			r.int32() // index
			if code := r.int16(); code != 0 {
				ans.code = code
			}
			r.int64() // high watermark
			ans.stable = r.int64()
			r.int64() // log start
			for n := r.compactLen(); n > 0; n-- {
				ans.aborted = append(ans.aborted, aborted{producer: r.int64(), first: r.int64()})
				r.tags()
			}
			r.int32() // preferred replica
			ans.records = r.compactBytes()
			r.tags()
		}
		r.tags()
	}
	r.tags()
	return ans, r.err()
}
