package kafka

import (
	"context"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
)

// deliver sends a batch until the broker has it.
func (l *lane) deliver(ctx context.Context, b *batch) error {
	p := l.producer
	if codec := p.codec.Codec(); codec != nil {
		if err := b.compress(codec); err != nil {
			return err
		}
	}
	for {
		err := l.attempt(ctx, b)
		if err == nil {
			l.waiter.over()
			if l.sequence >= 0 {
				l.sequence = int32((int64(l.sequence) + int64(b.count)) & 0x7fffffff)
			}
			return nil
		}
		l.disconnect()
		if ctx.Err() != nil || !curable(err) {
			l.waiter.over()
			return err
		}
		if err := l.waiter.pause(ctx, err); err != nil {
			l.waiter.over()
			return err
		}
	}
}

// attempt sends a batch once.
func (l *lane) attempt(ctx context.Context, b *batch) error {
	if l.conn == nil {
		if err := l.connect(ctx); err != nil {
			return err
		}
	}
	p := l.producer
	if p.gate != nil {
		if err := p.gate(ctx); err != nil {
			return fmt.Errorf("%w: %w", errGate, err)
		}
	}
	b.seal(p.codec, l.id, l.epoch, l.sequence)
	if p.acks == AcksNone {
		return l.conn.post(ctx, p.client.cfg.Patience, produceKey, produceVersion, false, func(w *writer) { l.request(w, b) })
	}
	r, err := l.conn.exchange(ctx, p.client.cfg.Patience, produceKey, produceVersion, false, func(w *writer) { l.request(w, b) })
	if err != nil {
		return err
	}
	code, detail := readProduce(&r)
	if err := r.err(); err != nil {
		return fmt.Errorf("%s: %w", l.conn.addr, err)
	}
	switch kafkago.Error(code) {
	case kafkago.DuplicateSequenceNumber:
		return nil // stored by an earlier attempt
	case kafkago.OutOfOrderSequenceNumber, kafkago.UnknownProducerId, kafkago.InvalidProducerEpoch, kafkago.InvalidProducerIDMapping:
		// The broker has forgotten this producer, which takes days, or lost records: begin again under another id.
		l.id, l.epoch, l.sequence = -1, -1, -1
		return fmt.Errorf("%s: %s", l.conn.addr, kafkago.Error(code))
	}
	if err := refusal(code, detail); err != nil {
		return fmt.Errorf("%s: %w", l.conn.addr, err)
	}
	return nil
}

// connect finds the partition's leader, and a producer's id if there is none yet.
func (l *lane) connect(ctx context.Context) error {
	c := l.producer.client
	meta, err := c.metadata(ctx, l.producer.topic)
	if err != nil {
		return err
	}
	addr, err := meta.leader(l.partition)
	if err != nil {
		return err
	}
	cn, err := c.dial(ctx, addr)
	if err != nil {
		return err
	}
	l.conn = cn
	if l.producer.acks != AcksAll || l.id >= 0 {
		return nil
	}
	m, err := cn.ask(ctx, c.cfg.Patience, &initproducerid.Request{ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMs: 60_000})
	if err != nil {
		return err
	}
	res := m.(*initproducerid.Response)
	if err := refusal(res.ErrorCode, ""); err != nil {
		return fmt.Errorf("%s: producer id: %w", addr, err)
	}
	l.id, l.epoch, l.sequence = res.ProducerID, res.ProducerEpoch, 0
	return nil
}

func (l *lane) request(w *writer, b *batch) {
	acks := [...]int16{AcksAll: -1, AcksLeader: 1, AcksNone: 0}
	w.int16(-1) // no transaction
	w.int16(acks[l.producer.acks])
	w.int32(int32(l.producer.client.cfg.Patience / 2 / time.Millisecond))
	w.int32(1)
	w.string(l.producer.topic)
	w.int32(1)
	w.int32(l.partition)
	w.int32(int32(len(b.b)))
	w.b = append(w.b, b.b...)
}

// readProduce decodes the answer of version 8 to a request with one partition.
func readProduce(r *reader) (code int16, detail string) {
	for topics := r.arrayLen(); topics > 0; topics-- {
		r.nullableString()
		for partitions := r.arrayLen(); partitions > 0; partitions-- {
			r.int32()
			code = r.int16()
			r.take(3 * 8) // base offset, append time, log start
			for n := r.arrayLen(); n > 0; n-- {
				r.int32()
				if text := r.nullableString(); detail == "" {
					detail = text
				}
			}
			if text := r.nullableString(); text != "" {
				detail = text
			}
		}
	}
	r.int32() // throttle
	return code, detail
}
