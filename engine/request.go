package engine

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"nudge/streams"
)

// Answered is a request that an epoch has settled.
type Answered struct {
	Cause string // as streams.RequestCause writes it
	Why   string // one of the below, or the program's word; said where nothing was decided
}

// Why a request was not folded.
const (
	AnswerDuplicate = "an event or a request with this id was taken before"
	AnswerLate      = "its time lies further back than late events count"
	AnswerErased    = "the customer was erased"
)

// foldRequests takes the shard's requests of an epoch. They move no clock: a request is no record of a log that others may lag behind.
func (s *shard) foldRequests(ep *Epoch) {
	for i := range ep.Entry.Requests {
		if q := &ep.Entry.Requests[i]; q.Shard == s.number {
			s.foldRequest(q, int32(i), int64(ep.Number))
		}
	}
}

// foldRequest takes one request. Its place in the entry and the epoch stand for a position, which names it only where it is refused.
func (s *shard) foldRequest(q *Request, place int32, epoch int64) {
	e := &streams.Event{} // its own: what the shard notes of it lasts to the end of the epoch
	rec := &streams.Record{Offset: epoch, AppendMS: s.engine.arrivalMS, Value: q.Data}
	input := s.engine.requestInput()
	var timeMS int64
	f := s.decode[input].DecodeRequest(q.Data, rec.AppendMS, e)
	if f == nil {
		timeMS, f = streams.CheckTime(e, rec.AppendMS)
	}
	if f != nil {
		s.deadRequest("", place, rec, f)
		return
	}
	count(&s.counts.Named, "requests")
	pos := streams.Position{Topic: streams.RequestTopic, Partition: place, Offset: epoch}
	s.foldEvent(input, pos, rec, e, timeMS, streams.RequestCause(requestKey(e), e.ID))
}

// requestKey is the key of the customer that a request names. It stays the same when that one is merged into another.
func requestKey(e *streams.Event) string {
	if e.User != "" {
		return "u" + e.User
	}
	return "a" + e.Anon
}

func (s *shard) answer(cause, why string) {
	if cause != "" {
		s.answered = append(s.answered, Answered{cause, why})
	}
}

// deadRequest sends a request to the dead letters. A node refuses a bad one before it journals it, so this is one that another build has taken.
func (s *shard) deadRequest(cause string, place int32, rec *streams.Record, f *streams.Fault) {
	s.dead(&Input{Topic: Topic{Topic: streams.RequestTopic, LogAppendTime: true}}, place, rec, f)
	s.answer(cause, f.Error())
}

// requestInput is the customers' topic whose settings (currencies) hold for requests: the first that there is.
func (e *Engine) requestInput() int {
	for i, in := range e.cfg.Inputs {
		if !in.Catalog && in.Partitions > 0 {
			return i
		}
	}
	return 0
}

// Asked is a request that was read, and what the engine knows of it before it is folded.
type Asked struct {
	Cause string // as streams.RequestCause writes it
	// Customers are the ids under which its decisions may have been published: the customer's as sent, and that of the known one behind it.
	Customers []string
	Key       []byte // what producers choose the partition of the customer's records by
	Shard     int    // the one that knows the customer; -1: none does
	// Taken says that an event or request with its id was folded. Where it is false and Unsure is true there may have been one: of a customer only the
	// last ids are remembered.
	Taken, Unsure bool
}

// Ask reads a request, or says what is wrong with it (a *streams.Fault), and looks where its customer is, without changing anything. It is called between
// two epochs. arrivalMS is the node's clock, in Unix milliseconds.
func (e *Engine) Ask(data []byte, arrivalMS int64) (Asked, error) {
	var event streams.Event
	f := e.shards[0].decode[e.requestInput()].DecodeRequest(data, arrivalMS, &event)
	if f == nil {
		_, f = streams.CheckTime(&event, arrivalMS)
	}
	if f != nil {
		return Asked{}, f
	}
	key := requestKey(&event)
	a := Asked{Cause: streams.RequestCause(key, event.ID), Customers: []string{key[1:]}, Key: []byte(key[1:]), Shard: -1, Unsure: true}
	return a, e.find(&a, key, xxhash.Sum64String(event.ID))
}

// find looks in every shard for the customer of a request: an alias of it first, then the part that has seen the last event, but the one that remembers
// the request in any case.
func (e *Engine) find(a *Asked, key string, id uint64) error {
	var last int64
	for _, s := range e.shards {
		c, err := s.peek(key[0], key[1:])
		switch {
		case err != nil:
			return err
		case c == nil || a.Taken:
			continue
		case c.alias != nil:
			return e.findKnown(a, key, c.alias, s.number, id)
		}
		taken := c.seen.has(id)
		if a.Shard < 0 || taken || c.lastMS > last {
			a.Shard, a.Taken, a.Unsure, last = s.number, taken, len(c.seen.hashes) >= e.cfg.RememberedIDs, c.lastMS
		}
	}
	return nil
}

// findKnown places a request of an anonymous customer who was merged: in the shard of the known one where that shard has the alias too, so that
// it is folded at once, else where the alias is, which forwards it.
func (e *Engine) findKnown(a *Asked, key string, to *alias, at int, id uint64) error {
	a.Customers, a.Shard, a.Unsure = append(a.Customers, to.user), at, true
	home := e.shards[to.shard]
	if c, err := home.peek(key[0], key[1:]); err != nil {
		return err
	} else if c != nil && c.alias != nil && c.alias.user == to.user {
		a.Shard = to.shard
	}
	c, err := home.peek('u', to.user)
	if err != nil || c == nil {
		return err
	}
	a.Taken, a.Unsure = c.seen.has(id), len(c.seen.hashes) >= e.cfg.RememberedIDs
	return nil
}

// checkRequests refuses an epoch with requests for shards that there are not.
func (e *Engine) checkRequests(entry *Entry) error {
	for i := range entry.Requests {
		if shard := entry.Requests[i].Shard; shard < 0 || shard >= len(e.shards) {
			return fmt.Errorf("engine: the journal holds a request for shard %d of %d: the state folder is mixed; restore a backup", shard, len(e.shards))
		}
	}
	return nil
}
