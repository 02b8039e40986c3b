package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"nudge/engine"
	"nudge/streams"
)

// Answer is what came of a request.
type Answer struct {
	Decisions [][]byte // as published, in their order
	Why       string   // why there are none, as far as it is known
}

// ErrStopped says that the node ended before a request was answered.
var ErrStopped = errors.New("the node is stopping: ask again with the same id")

// mostAsked bounds the requests that wait for an epoch.
const mostAsked = 1024

// asked is a request on its way: it waits to be cut, or for the acknowledgement of what it decided.
type asked struct {
	cause  string
	data   []byte
	done   chan struct{} // closed when answer is there
	answer Answer
	epoch  uint64 // that it was cut into; 0: it waits
	folded bool   // its answer is in an epoch
}

// requests are those under way. Several who make the same one get the one answer.
type requests struct {
	mu      sync.Mutex
	byCause map[string]*asked
	waiting []*asked // to be cut with the next epoch
	// crossing says that some were cut and passed on to another shard: the next epoch folds them, so there is to be one.
	crossing bool
}

// Decide has a request (see streams.Decoder.DecodeRequest) decided, and returns when its decisions are durable and acknowledged by the stream. One that was
// made before is answered with what was decided then. After an error that is no *streams.Fault it may be decided still: to make it again is safe.
func (n *Node) Decide(ctx context.Context, data []byte) (Answer, error) {
	data = bytes.Clone(data)
	for looked := false; ; looked = true {
		var q engine.Asked
		var a *asked
		var err error
		if stopped := n.Do(ctx, func(e *engine.Engine) { q, a, err = n.ask(e, data, looked) }); stopped != nil {
			return Answer{}, stopped
		}
		if err != nil {
			return Answer{}, err
		}
		var answer Answer
		if a != nil {
			if answer, err = a.wait(ctx, n.ended); err != nil || answer.Why != engine.AnswerDuplicate {
				return answer, err
			}
			q.Taken = true
		}
		// Whatever decided it is acknowledged by now: what is under way is found by ask.
		if answer, err = n.decided(ctx, &q); err != nil || q.Taken || len(answer.Decisions) > 0 {
			return answer, err
		}
	}
}

// ask takes a request in, or joins the same one under way. It returns none where the stream is to be looked at first, because its id was taken or
// because nobody would remember. looked says that this was done.
func (n *Node) ask(e *engine.Engine, data []byte, looked bool) (engine.Asked, *asked, error) {
	q, err := e.Ask(data, n.cfg.Now().UnixMilli())
	if err != nil {
		return q, nil, err
	}
	r := &n.requests
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.byCause[q.Cause]; a != nil {
		return q, a, nil
	}
	if q.Taken || q.Unsure && !looked {
		return q, nil, nil
	}
	if len(r.waiting) >= mostAsked {
		return q, nil, fmt.Errorf("%d requests wait to be decided already: ask again later", len(r.waiting))
	}
	a := &asked{cause: q.Cause, data: data, done: make(chan struct{})}
	r.byCause[q.Cause] = a
	r.waiting = append(r.waiting, a)
	return q, a, nil
}

func (a *asked) wait(ctx context.Context, ended <-chan struct{}) (Answer, error) {
	select {
	case <-a.done:
		return a.answer, nil
	default:
	}
	select {
	case <-a.done:
		return a.answer, nil
	case <-ended:
		return Answer{}, ErrStopped
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("no decision in time; ask again with the same id: %w", ctx.Err())
	}
}

// decided reads what a request has decided back from the stream.
func (n *Node) decided(ctx context.Context, q *engine.Asked) (a Answer, err error) {
	for _, id := range q.Customers {
		err := n.cfg.Stream.Decisions(ctx, id, func(id string, data []byte) error {
			if streams.RequestOf(id) == q.Cause {
				a.Decisions = append(a.Decisions, bytes.Clone(data))
			}
			return nil
		})
		if err != nil {
			return Answer{}, fmt.Errorf("look for what the request has decided: %w", err)
		}
	}
	if len(a.Decisions) == 0 {
		a.Why = engine.AnswerDuplicate + ", and the stream holds no decision of it: nothing was decided, or it has expired"
	}
	return a, nil
}

// asking says that requests wait for an epoch.
func (n *Node) asking() bool {
	n.requests.mu.Lock()
	defer n.requests.mu.Unlock()
	return len(n.requests.waiting) > 0 || n.requests.crossing
}

// crossing says that a request is on its way between shards.
func (n *Node) crossing() bool {
	n.requests.mu.Lock()
	defer n.requests.mu.Unlock()
	return n.requests.crossing
}

// takeRequests puts what was asked into the epoch being cut, each in the shard that knows its customer by now, else in the one that its records
// would come to.
func (n *Node) takeRequests(entry *engine.Entry) error {
	r := &n.requests
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.waiting {
		q, err := n.engine.Ask(a.data, entry.ArrivalMS)
		var refused *streams.Fault
		switch {
		case errors.As(err, &refused): // the clock went back meanwhile
			r.settle(a, Answer{Why: refused.Error()})
			continue
		case err != nil:
			return err
		case q.Shard < 0:
			q.Shard = int(n.cfg.Source.PartitionOf(q.Key, int32(len(n.lastRecord))))
		}
		a.epoch = n.engine.Number() + 1
		entry.Requests = append(entry.Requests, engine.Request{Shard: q.Shard, Data: a.data})
	}
	clear(r.waiting)
	r.waiting = r.waiting[:0]
	return nil
}

// answered notes what an epoch has decided on requests, those too that an earlier run of the node was asked. They are told when all of it is
// acknowledged.
func (n *Node) answered(entry *engine.Entry, out *engine.Output) (told []*asked) {
	r := &n.requests
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crossing = false
	if len(entry.Requests)+len(out.Answered) == 0 {
		return nil
	}
	for _, x := range out.Answered {
		a := r.byCause[x.Cause]
		if a == nil {
			a = &asked{cause: x.Cause, done: make(chan struct{})}
			r.byCause[x.Cause] = a
		}
		a.answer.Why, a.folded = x.Why, true
		told = append(told, a)
	}
	for i := range out.Messages {
		m := &out.Messages[i]
		if cause := streams.RequestOf(m.ID); cause != "" && strings.Contains(m.Subject, ".decisions.") {
			if a := r.byCause[cause]; a != nil {
				a.answer.Decisions = append(a.answer.Decisions, bytes.Clone(m.Data))
				a.answer.Why = ""
			}
		}
	}
	for _, a := range r.byCause {
		r.crossing = r.crossing || a.epoch == out.Epoch && !a.folded
	}
	return told
}

// tell answers requests whose epoch is acknowledged. The outbox calls it.
func (n *Node) tell(told []*asked) {
	n.requests.mu.Lock()
	defer n.requests.mu.Unlock()
	for _, a := range told {
		n.requests.settle(a, a.answer)
	}
}

func (r *requests) settle(a *asked, answer Answer) {
	if r.byCause[a.cause] == a {
		delete(r.byCause, a.cause)
		a.answer = answer
		close(a.done)
	}
}
