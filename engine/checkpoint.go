package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"unsafe"

	"nudge/state"
)

// Meta is what a checkpoint says of itself; the store keeps it with the version.
type Meta struct {
	Epoch     uint64 `json:"epoch"`
	JournalID string `json:"journal"`
	EntryHash uint64 `json:"entry_hash,string"`
	ArrivalMS int64  `json:"arrival_ms"`
	// Offsets are the next input offsets by topic and partition.
	Offsets map[string]map[int32]int64 `json:"offsets"`
	Shards  []ShardMeta                `json:"shards"`
	Paused  []string                   `json:"paused,omitempty"`
	Counts  Counts                     `json:"counts"`
	Setup   Setup                      `json:"setup"`
}

// ShardMeta is what a checkpoint holds of a shard beside its rows.
type ShardMeta struct {
	Clocks      []int64 `json:"clocks"`
	BaseMS      int64   `json:"base_ms"`
	WatermarkMS int64   `json:"watermark_ms"`
	Inbox       []byte  `json:"inbox,omitempty"`
	Rounds      []byte  `json:"rounds,omitempty"` // which seconds have rows, and how many
	Customers   int64   `json:"customers"`
}

// checkpoint is one in progress.
type checkpoint struct {
	to   *state.Checkpoint
	meta Meta
}

// BeginCheckpoint starts writing all that changed since the last one, as it is between two epochs. The rows follow
// in slices, through DrainCheckpoint, while the engine goes on folding: whatever is about to change first is
// encoded as it was.
func (e *Engine) BeginCheckpoint(to *state.Checkpoint, journalID string, entryHash uint64) {
	m := Meta{Epoch: e.number, JournalID: journalID, EntryHash: entryHash, ArrivalMS: e.arrivalMS, Offsets: e.Offsets(), Paused: e.Paused(), Counts: e.Totals(),
		Setup: *e.Setup()}
	e.checkpoint = &checkpoint{to: to}
	for _, t := range e.tables {
		prefix := tablePrefix(t.Name)
		key := append([]byte{}, prefix...)
		t.begin(func(k, v []byte) {
			key = append(key[:len(prefix)], k...)
			e.put(key, v)
		})
	}
	for _, s := range e.shards {
		s.beginCheckpoint()
		sm := ShardMeta{Clocks: append([]int64{}, s.clocks...), BaseMS: s.baseMS, WatermarkMS: s.watermarkMS}
		for i := range s.inbox {
			sm.Inbox = s.inbox[i].appendBinary(sm.Inbox)
		}
		sm.Rounds = s.rounds.appendIndex(nil)
		m.Shards = append(m.Shards, sm)
	}
	e.checkpoint.meta = m
}

func (s *shard) beginCheckpoint() {
	h := &s.customers
	h.pending, h.dirty, h.dirtyBytes = h.dirty, nil, 0
	h.inFlight = append(h.inFlight[:0], h.pending...)
	for _, c := range h.pending {
		c.marks = c.marks&^markDirty | markPending | markInFlight
	}
	s.timers.begin()
	s.rounds.begin(func(second int64, chunk uint32) {
		s.engine.put(roundRow(nil, s.number, second, chunk), nil)
	})
	for _, key := range s.tombstones {
		s.engine.put(state.Key(kindTombstone, uint16(s.number), key), []byte{1})
	}
	s.tombstonesInFlight = append(s.tombstonesInFlight[:0], s.tombstones...)
	s.tombstones = s.tombstones[:0]
}

// put hands a row to the checkpoint in progress; nil deletes it. An error shows in DrainCheckpoint: the fold goes on.
func (e *Engine) put(key, value []byte) {
	switch {
	case e.checkpoint == nil:
	case value == nil:
		e.checkpoint.to.Delete(key)
	default:
		e.checkpoint.to.Put(key, value)
	}
}

// written hands over the rows that a shard encoded while it folded.
func (e *Engine) written(s *shard) {
	for _, row := range s.written {
		e.put(row.key, row.value)
	}
	s.written = s.written[:0]
}

// DrainCheckpoint writes some rows of the checkpoint begun last and says whether all are written. rows bounds the work.
func (e *Engine) DrainCheckpoint(rows int) (done bool, err error) {
	for _, t := range e.tables {
		rows -= t.drain(rows)
	}
	for _, s := range e.shards {
		h := &s.customers
		for rows > 0 && len(h.pending) > 0 {
			last := len(h.pending) - 1
			cu := h.pending[last]
			h.pending[last], h.pending = nil, h.pending[:last]
			rows--
			if cu.marks&markPending != 0 {
				cu.marks &^= markPending
				e.putCustomer(s, cu)
			}
		}
		rows -= s.timers.drain(max(rows, 0), func(row string, on bool) {
			e.key = append(state.AppendKey(e.key[:0], kindTimer, uint16(s.number), ""), row...)
			if on {
				e.put(e.key, []byte{})
			} else {
				e.put(e.key, nil)
			}
		})
	}
	for _, s := range e.shards {
		rows -= s.rounds.drain(max(rows, 0), func(second int64, chunk uint32, visits []visit) {
			e.key, e.value = roundRow(e.key[:0], s.number, second, chunk), appendVisits(e.value[:0], second, visits)
			e.put(e.key, e.value)
		})
	}
	return rows > 0, e.checkpoint.to.Err()
}

func (e *Engine) putCustomer(s *shard, c *customer) {
	e.key = state.AppendKey(e.key[:0], kindCustomer, uint16(s.number), c.key)
	if c.marks&markGone != 0 {
		e.put(e.key, nil)
		return
	}
	e.value = c.appendBinary(e.value[:0])
	e.put(e.key, e.value)
}

// CheckpointMeta is what to complete the checkpoint with.
func (e *Engine) CheckpointMeta() []byte {
	b, err := json.Marshal(&e.checkpoint.meta)
	if err != nil {
		panic(err) // maps, numbers and bytes: it cannot be
	}
	return b
}

// EndCheckpoint says how the checkpoint ended. What one that failed should have held is due with the next.
func (e *Engine) EndCheckpoint(ok bool) {
	for _, t := range e.tables {
		t.end(ok)
	}
	for _, s := range e.shards {
		h := &s.customers
		for i, c := range h.inFlight {
			c.marks &^= markInFlight | markPending
			if !ok && c.marks&markDirty == 0 {
				c.marks |= markDirty
				h.dirty = append(h.dirty, c)
				h.dirtyBytes += int64(c.size)
			}
			h.inFlight[i] = nil
		}
		h.pending, h.inFlight = nil, h.inFlight[:0]
		s.timers.complete(ok)
		s.rounds.complete(ok)
		if !ok {
			s.tombstones = append(s.tombstones, s.tombstonesInFlight...)
		}
		s.tombstonesInFlight = s.tombstonesInFlight[:0]
	}
	e.checkpoint = nil
}

// The kinds of row in the store.
const (
	kindCustomer  = 'C'
	kindTimer     = 'T'
	kindRound     = state.KindIndex
	kindTombstone = 'X'
	kindTable     = 't'
)

func tablePrefix(name string) []byte { return state.Key(kindTable, 0, name+"\x00") }

// ReadMeta decodes what BeginCheckpoint gave.
func ReadMeta(b []byte) (*Meta, error) {
	m := &Meta{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("engine: decode the checkpoint's meta: %w", err)
	}
	return m, nil
}

// load takes the last complete checkpoint up.
func (e *Engine) load() error {
	if e.store.Empty() {
		return nil
	}
	m, err := ReadMeta(e.store.Meta())
	if err != nil {
		return err
	}
	if len(m.Shards) != len(e.shards) {
		return fmt.Errorf("engine: the checkpoint has %d shards, the topics have %d partitions: the partition count of a topic was changed; set another generation and start with an empty folder and --adopt, or create the topic with %d partitions", len(m.Shards), len(e.shards), len(m.Shards))
	}
	e.number, e.arrivalMS, e.counts = m.Epoch, m.ArrivalMS, m.Counts
	for _, n := range m.Paused {
		e.paused[n] = true
	}
	for i, in := range e.cfg.Inputs {
		for p, o := range m.Offsets[in.Topic.Topic] {
			e.offsets[i][p] = o
		}
	}
	for i, s := range e.shards {
		sm := &m.Shards[i]
		if len(sm.Clocks) != len(s.clocks) {
			return fmt.Errorf("engine: the checkpoint has %d inputs, the pipeline %d: %w", len(sm.Clocks), len(s.clocks), errInputs)
		}
		copy(s.clocks, sm.Clocks)
		s.baseMS, s.watermarkMS = sm.BaseMS, sm.WatermarkMS
		if err := s.rounds.loadIndex(sm.Rounds); err != nil {
			return fmt.Errorf("engine: decode the rounds of visits: %w", err)
		}
		r := reader{b: sm.Inbox}
		for len(r.b) > 0 && r.err == nil {
			s.inbox = append(s.inbox, r.message())
		}
		if r.err != nil {
			return fmt.Errorf("engine: decode messages in flight: %w", r.err)
		}
	}
	for _, t := range e.tables {
		prefix := tablePrefix(t.Name)
		if err := e.store.Scan(prefix, func(key, value []byte) error { return t.Load(key[len(prefix):], value) }); err != nil {
			return fmt.Errorf("engine: load table %s: %w", t.Name, err)
		}
		if t.Loaded != nil {
			t.Loaded()
		}
	}
	return nil
}

var errInputs = errors.New("inputs cannot be added to or taken from a state folder: use an empty one")

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
