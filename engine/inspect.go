package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"nudge/state"
)

// CustomerView is what the engine knows of a customer. It is only valid until the next epoch is folded, and not to be changed.
type CustomerView struct {
	ID         string
	Anonymous  bool
	Hash       uint64 // as Turn.CustomerHash
	Shard      int
	LastMS     int64 // event time of the last event folded
	NowMS      int64 // the time of the latest event that its shard has folded, of whomever
	Timers     []Timer
	Remembered int      // event ids
	MergedFrom []string // anonymous ids
	MergedInto string   // the known customer that this anonymous one is now; State is nil then
	Bytes      int      // of its row in the store
	State      State
}

// Customers finds what is known of an id, in every shard: one whose events come with changing keys has a part in several.
// It changes nothing, not even what is cached. It is called between two epochs.
func (e *Engine) Customers(id string, anonymous bool) ([]CustomerView, error) {
	kind := byte('u')
	if anonymous {
		kind = 'a'
	}
	var views []CustomerView
	for _, s := range e.shards {
		c, err := s.peek(kind, id)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue
		}
		v := CustomerView{ID: c.id(), Anonymous: c.anonymous(), Hash: e.customerHash(c.key), Shard: s.number, LastMS: c.lastMS, NowMS: max(c.lastMS, slices.Max(s.clocks)), Remembered: len(c.seen.hashes),
			MergedFrom: slices.Clone(c.anons), Bytes: len(c.appendBinary(nil)), State: c.state}
		for _, t := range c.timers {
			t.Name = strings.TrimSpace(t.Name) // the engine's own begin with a space
			v.Timers = append(v.Timers, t)
		}
		if c.alias != nil {
			v.MergedInto, v.State = c.alias.user, nil
		}
		views = append(views, v)
	}
	return views, nil
}

// peek looks a customer up without bringing it into the cache.
func (s *shard) peek(kind byte, id string) (*customer, error) {
	if c := s.customers.index.get(kind, id); c != nil {
		if c.marks&markGone != 0 {
			return nil, nil
		}
		return c, nil
	}
	key := string(kind) + id
	var c *customer
	var bad error
	_, err := s.engine.store.Get(customerRow(s.number, key), func(row []byte) {
		c, bad = decodeCustomer(key, row, s.engine.program)
	})
	if err == nil {
		err = bad
	}
	return c, err
}

// ClockMS is the furthest that the event clock of any shard has come; math.MinInt64 before the first event.
func (e *Engine) ClockMS() int64 {
	furthest := int64(math.MinInt64)
	for _, s := range e.shards {
		furthest = max(furthest, s.baseMS)
	}
	return furthest
}

// ShardView is where a shard stands.
type ShardView struct {
	Shard       int
	WatermarkMS int64 // math.MinInt64 before the first event
	Inputs      []InputView
	Messages    int // from other shards, folded with the next epoch
	InMemory    int // customers
}

// InputView is where a shard stands in one of its topics.
type InputView struct {
	Topic   string
	Offset  int64 // the next one to be folded; -1 if none was yet
	ClockMS int64 // event clock; math.MinInt64 before the first record
}

// Shards says where the shards stand. It is called between two epochs.
func (e *Engine) Shards() []ShardView {
	views := make([]ShardView, len(e.shards))
	for i, s := range e.shards {
		v := &views[i]
		*v = ShardView{Shard: i, WatermarkMS: s.watermarkMS, Messages: len(s.inbox), InMemory: len(s.customers.all)}
		for n, in := range e.cfg.Inputs {
			if in.Catalog || in.Partitions == 0 {
				continue
			}
			x := InputView{Topic: in.Topic.Topic, Offset: -1, ClockMS: s.clocks[n]}
			if o, ok := e.offsets[n][int32(i)]; ok {
				x.Offset = o
			}
			v.Inputs = append(v.Inputs, x)
		}
	}
	return views
}

// Erased lists the customers who were erased, by their keys ('u' or 'a' and the id), as of the last complete checkpoint.
func Erased(store *state.Store) ([]string, error) {
	var keys []string
	err := store.ScanKeys([]byte{kindTombstone}, func(row []byte) error {
		_, _, key, ok := state.SplitKey(row)
		if !ok {
			return fmt.Errorf("engine: the tombstone %q has no key: %w", row, state.ErrCorrupt)
		}
		keys = append(keys, string(key))
		return nil
	})
	slices.Sort(keys)
	return slices.Compact(keys), err
}
