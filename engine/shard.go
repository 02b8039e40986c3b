package engine

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"nudge/state"
	"nudge/streams"
)

// shard folds partition n of the customers' topics. It is used by one goroutine at a time.
type shard struct {
	engine *Engine
	number int

	// clocks holds the event clock of each customers' topic's partition n, by input; math.MinInt64 before its first record.
	clocks []int64
	idle   []bool // in this epoch
	// baseMS is the greatest clock at the shard's last record: ticks count from it.
	baseMS      int64
	watermarkMS int64

	customers cache
	timers    timers
	rounds    rounds
	inbox     []message // from other shards, folded before this epoch's records
	outbox    []message
	erasures  map[string]erasure // in the inbox, by anonymous id

	runs    [][]Run // of this epoch, by input
	scratch any
	turn    Turn
	decode  []*streams.Decoder // by input, for events forwarded by other shards
	event   streams.Event

	out       []slot
	results   []resultSlot
	arena     []byte
	proposals []proposal
	erased    []string
	answered  []Answered
	// tombstones holds the keys of customers erased since the last checkpoint began.
	tombstones         []string
	tombstonesInFlight []string
	counts             Counts
	written            []kv // rows encoded while folding because a checkpoint still had to write them
	err                error
}

// slot is a place in the output: bytes of the arena, or the proposal that will fill it.
type slot struct {
	subject, id, end int // arena[start:subject], [subject:id], [id:end]; start is the end of the slot before
	start            int
	ttl              time.Duration
	proposal         int // index + 1
}

type proposal struct {
	Proposal
	turn     turn
	nowMS    int64
	customer *customer
}

type kv struct{ key, value []byte }

// fold takes the shard's share of an epoch.
func (s *shard) fold(ep *Epoch) {
	s.turn.WatermarkMS = s.watermarkMS
	s.foldMessages()
	s.foldRuns()
	s.foldRequests(ep)
	for _, t := range ep.Entry.Ticks {
		if t.Shard == s.number && s.baseMS != math.MinInt64 {
			s.advance(s.baseMS + t.AheadMS)
		}
	}
}

// foldRuns merges the records of the shard's partitions by append time; equal times go by input, then offset.
func (s *shard) foldRuns() {
	busy := 0
	var only []Run
	for _, runs := range s.runs {
		if len(runs) > 0 {
			busy++
			only = runs
		}
	}
	if busy == 1 {
		for _, r := range only {
			for i := r.I; i < r.J; i++ {
				s.foldRecord(r.Chunk, i)
			}
		}
		return
	}
	for busy > 0 {
		first, best := -1, int64(0)
		for in, runs := range s.runs {
			if len(runs) == 0 {
				continue
			}
			if at := runs[0].Chunk.Records[runs[0].I].AppendMS; first < 0 || at < best {
				first, best = in, at
			}
		}
		r := &s.runs[first][0]
		s.foldRecord(r.Chunk, r.I)
		if r.I++; r.I == r.J {
			if s.runs[first] = s.runs[first][1:]; len(s.runs[first]) == 0 {
				busy--
			}
		}
	}
}

func (s *shard) foldRecord(c *Chunk, i int) {
	s.counts.Events++
	rec, e := &c.Records[i], &c.Events[i]
	in := &s.engine.cfg.Inputs[c.Input]
	if e.Type == streams.Invalid {
		s.dead(in, c.ID, rec, c.Faults[i])
		return
	}
	if e.Type.Catalogue() {
		s.dead(in, c.ID, rec, &streams.Fault{Reason: "type", Detail: "a customers' topic takes what customers do, got " + e.Name + ": publish it to the catalogue's topic"})
		return
	}
	if e.Unknown > 0 {
		count(&s.counts.Named, "unknown_fields")
	}
	appendMS := rec.AppendMS
	if !in.LogAppendTime {
		appendMS = s.engine.arrivalMS
	}
	timeMS, fault := streams.CheckTime(e, appendMS)
	if fault != nil {
		s.dead(in, c.ID, rec, fault)
		return
	}
	if at := min(timeMS, appendMS); at > s.clocks[c.Input] {
		s.clocks[c.Input] = at
		s.baseMS = max(s.baseMS, at)
	}
	s.advanceByClocks()
	s.foldEvent(c.Input, streams.Position{Topic: in.Topic.Topic, Partition: c.ID, Offset: rec.Offset}, rec, e, timeMS, "")
}

// advanceByClocks moves the watermark to the least clock over the partitions that are not idle.
func (s *shard) advanceByClocks() {
	least, greatest := int64(math.MaxInt64), int64(math.MinInt64)
	for i, c := range s.clocks {
		if in := &s.engine.cfg.Inputs[i]; in.Catalog || in.Partitions == 0 {
			continue
		}
		greatest = max(greatest, c)
		if !s.idle[i] {
			least = min(least, c)
		}
	}
	if least == math.MaxInt64 {
		least = greatest
	}
	if least == math.MinInt64 {
		return
	}
	s.advance(least)
}

// allIdle says whether none of the shard's partitions holds the watermark in this epoch.
func (s *shard) allIdle() bool {
	for i := range s.engine.cfg.Inputs {
		if in := &s.engine.cfg.Inputs[i]; !in.Catalog && s.number < in.Partitions && !s.idle[i] {
			return false
		}
	}
	return true
}

// advance moves the watermark to the clock less the allowed lateness, fires the timers that it passes and makes the visits.
func (s *shard) advance(clockMS int64) {
	w := clockMS - s.engine.cfg.LatenessMS
	if w <= s.watermarkMS {
		return
	}
	s.watermarkMS = w
	s.turn.WatermarkMS = w
	for s.err == nil {
		atMS, armed, err := s.timers.next(w)
		if err != nil {
			s.fail(err)
			return
		}
		upToMS := w
		if armed {
			upToMS = atMS - 1 // timers come before visits of their time
		}
		v, ok, err := s.rounds.pop(upToMS)
		switch {
		case err != nil:
			s.fail(err)
		case ok:
			s.visitCustomer(v)
		case armed:
			s.fire(s.timers.pop())
		default:
			return
		}
	}
}

func (s *shard) fire(d due) {
	s.timers.delete(d)
	c := s.find(d.key)
	if c == nil {
		return
	}
	i, armed := c.timer(d.name)
	if !armed || c.timers[i].AtMS != d.atMS {
		return // moved or disarmed since
	}
	t := c.timers[i]
	s.touch(c)
	c.timers = append(c.timers[:i], c.timers[i+1:]...)
	if d.name == forgetTimer {
		s.forget(c, d.atMS)
		return
	}
	s.turn.begin(c)
	s.turn.Event, s.turn.NowMS = nil, t.AtMS
	s.turn.turn.timer, s.turn.byTimer = t, true
	s.engine.program.Fire(&s.turn, t)
}

// foldEvent takes one event that is due into its customer's state. request is the cause in the ids of what a request decides, "" for an event that a
// record holds.
func (s *shard) foldEvent(input int, pos streams.Position, rec *streams.Record, e *streams.Event, timeMS int64, request string) {
	if s.watermarkMS != math.MinInt64 && timeMS < s.watermarkMS-s.engine.cfg.KeepLateMS {
		s.counts.Late++
		s.answer(request, AnswerLate)
		return
	}
	if s.engine.skip != nil && (s.engine.skip["u"+e.User] || e.User == "" && s.engine.skip["a"+e.Anon]) {
		count(&s.counts.Named, "erased_skipped")
		s.answer(request, AnswerErased)
		return
	}
	var c *customer
	if e.User != "" {
		c = s.customer('u', e.User)
	} else {
		c = s.customer('a', e.Anon)
	}
	if s.err != nil {
		return
	}
	if c.alias != nil {
		s.touch(c)
		c.lastMS = max(c.lastMS, timeMS)
		s.forward(c, input, pos, rec, e, timeMS, request)
		return
	}
	s.touch(c)
	if c.seen.add(xxhash.Sum64String(e.ID), s.engine.cfg.RememberedIDs) {
		s.counts.Duplicates++
		s.answer(request, AnswerDuplicate)
		return
	}
	if c.lastMS == 0 {
		s.armForget(c, timeMS)
		c.lastMS = timeMS
	}
	if e.Type != streams.DecisionRequested { // which is no doing of the customer
		c.lastMS = max(c.lastMS, timeMS)
	}
	switch e.Type {
	case streams.UserErased:
		s.erase(c)
		return
	case streams.UserMerged:
		s.merge(c, e.Anon, timeMS)
		return
	}
	s.turn.begin(c)
	s.turn.Event, s.turn.NowMS = e, timeMS
	s.turn.input, s.turn.pos, s.turn.turn.event, s.turn.byTimer = input, pos, e.ID, false
	s.turn.request, s.turn.why = request, ""
	s.engine.program.Fold(&s.turn)
	s.answer(request, s.turn.why)
}

// dead sends a record to the dead letters.
func (s *shard) dead(in *Input, partition int32, rec *streams.Record, f *streams.Fault) {
	count(&s.counts.Dead, f.Reason)
	pos := streams.Position{Topic: in.Topic.Topic, Partition: partition, Offset: rec.Offset}
	d := streams.NewDeadLetter(pos, rec, f)
	if !in.LogAppendTime {
		d.TimeMS = s.engine.arrivalMS
	}
	app := s.engine.cfg.App
	s.slot(streams.DeadSubject(app, pos.Topic, f.Reason), streams.DeadID(app, s.engine.cfg.Generation, pos), d.AppendJSON(nil), 0)
}

// emit writes a decision to the output.
func (s *shard) emit(d *streams.Decision) {
	s.countDecision(d)
	sl := slot{start: len(s.arena)}
	s.arena = streams.AppendDecisionSubject(s.arena, s.engine.cfg.App, d.Kind, d.Name, d.User)
	sl.subject = len(s.arena)
	s.arena = append(s.arena, d.ID...)
	sl.id = len(s.arena)
	s.arena = d.AppendJSON(s.arena)
	sl.end = len(s.arena)
	sl.ttl = s.engine.ttl(d)
	s.out = append(s.out, sl)
}

func (s *shard) countDecision(d *streams.Decision) {
	count(&s.counts.Decisions, DecisionKey{d.Kind, d.Action})
	if d.Action == streams.ActionNone && len(d.Reasons) > 0 {
		count(&s.counts.Withheld, d.Reasons[0].Code)
	}
}

func (s *shard) slot(subject, id string, data []byte, ttl time.Duration) {
	sl := slot{start: len(s.arena), ttl: ttl}
	s.arena = append(s.arena, subject...)
	sl.subject = len(s.arena)
	s.arena = append(s.arena, id...)
	sl.id = len(s.arena)
	s.arena = append(s.arena, data...)
	sl.end = len(s.arena)
	s.out = append(s.out, sl)
}

func (s *shard) propose(t *Turn, p Proposal) {
	s.proposals = append(s.proposals, proposal{Proposal: p, turn: t.turn, nowMS: t.NowMS, customer: t.customer})
	s.out = append(s.out, slot{proposal: len(s.proposals)})
}

func (s *shard) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("engine: shard %d: %w", s.number, err)
	}
}

// customer returns the customer with that id, made if need be.
func (s *shard) customer(kind byte, id string) *customer {
	if c := s.customers.get(kind, id); c != nil {
		return c
	}
	key := string(kind) + id
	c := s.load(key)
	if c == nil {
		c = &customer{key: key, state: s.engine.program.NewState()}
	}
	s.customers.put(c)
	return c
}

// find returns the customer of that key, or nil if there is none: one who was removed and is still in the cache is none, or
// the cache would decide what is sent to other shards.
func (s *shard) find(key string) *customer {
	if c := s.customers.get(key[0], key[1:]); c != nil {
		if c.marks&markGone != 0 {
			return nil
		}
		return c
	}
	c := s.load(key)
	if c != nil {
		s.customers.put(c)
	}
	return c
}

// load reads a customer out of the last complete checkpoint. One that changed since is in the cache.
func (s *shard) load(key string) *customer {
	var c *customer
	var bad error
	found, err := s.engine.store.Get(customerRow(s.number, key), func(row []byte) {
		c, bad = decodeCustomer(key, row, s.engine.program)
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		s.fail(err)
	}
	if !found {
		return nil
	}
	return c
}

// touch says that c is about to change. A checkpoint that has still to write it gets it as it was.
func (s *shard) touch(c *customer) {
	if c.marks&markPending != 0 {
		c.marks &^= markPending
		s.written = append(s.written, s.row(c))
	}
	if c.marks&markDirty == 0 {
		c.marks |= markDirty
		s.customers.dirty = append(s.customers.dirty, c)
		s.customers.dirtyBytes += int64(c.size)
	}
	c.marks &^= markGone
}

// row encodes c for the store; a nil value deletes it.
func (s *shard) row(c *customer) kv {
	key := customerRow(s.number, c.key)
	if c.marks&markGone != 0 {
		return kv{key: key}
	}
	return kv{key: key, value: c.appendBinary(nil)}
}

func customerRow(shard int, key string) []byte {
	return state.Key(kindCustomer, uint16(shard), key)
}

func cloneTimer(t Timer) Timer {
	t.ArmedBy = strings.Clone(t.ArmedBy)
	return t
}
