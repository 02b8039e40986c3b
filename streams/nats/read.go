package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	client "github.com/nats-io/nats.go"
)

// One batch of a direct get.
const (
	batchMessages = 1000
	batchBytes    = 4 << 20
)

// getRequest is what the server's message-get calls take.
type getRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	MultiLast []string   `json:"multi_last,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
}

// Stored is one message as it is in the stream. It is only valid during the call it is given to.
type Stored struct {
	Seq     uint64
	Subject string
	ID      string
	Time    time.Time
	Data    []byte
}

// Read calls fn for every message of the stream from fromSeq (0 and 1 are the first) to the last one at the time of the
// call, in order; removed ones are stepped over. When it returns nil the publisher may go on after what was read.
func (s *Stream) Read(ctx context.Context, fromSeq uint64, fn func(seq uint64, subject, id string, data []byte) error) error {
	wrap := func(err error) error {
		return fmt.Errorf("streams/nats: read %s from sequence %d: %w", s.cfg.Name, fromSeq, err)
	}
	usage, err := s.Usage(ctx)
	if err != nil {
		return wrap(err)
	}
	last, next := usage.LastSeq, max(fromSeq, 1)
	for attempt := 0; next <= last; attempt++ {
		// A replica that has not shown the last message that the leader holds lags.
		must, err := s.lastHeld(ctx, last)
		if err != nil {
			return wrap(err)
		}
		reached, err := s.scan(ctx, getRequest{Seq: next}, func(m *Stored) error {
			return fn(m.Seq, m.Subject, m.ID, m.Data)
		})
		if err != nil {
			return wrap(err)
		}
		next = max(next, reached+1)
		if next > must {
			break
		}
		select {
		case <-ctx.Done():
			return wrap(ctx.Err())
		case <-time.After(delay(attempt)):
		}
	}
	s.saw(max(last, next-1))
	return nil
}

// saw notes that the stream is known up to seq. A stream that was made anew is shorter than what we knew, so that seq
// may be lower than before.
func (s *Stream) saw(seq uint64) { s.seen.Store(seq) }

// lastHeld is the sequence of the last message that has not been removed, or 0. It is 0 too with one replica, which
// can't lag behind itself.
func (s *Stream) lastHeld(ctx context.Context, last uint64) (uint64, error) {
	if s.cfg.Replicas == 1 {
		return 0, nil
	}
	for _, ask := range []getRequest{{Seq: last}, {LastFor: s.prefix + ">"}} {
		_, seq, err := s.getMessage(ctx, s.cfg.Name, ask)
		if err != nil || seq != 0 {
			return seq, err
		}
	}
	return 0, nil
}

// getMessage asks the leader for one message; seq 0 means that there is none.
func (s *Stream) getMessage(ctx context.Context, stream string, ask getRequest) (data []byte, seq uint64, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, 0, err
	}
	var answer struct {
		Message struct {
			Seq  uint64 `json:"seq"`
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := s.api(ctx, "STREAM.MSG.GET."+stream, body, &answer); err != nil {
		var refused *apiError
		if errors.As(err, &refused) && refused.ErrCode == codeNotFound {
			return nil, 0, nil
		}
		return nil, 0, err
	}
	return answer.Message.Data, answer.Message.Seq, nil
}

// api calls the server's JetStream API.
func (s *Stream) api(ctx context.Context, call string, body []byte, answer any) error {
	ctx, cancel := s.conn.within(ctx, requestTimeout)
	defer cancel()
	msg, err := s.conn.nc.RequestWithContext(ctx, "$JS.API."+call, body)
	if err != nil {
		return fmt.Errorf("%s: %w", call, offline(ctx, err))
	}
	var refused struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &refused); err != nil {
		return fmt.Errorf("%s: answer %.100q: %w", call, msg.Data, err)
	}
	if refused.Error != nil {
		return fmt.Errorf("%s: %w", call, refused.Error)
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("%s: answer %.100q: %w", call, msg.Data, err)
	}
	return nil
}

// ErrStop ends a Scan or Tail without an error.
var ErrStop = errors.New("stop")

// scan reads from where ask says to the end of the stream, batch by batch, and returns the last sequence it has
// passed to fn (0 if none).
func (s *Stream) scan(ctx context.Context, ask getRequest, fn func(*Stored) error) (last uint64, err error) {
	inbox := s.conn.nc.NewInbox()
	sub, err := s.conn.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer sub.Unsubscribe()                              // fails only on a closed connection, which has no subscriptions either
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by batchBytes
		return 0, err
	}
	ask.Batch, ask.MaxBytes = batchMessages, batchBytes
	for {
		seq, pending, err := s.scanBatch(ctx, sub, ask, fn)
		if seq != 0 {
			last = seq
		}
		if err != nil {
			if errors.Is(err, ErrStop) {
				err = nil
			}
			return last, err
		}
		if pending == 0 || seq == 0 {
			return last, nil
		}
		ask.Seq, ask.StartTime = last+1, nil
	}
}

// scanBatch reads one batch. Every message of it names the sequence of the one before, so that a hole torn by a
// reconnect is an error and not a gap.
func (s *Stream) scanBatch(ctx context.Context, sub *client.Subscription, ask getRequest, fn func(*Stored) error) (last uint64, pending int, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := s.conn.within(ctx, 4*requestTimeout)
	defer cancel()
	if err := s.conn.nc.PublishRequest("$JS.API.DIRECT.GET."+s.cfg.Name, sub.Subject, body); err != nil {
		return 0, 0, offline(ctx, err)
	}
	var m Stored
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return last, 0, fmt.Errorf("after sequence %d: %w", last, offline(ctx, err))
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "404":
			return last, 0, nil
		case "204":
			if n := number(msg, "Nats-Last-Sequence"); n != last {
				return last, 0, fmt.Errorf("messages between %d and %d were lost on the way", last, n)
			}
			return last, int(number(msg, "Nats-Num-Pending")), nil
		default:
			return last, 0, statusError(status + " " + msg.Header.Get("Description"))
		}
		if n := number(msg, "Nats-Last-Sequence"); n != last {
			return last, 0, fmt.Errorf("messages between %d and %d were lost on the way", last, n)
		}
		m = Stored{
			Seq:     number(msg, "Nats-Sequence"),
			Subject: msg.Header.Get("Nats-Subject"),
			ID:      msg.Header.Get("Nats-Msg-Id"),
			Data:    msg.Data,
		}
		m.Time, _ = time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp")) // for people; zero if the server writes it otherwise
		if m.Seq == 0 {
			return last, 0, fmt.Errorf("a message after sequence %d without a sequence", last)
		}
		if err := fn(&m); err != nil {
			return m.Seq, 0, err
		}
		last = m.Seq
	}
}

func number(m *client.Msg, header string) uint64 {
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
