package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"nudge/cmd/nudge/internal/latency"
	"nudge/streams"
	"nudge/streams/kafka"
	"nudge/streams/nats"
)

// PassThrough sends a message for every so-and-so-many-th record of some topics.
type PassThrough struct {
	App    string
	Client *kafka.Client
	Stream *nats.Stream
	Topics []string
	Every  int
	Bytes  int // of a message
}

// Run reads the topics from their beginnings until ctx ends.
func (p *PassThrough) Run(ctx context.Context) error {
	publisher, err := p.Stream.Publisher(0)
	if err != nil {
		return err
	}
	defer publisher.Close()
	batches := make(chan []streams.Message, 16)
	group, ctx := errgroup.WithContext(ctx)
	for _, topic := range p.Topics {
		ranges, err := p.Client.AllOffsets(ctx, topic)
		if err != nil {
			return err
		}
		for id, r := range ranges {
			group.Go(func() error { return p.fetch(ctx, topic, int32(id), r.Start, batches) })
		}
	}
	group.Go(func() error {
		for {
			select {
			case messages := <-batches:
				if err := publisher.Send(ctx, messages); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

func (p *PassThrough) fetch(ctx context.Context, topic string, id int32, from int64, to chan<- []streams.Message) error {
	f := p.Client.Fetcher(topic, id, from)
	defer f.Close()
	for ctx.Err() == nil {
		batch, err := f.Fetch(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		var messages []streams.Message
		for i := range batch.Records {
			if r := &batch.Records[i]; r.Offset%int64(p.Every) == 0 {
				messages = append(messages, p.message(streams.Position{Topic: topic, Partition: id, Offset: r.Offset}, r))
			}
		}
		if len(messages) == 0 {
			continue
		}
		select {
		case to <- messages:
		case <-ctx.Done():
		}
	}
	return nil
}

// message begins with the time at which its record was appended.
func (p *PassThrough) message(pos streams.Position, r *streams.Record) streams.Message {
	data := make([]byte, 0, p.Bytes)
	data = strconv.AppendInt(data, r.AppendMS, 10)
	data = append(data, ' ')
	data = append(data, bytes.Repeat([]byte{'.'}, max(p.Bytes-len(data), 0))...)
	return streams.Message{Subject: streams.DecisionSubject(p.App, streams.KindRecommendation, "pass", string(r.Key)),
		ID: streams.DecisionID(p.App, "", pos, "pass", 0), Data: data}
}

// Measure receives the messages until ctx ends, and counts how long those of records appended since then took.
func (p *PassThrough) Measure(ctx context.Context, since time.Time, to *latency.Histogram) error {
	err := p.Stream.Tail(ctx, p.Stream.DecisionFilter("", "", ""), nats.From{}, func(m nats.Stored) error {
		at := time.Now()
		digits, _, _ := bytes.Cut(m.Data, []byte{' '})
		ms, err := strconv.ParseInt(string(digits), 10, 64)
		if err != nil {
			return fmt.Errorf("a message that is not ours: %w", err)
		}
		if ms >= since.UnixMilli() {
			to.Add(at.Sub(time.UnixMilli(ms)))
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
