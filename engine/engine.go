package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/cespare/xxhash/v2"

	"nudge/state"
	"nudge/streams"
)

// Input is one topic that is read, and how.
type Input struct {
	Topic
	// NewDecoder makes a decoder of the topic's format. A decoder is used by one goroutine.
	NewDecoder func() *streams.Decoder
}

// Config is what an engine is told beside its program. All of it but Parallel, Beside and CacheBytes is part of what decides the
// output; it comes from the setup, which the journal holds.
type Config struct {
	App        string
	Generation string
	Definition []byte
	Inputs     []Input // the customers' topics have equally many partitions, or none: that many shards
	LatenessMS int64   // how far the watermark stays behind the event clock
	KeepLateMS int64   // how far behind the watermark an event may be and still count
	// ForgetAfterMS bounds what is known by time: a customer silent for so long is forgotten. 0 is never.
	ForgetAfterMS int64
	RememberedIDs int // event ids remembered of a customer
	// OutageMS is the least time that a decision stays in the stream, for recovery to compare with.
	OutageMS   int64
	ActOnStale bool // see Setup

	CacheBytes int64 // of customers in memory, over all shards
	// Parallel calls f(0) to f(n-1), at once if it likes, and returns when all have. It is how the engine's shards
	// run side by side though the engine starts no goroutine.
	Parallel func(n int, f func(i int))
	// Beside runs f while the engine goes on, and returns what waits until it has run: see Turn.Beside. nil: f runs when it is waited for.
	Beside func(f func()) (wait func())
}

// Engine folds epochs into state and decisions. It is a function of the epochs: it has no clock, no goroutine and no
// source of its own. It is used by one goroutine at a time.
type Engine struct {
	cfg     Config
	program Program
	store   *state.Store
	policy  string
	appHash uint64
	seed    uint64

	number     uint64 // of the last epoch folded
	flushing   bool   // this epoch closes open windows
	arrivalMS  int64  // of the epoch being folded
	offsets    []map[int32]int64
	paused     map[string]bool
	shards     []*shard
	scratch    []any
	tables     []*Table
	outputs    []string
	counts     Counts // since the beginning of the state
	free       [][]byte
	checkpoint *checkpoint
	key, value []byte
	skip       map[string]bool
	item       streams.CatalogItem
}

// New builds an engine on the last complete checkpoint of the store.
func New(cfg Config, p Program, store *state.Store) (*Engine, error) {
	e := &Engine{cfg: cfg, program: p, store: store, paused: map[string]bool{}}
	e.policy = Policy(cfg.Definition)
	e.appHash = xxhash.Sum64String(cfg.App)
	e.seed = xxhash.Sum64String(cfg.App + "\x00" + cfg.Generation)
	n := 0
	for _, in := range cfg.Inputs {
		e.offsets = append(e.offsets, map[int32]int64{})
		if in.Catalog || in.Partitions == 0 {
			continue
		}
		if n > 0 && in.Partitions != n {
			return nil, fmt.Errorf("engine: topic %s has %d partitions, the customers' topics before it have %d: they must be co-partitioned; create it again with %d", in.Topic.Topic, in.Partitions, n, n)
		}
		n = in.Partitions
	}
	if n == 0 {
		return nil, errors.New("engine: no customers' topic: configure inputs.clickstream")
	}
	for i := range n {
		e.shards = append(e.shards, e.newShard(i))
		e.scratch = append(e.scratch, e.shards[i].scratch)
	}
	e.tables, e.outputs = p.Tables(), p.Outputs()
	if err := e.load(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Engine) newShard(i int) *shard {
	s := &shard{engine: e, number: i, baseMS: math.MinInt64, watermarkMS: math.MinInt64, scratch: e.program.NewScratch(i)}
	s.timers = newTimers(func(fromMS, toMS int64, f func(row []byte)) error {
		prefix := state.Key(kindTimer, uint16(i), "")
		from := appendDue(append([]byte{}, prefix...), due{atMS: fromMS})[:len(prefix)+8]
		to := appendDue(append([]byte{}, prefix...), due{atMS: toMS + 1})[:len(prefix)+8]
		return e.store.ScanRange(from, to, 0, func(key, _ []byte) error {
			f(key[len(prefix):])
			return nil
		})
	})
	s.rounds = newRounds(func(second int64, f func(row []byte)) error {
		return e.store.ScanRange(roundRow(nil, i, second, 0), roundRow(nil, i, second+1, 0), 0, func(_, value []byte) error {
			f(value)
			return nil
		})
	})
	for range e.cfg.Inputs {
		s.clocks = append(s.clocks, math.MinInt64)
		s.idle = append(s.idle, false)
		s.runs = append(s.runs, nil)
	}
	for _, in := range e.cfg.Inputs {
		s.decode = append(s.decode, in.NewDecoder())
	}
	s.turn = Turn{Scratch: s.scratch}
	s.turn.shard = s
	s.turn.ordinal = map[string]int{}
	return s
}

// Policy is the name of a definition in decisions.
func Policy(definition []byte) string {
	h := sha256.Sum256(definition)
	return "sha256:" + hex.EncodeToString(h[:4])
}

// Skip has the events of erased customers passed over and counted: replays honour tombstones. Keys are 'u' or 'a' and the id.
func (e *Engine) Skip(keys map[string]bool) { e.skip = keys }

// Number is the number of the last epoch folded; the first one is 1.
func (e *Engine) Number() uint64 { return e.number }

// Offset is the next offset to be folded of a partition; ok is false if none was yet.
func (e *Engine) Offset(p Partition) (offset int64, ok bool) {
	offset, ok = e.offsets[p.Input][p.ID]
	return offset, ok
}

// Offsets returns the next offsets by topic and partition.
func (e *Engine) Offsets() map[string]map[int32]int64 {
	m := make(map[string]map[int32]int64, len(e.offsets))
	for i, in := range e.cfg.Inputs {
		parts := make(map[int32]int64, len(e.offsets[i]))
		for p, o := range e.offsets[i] {
			parts[p] = o
		}
		m[in.Topic.Topic] = parts
	}
	return m
}

// Totals returns what was counted since the beginning of the state.
func (e *Engine) Totals() Counts {
	var c Counts
	c.Add(&e.counts)
	return c
}

// Events is how many records were folded since the beginning of the state.
func (e *Engine) Events() int64 { return e.counts.Events }

// LatenessMS is how far the watermark stays behind the event clock.
func (e *Engine) LatenessMS() int64 { return e.cfg.LatenessMS }

// CacheStats says how the customers in memory serve.
type CacheStats struct{ Customers, Bytes, Hits, Misses int64 }

// Cache returns the statistics of all shards' caches.
func (e *Engine) Cache() CacheStats {
	var c CacheStats
	for _, s := range e.shards {
		c.Customers += int64(len(s.customers.all))
		c.Bytes += s.customers.bytes
		c.Hits += s.customers.hits
		c.Misses += s.customers.misses
	}
	return c
}

// Crowded says whether customers that changed since the last checkpoint began take more memory than customers may: a
// checkpoint makes them evictable.
func (e *Engine) Crowded() bool {
	var bytes int64
	for _, s := range e.shards {
		bytes += s.customers.dirtyBytes
	}
	return bytes > e.cfg.CacheBytes
}

// Setup is what the engine runs under.
func (e *Engine) Setup() *Setup {
	s := &Setup{Definition: e.cfg.Definition, ActOnStale: e.cfg.ActOnStale}
	for _, in := range e.cfg.Inputs {
		s.Inputs = append(s.Inputs, in.Topic)
	}
	return s
}

// Paused lists what is paused, ascending.
func (e *Engine) Paused() []string {
	var names []string
	for n := range e.paused {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Fold folds the next epoch. After an error the engine is of no use any more: open the store again.
func (e *Engine) Fold(ep *Epoch) (*Output, error) {
	if ep.Number != e.number+1 {
		return nil, fmt.Errorf("engine: epoch %d follows %d", ep.Number, e.number)
	}
	e.arrivalMS, e.flushing = ep.Entry.ArrivalMS, false
	if err := errors.Join(e.checkRequests(ep.Entry), e.command(ep.Entry)); err != nil {
		return nil, err
	}
	out := &Output{Epoch: ep.Number}
	e.readCatalog(ep.Entry, out)
	e.assign(ep)
	e.foldShards(ep)
	if e.flushing {
		out.Flushed = e.flush()
	}
	e.grant()
	for _, s := range e.shards {
		if s.err != nil {
			return nil, s.err
		}
	}
	nobody := e.nobody()
	e.program.Learn(e.scratch, nobody)
	if out.Flushed {
		e.program.FlushShared(nobody)
	}
	e.deliver()
	e.collect(out)
	e.number = ep.Number
	return out, nil
}

// nobody is a turn for what no customer has caused. What it puts out comes after what the shards do.
func (e *Engine) nobody() *Turn {
	w := e.watermark()
	t := &Turn{NowMS: w, WatermarkMS: w, ClockMS: e.ClockMS()}
	t.shard = e.shards[len(e.shards)-1]
	t.byTimer, t.timer = true, Timer{Name: visitTimer, AtMS: w}
	return t
}

// watermark is the least over the shards, but for those that have yet to see their first record and whose partitions are idle.
func (e *Engine) watermark() int64 {
	least := int64(math.MaxInt64)
	for _, s := range e.shards {
		if s.watermarkMS != math.MinInt64 || !s.allIdle() {
			least = min(least, s.watermarkMS)
		}
	}
	if least == math.MaxInt64 {
		return math.MinInt64
	}
	return least
}

// sideBySide is from how many records on shards are folded side by side. Below it waking another thread costs more than it
// brings, and the thread is missed by whoever publishes.
const sideBySide = 1500

func (e *Engine) foldShards(ep *Epoch) {
	if ep.Records() >= sideBySide {
		e.cfg.Parallel(len(e.shards), func(i int) { e.shards[i].fold(ep) })
		return
	}
	for _, s := range e.shards {
		s.fold(ep)
	}
}

func (e *Engine) command(entry *Entry) error {
	for _, c := range entry.Commands {
		switch c.Kind {
		case "pause":
			e.paused[c.Name] = true
		case "resume":
			delete(e.paused, c.Name)
		case CommandFlush:
			e.flushing = true
		case CommandRebuilt:
			return fmt.Errorf("engine: %w", ErrRebuilt)
		default:
			return fmt.Errorf("engine: the journal holds the command %q, which this build does not know: use the build that wrote it", c.Kind)
		}
	}
	for _, g := range entry.Gaps {
		e.offsets[g.Input][g.ID] = g.To
		s, topic := e.shards[0], e.cfg.Inputs[g.Input].Topic.Topic
		count(&s.counts.Named, "gap")
		s.slot(streams.AdvisorySubject(e.cfg.App, "gap"), fmt.Sprintf("%s.gap.%s-%d-%d", e.cfg.App, topic, g.ID, g.From),
			fmt.Appendf(nil, `{"topic":%q,"partition":%d,"from":%d,"to":%d}`, topic, g.ID, g.From, g.To), 0)
	}
	return nil
}

// flushed bounds the customers of a shard whose windows one epoch closes before their time.
const flushed = 8192

// flush closes open windows, some in each shard, and says whether none is left.
func (e *Engine) flush() bool {
	done := make([]int, len(e.shards))
	e.cfg.Parallel(len(e.shards), func(i int) { done[i] = e.shards[i].flush(flushed) })
	return slices.Max(done) < flushed
}

// assign hands the runs to their shards and moves the offsets.
func (e *Engine) assign(ep *Epoch) {
	for _, s := range e.shards {
		for i := range s.runs {
			s.runs[i] = s.runs[i][:0]
			s.idle[i] = false
		}
	}
	for _, p := range ep.Entry.Idle {
		e.shards[p.ID].idle[p.Input] = true
	}
	for _, r := range ep.Runs {
		if r.J > r.I {
			s := e.shards[r.Chunk.ID]
			s.runs[r.Chunk.Input] = append(s.runs[r.Chunk.Input], r)
		}
	}
	for _, sp := range ep.Entry.Spans {
		e.offsets[sp.Input][sp.ID] = sp.To
	}
}

func (e *Engine) readCatalog(entry *Entry, out *Output) {
	s := e.shards[0] // catalogue records that are refused go out first, with shard 0
	for i := range entry.Catalog {
		c := &entry.Catalog[i]
		in := &e.cfg.Inputs[c.Input]
		rec := &c.Record
		if rec.Value == nil { // a tombstone of the compacted topic
			s.event = streams.Event{Type: streams.ItemRemoved, Lines: append(s.event.Lines[:0], streams.Line{ID: string(rec.Key)})}
		} else if f := s.decode[c.Input].Decode(rec, &s.event); f != nil {
			s.dead(in, c.ID, rec, f)
			continue
		} else if s.event.Type != streams.ItemUpserted && s.event.Type != streams.ItemRemoved {
			s.dead(in, c.ID, rec, &streams.Fault{Reason: "type", Detail: "a catalogue topic takes item.upserted and item.removed, got " + s.event.Name})
			continue
		}
		if s.event.Type == streams.ItemUpserted {
			if f := s.event.CatalogItem(&e.item); f != nil {
				s.dead(in, c.ID, rec, f)
				continue
			}
		}
		e.program.Item(&s.event, rec.AppendMS)
	}
	s.counts.Events += int64(len(entry.Catalog))
}

// grant decides the proposals of all shards, in (shard, position, ordinal) order, and fills their places.
func (e *Engine) grant() {
	for _, s := range e.shards {
		for i := range s.proposals {
			p := &s.proposals[i]
			t := Turn{Customer: p.customer.id(), Anonymous: p.customer.anonymous(), NowMS: p.nowMS, WatermarkMS: s.watermarkMS,
				Scratch: s.scratch, turn: p.turn}
			if c := s.heir(p.customer); c != nil {
				s.touch(c)
				t.State, t.customer = c.state, c
			}
			e.program.Grant(&t, &p.Proposal)
		}
	}
}

// heir is who answers for a customer at the end of the epoch: itself, or whom it was merged into; nil if it was erased or
// has moved to another shard.
func (s *shard) heir(c *customer) *customer {
	if c.alias != nil && c.alias.shard == s.number {
		c = s.find("u" + c.alias.user)
	}
	if c == nil || c.alias != nil || c.marks&markGone != 0 {
		return nil
	}
	return c
}

// deliver moves the messages between shards: sending shard first, then their order.
func (e *Engine) deliver() {
	for _, s := range e.shards {
		for _, m := range s.outbox {
			if m.to == everyShard {
				for _, to := range e.shards {
					to.inbox = append(to.inbox, m)
				}
				continue
			}
			e.shards[m.to].inbox = append(e.shards[m.to].inbox, m)
		}
		s.outbox = s.outbox[:0]
	}
}

// collect makes the output of what the shards put out, shard by shard.
func (e *Engine) collect(out *Output) {
	budget := e.cfg.CacheBytes / int64(len(e.shards))
	for _, s := range e.shards {
		s.fillProposals()
		s.collectResults(out)
		text := unsafeString(s.arena)
		for _, sl := range s.out {
			out.Messages = append(out.Messages, streams.Message{
				Subject: text[sl.start:sl.subject], ID: text[sl.subject:sl.id], Data: s.arena[sl.id:sl.end:sl.end], TTL: sl.ttl})
		}
		if len(s.arena) > 0 {
			out.arenas = append(out.arenas, s.arena)
			s.arena = e.arena(len(s.arena))
		}
		out.Erased = append(out.Erased, s.erased...)
		out.Answered = append(out.Answered, s.answered...)
		out.Counts.Add(&s.counts)
		s.out, s.proposals, s.erased, s.answered = s.out[:0], s.proposals[:0], s.erased[:0], s.answered[:0]
		s.counts.reset()
		e.written(s)
		s.customers.trim(budget)
	}
	e.counts.Add(&out.Counts)
}

// fillProposals writes the granted and withheld decisions into the places they took.
func (s *shard) fillProposals() {
	if len(s.proposals) == 0 {
		return
	}
	for i := range s.out {
		n := s.out[i].proposal
		if n == 0 {
			continue
		}
		last := len(s.out)
		s.emit(s.proposals[n-1].Decision)
		s.out[i] = s.out[last]
		s.out = s.out[:last]
	}
}

// arena is an empty one, with room for as many bytes as the one before it took where none is free.
func (e *Engine) arena(bytes int) []byte {
	if n := len(e.free); n > 0 {
		a := e.free[n-1]
		e.free = e.free[:n-1]
		return a[:0]
	}
	return make([]byte, 0, bytes+bytes/8)
}

// Release gives the bytes of an output back when nobody reads its messages any more.
func (e *Engine) Release(o *Output) {
	if len(e.free) < 16*len(e.shards) {
		e.free = append(e.free, o.arenas...)
	}
	o.Messages, o.Results, o.arenas = nil, nil, nil
}

// outage is the least time that a message stays in the stream.
func (e *Engine) outage() time.Duration { return time.Duration(e.cfg.OutageMS) * time.Millisecond }

// ttl is how long a decision stays in the stream: until it expires, but never shorter than the promised outage.
func (e *Engine) ttl(d *streams.Decision) time.Duration {
	return time.Duration(max(d.ExpiresMS-e.arrivalMS, e.cfg.OutageMS)) * time.Millisecond
}
