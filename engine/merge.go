package engine

import (
	"encoding/binary"
	"strings"

	"nudge/streams"
)

// forgetTimer is the engine's own timer: it looks whether a customer has been silent for so long that it is forgotten.
// No timer of a pipeline begins with a space.
const forgetTimer = " forget"

// message goes from one shard to another: it leaves in an epoch and is folded first in the next one, in the order of
// (sending shard, place in its outbox). Those in flight are part of a checkpoint.
type message struct {
	to   int // shard, or everyShard
	kind messageKind
	user string // the known customer
	anon string // the anonymous one
	home int    // shard of the known customer
	row  []byte // handOver: the anonymous customer's row; forwardedRequest: its cause

	// forwarded: a record of an anonymous customer that was merged; forwardedRequest: one with a request for a value
	input  int
	pos    streams.Position
	record streams.Record
	timeMS int64
}

type messageKind uint8

const (
	claim            messageKind = iota + 1 // to every shard: anon is user now, who lives in home
	handOver                                // to home: what the shard knew of anon
	forwarded                               // to home: a later event of anon
	eraseAlias                              // to every shard: forget the alias of anon
	forwardedRequest                        // to home: a later request of anon
)

// merge takes an anonymous customer into the known one, c. What this shard knows of it moves at once; other shards hear
// of it in the next epoch.
func (s *shard) merge(c *customer, anon string, timeMS int64) {
	anon = strings.Clone(anon)
	a := s.find("a" + anon)
	if a != nil && a.alias != nil && a.alias.user != c.id() {
		count(&s.counts.Named, "merge_refused") // it is somebody else already: merging is one way, known into known is refused
		return
	}
	c.addAnon(anon)
	count(&s.counts.Named, "merged")
	if a == nil {
		a = s.customer('a', anon)
	}
	if a.alias == nil {
		s.absorb(c, a)
		s.leaveAlias(a, c.id(), s.number, timeMS)
	}
	if len(s.engine.shards) > 1 {
		s.outbox = append(s.outbox, message{to: everyShard, kind: claim, user: c.id(), anon: anon, home: s.number, timeMS: timeMS})
	}
}

// absorb moves state, timers and remembered ids of a into c.
func (s *shard) absorb(c, a *customer) {
	s.touch(c)
	s.engine.program.Merge(c.state, a.state)
	c.seen.merge(&a.seen, s.engine.cfg.RememberedIDs)
	for _, t := range a.timers {
		if t.Name == forgetTimer {
			continue
		}
		if at, armed := c.timer(t.Name); !armed || t.AtMS < c.timers[at].AtMS {
			t.AtMS = s.ahead(t.AtMS)
			s.setTimer(c, t)
		}
	}
	s.moveVisits(c, a)
	if c.lastMS == 0 && a.lastMS != 0 {
		s.armForget(c, a.lastMS)
	}
	c.lastMS = max(c.lastMS, a.lastMS)
}

// leaveAlias turns a into the alias that sends later events of its id to the user. It is forgotten as a customer is.
func (s *shard) leaveAlias(a *customer, user string, home int, timeMS int64) {
	s.touch(a)
	s.dropTimers(a)
	*a = customer{key: a.key, alias: &alias{user: user, shard: home}, lastMS: max(a.lastMS, timeMS), marks: a.marks &^ markGone, size: a.size}
	s.armForget(a, a.lastMS)
}

func (s *shard) forward(a *customer, input int, pos streams.Position, rec *streams.Record, e *streams.Event, timeMS int64, request string) {
	count(&s.counts.Named, "forwarded")
	if a.alias.shard == s.number {
		s.foldAs(a.alias.user, input, pos, rec, e, timeMS, request)
		return
	}
	m := message{to: a.alias.shard, kind: forwarded, user: a.alias.user, anon: a.id(), input: input, pos: pos, record: cloneRecord(rec), timeMS: timeMS}
	if request != "" {
		m.kind, m.row = forwardedRequest, []byte(request)
	}
	s.outbox = append(s.outbox, m)
}

// foldAs folds an event of an anonymous customer as one of the known customer.
func (s *shard) foldAs(user string, input int, pos streams.Position, rec *streams.Record, e *streams.Event, timeMS int64, request string) {
	if e.Type == streams.UserErased { // erasing an alias erases the customer behind it
		s.erase(s.customer('u', user))
		return
	}
	known := *e
	known.User, known.Anon = user, ""
	s.foldEvent(input, pos, rec, &known, timeMS, request)
}

// foldMessages takes what other shards sent in the epoch before. Erasure overtakes what is under way: what belongs to an
// alias that is erased by the same messages would bring an erased customer back.
func (s *shard) foldMessages() {
	clear(s.erasures)
	for i := range s.inbox {
		if m := &s.inbox[i]; m.kind == eraseAlias {
			if s.erasures == nil {
				s.erasures = map[string]erasure{}
			}
			s.erasures[m.anon] = erasure{user: m.user, at: i}
		}
	}
	for i := range s.inbox {
		m := &s.inbox[i]
		if e, ok := s.erasures[m.anon]; ok && e.user == m.user && (m.kind == handOver || m.kind == forwarded || m.kind == forwardedRequest || m.kind == claim && e.at > i) {
			if m.kind == forwarded || m.kind == forwardedRequest {
				count(&s.counts.Named, "erased_under_way")
				s.answer(string(m.row), AnswerErased)
			}
			continue
		}
		s.foldMessage(m)
	}
	s.inbox = s.inbox[:0]
}

// erasure is a message of the inbox that erases an alias.
type erasure struct {
	user string
	at   int // in the inbox
}

func (s *shard) foldMessage(m *message) {
	switch m.kind {
	case claim:
		if m.home == s.number {
			return
		}
		a := s.find("a" + m.anon)
		if a == nil {
			a = s.customer('a', m.anon)
		} else if a.alias != nil {
			if a.alias.user != m.user {
				s.settle(m, a)
			}
			return
		} else {
			s.outbox = append(s.outbox, message{to: m.home, kind: handOver, user: m.user, anon: m.anon, row: a.appendBinary(nil)})
		}
		s.leaveAlias(a, m.user, m.home, m.timeMS)
	case handOver:
		a, err := decodeCustomer("a"+m.anon, m.row, s.engine.program)
		if err != nil {
			s.fail(err)
			return
		}
		s.visitPassed(a)
		s.absorb(s.customer('u', m.user), a)
	case forwarded:
		e := &streams.Event{} // its own: what the shard notes of it lasts to the end of the epoch
		if f := s.decode[m.input].Decode(&m.record, e); f != nil {
			s.dead(&s.engine.cfg.Inputs[m.input], m.pos.Partition, &m.record, f)
			return
		}
		s.foldAs(m.user, m.input, m.pos, &m.record, e, m.timeMS, "")
	case forwardedRequest:
		e := &streams.Event{}
		if f := s.decode[m.input].DecodeRequest(m.record.Value, m.record.AppendMS, e); f != nil {
			s.deadRequest(string(m.row), m.pos.Partition, &m.record, f)
			return
		}
		s.foldAs(m.user, m.input, m.pos, &m.record, e, m.timeMS, string(m.row))
	case eraseAlias:
		s.eraseAnon(m.anon, m.user)
	}
}

// settle decides between two claims of one anonymous customer. Where two shards merged it in the same epoch the claim of the lower one stands everywhere:
// that of the other is refused, in its own shard, though what that shard knew has moved by then.
func (s *shard) settle(m *message, a *customer) {
	rival := false
	for i := range s.inbox {
		x := &s.inbox[i]
		rival = rival || x.kind == claim && x.anon == m.anon && x.user == a.alias.user
	}
	switch {
	case !rival:
		count(&s.counts.Named, "merge_refused")
	case a.alias.shard == s.number && m.home < s.number:
		count(&s.counts.Named, "merge_refused")
		if c := s.find("u" + a.alias.user); c != nil {
			s.touch(c)
			c.dropAnon(m.anon)
		}
		s.touch(a)
		a.alias = &alias{user: m.user, shard: m.home}
	}
}

// erase removes everything that is known of c, leaves a tombstone and has the decisions purged.
func (s *shard) erase(c *customer) {
	count(&s.counts.Named, "erased")
	e := s.engine
	e.program.Erase(s.scratch, e.customerHash(c.key))
	for _, anon := range c.anons {
		e.program.Erase(s.scratch, e.customerHash("a"+anon))
		s.eraseAnon(anon, c.id())
		s.erased = append(s.erased, anon)
		s.tombstones = append(s.tombstones, "a"+anon)
		if len(s.engine.shards) > 1 {
			s.outbox = append(s.outbox, message{to: everyShard, kind: eraseAlias, user: c.id(), anon: anon})
		}
	}
	s.erased = append(s.erased, strings.Clone(c.id()))
	s.tombstones = append(s.tombstones, c.key)
	s.remove(c)
}

// eraseAnon removes what is known of an anonymous id that is the user's. Another user's alias stays.
func (s *shard) eraseAnon(anon, user string) {
	if a := s.find("a" + anon); a != nil && (a.alias == nil || a.alias.user == user) {
		s.remove(a)
	}
}

// remove takes c out of the state. An event that follows begins with nothing.
func (s *shard) remove(c *customer) {
	s.touch(c)
	s.dropTimers(c)
	*c = customer{key: c.key, state: s.engine.program.NewState(), marks: c.marks | markGone, size: c.size}
}

func (s *shard) dropTimers(c *customer) {
	for _, t := range c.timers {
		s.timers.delete(due{atMS: t.AtMS, key: c.key, name: t.Name})
	}
	c.timers = nil
}

func (s *shard) armForget(c *customer, timeMS int64) {
	if after := s.engine.cfg.ForgetAfterMS; after > 0 {
		s.setTimer(c, Timer{Name: forgetTimer, AtMS: timeMS + after})
	}
}

// forget drops a customer who has been silent for long enough, and looks again later at one who has not or has still to be visited.
func (s *shard) forget(c *customer, atMS int64) {
	if n := len(c.visits); n > 0 {
		s.setTimer(c, Timer{Name: forgetTimer, AtMS: max(atMS, c.visits[n-1]) + 1})
		return
	}
	if next := c.lastMS + s.engine.cfg.ForgetAfterMS; next > atMS {
		s.setTimer(c, Timer{Name: forgetTimer, AtMS: next})
		return
	}
	count(&s.counts.Named, "forgotten")
	s.remove(c)
}

func cloneRecord(r *streams.Record) streams.Record {
	c := streams.Record{Offset: r.Offset, AppendMS: r.AppendMS, Key: append([]byte(nil), r.Key...), Value: append([]byte(nil), r.Value...), Hash: r.Hash}
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, streams.Header{Key: strings.Clone(h.Key), Value: append([]byte(nil), h.Value...)})
	}
	return c
}

func (m *message) appendBinary(b []byte) []byte {
	b = binary.AppendVarint(b, int64(m.to))
	b = append(b, byte(m.kind))
	b = appendString(b, m.user)
	b = appendString(b, m.anon)
	b = binary.AppendUvarint(b, uint64(m.home))
	b = appendBytes(b, m.row)
	b = binary.AppendUvarint(b, uint64(m.input))
	b = appendString(b, m.pos.Topic)
	b = binary.AppendVarint(b, int64(m.pos.Partition))
	b = binary.AppendVarint(b, m.pos.Offset)
	b = binary.AppendVarint(b, m.timeMS)
	return appendRecord(b, &m.record)
}

func (r *reader) message() message {
	m := message{to: int(r.varint()), kind: messageKind(r.byte()), user: r.string(), anon: r.string(), home: int(r.uvarint()),
		row: r.bytes(), input: int(r.uvarint())}
	m.pos = streams.Position{Topic: r.string(), Partition: int32(r.varint()), Offset: r.varint()}
	m.timeMS = r.varint()
	m.record = r.record()
	return m
}

// everyShard as the receiver of a message means all shards, the sender too.
const everyShard = -1
