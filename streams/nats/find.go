package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// From says where a Tail or a Scan begins: at a sequence, at a time, or, the zero value, at what comes next (Tail) or
// at the first message (Scan).
type From struct {
	Seq  uint64
	Time time.Time
}

// First begins a Tail with the first message of the stream.
var First = From{Seq: 1}

// DecisionFilter is the subject filter of decisions; an empty kind, name or token stands for all. token is the
// customer's, as streams.EncodeToken writes it.
func (s *Stream) DecisionFilter(kind, name, token string) string {
	all := func(t string) string {
		if t == "" {
			return "*"
		}
		return t
	}
	return s.prefix + "decisions." + all(kind) + "." + all(name) + "." + all(token)
}

// FeatureFilter is the subject filter of closed windows; an empty name or token stands for all.
func (s *Stream) FeatureFilter(name, token string) string {
	if name == "" {
		name = "*"
	}
	if token == "" {
		token = "*"
	}
	return s.prefix + "features." + name + "." + token
}

// DeadFilter is the subject filter of dead letters; an empty topic or reason stands for all.
func (s *Stream) DeadFilter(topic, reason string) string {
	if topic == "" {
		topic = "*"
	}
	if reason == "" {
		reason = "*"
	}
	return s.prefix + "dead." + topic + "." + reason
}

// Scan calls fn for every message with a subject that the filter matches, in order, to the end of the stream. fn ends
// it by returning ErrStop.
func (s *Stream) Scan(ctx context.Context, filter string, from From, fn func(Stored) error) error {
	ask := getRequest{NextFor: filter, Seq: from.Seq}
	switch {
	case !from.Time.IsZero():
		ask.StartTime, ask.Seq = &from.Time, 0
	case from.Seq == 0:
		ask.Seq = 1
	}
	_, err := s.scan(ctx, ask, func(m *Stored) error { return fn(*m) })
	if err != nil {
		return fmt.Errorf("streams/nats: scan %s in %s: %w", filter, s.cfg.Name, err)
	}
	return nil
}

// Latest calls fn for the last message of each subject that a filter matches, in the order of the stream: one round trip.
func (s *Stream) Latest(ctx context.Context, filter string, fn func(Stored) error) error {
	_, err := s.scan(ctx, getRequest{MultiLast: []string{filter}}, func(m *Stored) error { return fn(*m) })
	if err != nil {
		return fmt.Errorf("streams/nats: the latest of %s in %s: %w", filter, s.cfg.Name, err)
	}
	return nil
}

// Find looks for the message with that id among those that the filter matches; the narrower the filter, the faster.
func (s *Stream) Find(ctx context.Context, filter, id string) (found Stored, ok bool, err error) {
	err = s.Scan(ctx, filter, From{}, func(m Stored) error {
		if m.ID != id {
			return nil
		}
		found, ok = m, true // the batch's buffers are not used again
		return ErrStop
	})
	return found, ok, err
}

// Tail calls fn for messages that the filter matches, as they are stored, until ctx ends or fn returns an error;
// ErrStop ends it without one. It survives reconnects: no message is left out or given twice.
func (s *Stream) Tail(ctx context.Context, filter string, from From, fn func(Stored) error) error {
	wrap := func(err error) error {
		return fmt.Errorf("streams/nats: tail %s in %s: %w", filter, s.cfg.Name, err)
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverNewPolicy}
	switch {
	case !from.Time.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from.Time
	case from.Seq > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Seq
	}
	consumer, err := s.conn.js.OrderedConsumer(ctx, s.cfg.Name, cfg)
	if err != nil {
		return wrap(offline(ctx, err))
	}
	messages, err := consumer.Messages()
	if err != nil {
		return wrap(err)
	}
	stopped := context.AfterFunc(ctx, messages.Stop)
	defer func() {
		if stopped() {
			messages.Stop()
		}
	}()
	for {
		msg, err := messages.Next()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return wrap(ctx.Err())
		case errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, jetstream.ErrOrderedConsumerReset):
			continue // the client makes the consumer anew
		default:
			return wrap(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return wrap(err)
		}
		err = fn(Stored{Seq: meta.Sequence.Stream, Subject: msg.Subject(), ID: client.Header(msg.Headers()).Get("Nats-Msg-Id"), Time: meta.Timestamp, Data: msg.Data()})
		switch {
		case errors.Is(err, ErrStop):
			return nil
		case err != nil:
			return wrap(err)
		}
	}
}

// Count says how many messages the filter matches.
func (s *Stream) Count(ctx context.Context, filter string) (uint64, error) {
	wrap := func(err error) error {
		return fmt.Errorf("streams/nats: count %s in %s: %w", filter, s.cfg.Name, err)
	}
	ctx, cancel := s.conn.within(ctx, 2*requestTimeout)
	defer cancel()
	// A consumer that nobody reads from says how many it would deliver.
	consumer, err := s.conn.js.CreateConsumer(ctx, s.cfg.Name, jetstream.ConsumerConfig{
		FilterSubject: filter, AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return 0, wrap(offline(ctx, err))
	}
	info := consumer.CachedInfo()
	if err := s.conn.js.DeleteConsumer(ctx, s.cfg.Name, info.Name); err != nil {
		return 0, wrap(err)
	}
	return info.NumPending, nil
}

// Purge removes every message that one of the filters matches, and says how many. The end of the stream and the
// publisher's chain stay where they are.
func (s *Stream) Purge(ctx context.Context, filters ...string) (removed uint64, err error) {
	return s.PurgeUpTo(ctx, math.MaxUint64, filters...)
}

// PurgeUpTo is Purge for the messages up to a sequence, that one included.
func (s *Stream) PurgeUpTo(ctx context.Context, seq uint64, filters ...string) (removed uint64, err error) {
	for _, filter := range filters {
		ask := map[string]any{"filter": filter}
		if seq < math.MaxUint64 {
			ask["seq"] = seq + 1 // the server stops before it
		}
		body, err := json.Marshal(ask)
		if err != nil {
			return removed, err
		}
		var answer struct {
			Purged uint64 `json:"purged"`
		}
		if err := s.api(ctx, "STREAM.PURGE."+s.cfg.Name, body, &answer); err != nil {
			return removed, fmt.Errorf("streams/nats: purge %s: %w", filter, err)
		}
		removed += answer.Purged
	}
	return removed, nil
}
