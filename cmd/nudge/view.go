package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"nudge/engine"
	"nudge/operators"
	"nudge/state"
	"nudge/streams"
)

// view answers what can be asked of a state: that of a running node between two epochs, or that of a folder.
type view struct {
	engine  *engine.Engine
	program *operators.Program
	store   *state.Store
	journal *state.Journal
}

// customerAnswer is what is known of a customer.
type customerAnswer struct {
	Customer   string        `json:"customer"`
	Anonymous  bool          `json:"anonymous,omitempty"`
	Shard      int           `json:"shard"`
	LastEvent  string        `json:"last_event,omitempty"`
	AsOf       string        `json:"as_of,omitempty"` // of the features: the time of the shard's latest event
	MergedInto string        `json:"merged_into,omitempty"`
	MergedFrom []string      `json:"merged_from,omitempty"`
	Timers     []timerAnswer `json:"timers,omitempty"`
	EventIDs   int           `json:"event_ids_remembered"`
	StateBytes int           `json:"state_bytes"`
	Known      any           `json:"known,omitempty"`
	Foreseen   any           `json:"foreseen,omitempty"`
}

// profileAnswer is a customer's profile.
type profileAnswer struct {
	Parts     []customerAnswer  `json:"customers"`           // one; several while events under several keys meet in one customer
	Decisions []json.RawMessage `json:"decisions,omitempty"` // the last of each decider and audience, as published, the latest first
}

type timerAnswer struct {
	Name    string `json:"name"`
	At      string `json:"at"`
	ArmedBy string `json:"armed_by,omitempty"`
}

// customers finds a customer: the known one of that id, else the anonymous one.
func (v *view) customers(id string) ([]customerAnswer, error) {
	found, err := v.engine.Customers(id, false)
	if err == nil && len(found) == 0 {
		found, err = v.engine.Customers(id, true)
	}
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing is known of a customer %q", id)
	}
	var answers []customerAnswer
	for _, c := range found {
		a := customerAnswer{Customer: c.ID, Anonymous: c.Anonymous, Shard: c.Shard, LastEvent: timeText(c.LastMS), AsOf: timeText(c.NowMS), MergedInto: c.MergedInto,
			MergedFrom: c.MergedFrom, EventIDs: c.Remembered, StateBytes: c.Bytes}
		for _, t := range c.Timers {
			a.Timers = append(a.Timers, timerAnswer{t.Name, timeText(t.AtMS), t.ArmedBy})
		}
		if c.State != nil {
			a.Known = v.program.DescribeAt(c.State, c.NowMS)
			if f := v.program.Foresee(c.State, c.Hash, c.Anonymous); f != nil {
				a.Foreseen = f
			}
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func (v *view) predictions() (any, error) {
	all := v.program.DescribePredictions()
	if len(all) == 0 {
		return nil, errors.New("the pipeline declares no predictions: add some, such as predictions: {buys_24h: {event: order.completed, within: 24h}}")
	}
	return all, nil
}

func (v *view) item(id string) (any, error) {
	item, ok := v.program.DescribeItem(id, v.engine.ClockMS())
	if !ok {
		return nil, fmt.Errorf("nothing is known of an item %q", id)
	}
	return item, nil
}

// shardAnswer is where a shard stands in one topic.
type shardAnswer struct {
	Shard     int    `json:"shard"`
	Topic     string `json:"topic"`
	Offset    int64  `json:"offset"`        // the next one to be folded; -1 before the first
	End       int64  `json:"end,omitempty"` // of the log
	Lag       int64  `json:"lag"`           // -1 where the broker was not asked
	Clock     string `json:"clock,omitempty"`
	Watermark string `json:"watermark,omitempty"`
	InMemory  int    `json:"customers_in_memory"`
	Messages  int    `json:"messages"` // from other shards, folded with the next epoch
}

func (v *view) shards() []shardAnswer {
	var answers []shardAnswer
	for _, s := range v.engine.Shards() {
		for _, in := range s.Inputs {
			answers = append(answers, shardAnswer{Shard: s.Shard, Topic: in.Topic, Offset: in.Offset, Lag: -1, Clock: timeText(in.ClockMS),
				Watermark: timeText(s.WatermarkMS), InMemory: s.InMemory, Messages: s.Messages})
		}
	}
	return answers
}

// checkpointAnswer is what the last complete checkpoint says of itself.
type checkpointAnswer struct {
	Version   uint64                     `json:"version"`
	Epoch     uint64                     `json:"epoch"`
	Arrival   string                     `json:"arrival"` // when its epoch arrived
	Journal   string                     `json:"journal"`
	JournalTo uint64                     `json:"journal_to"` // epochs after the checkpoint's are folded again at the next start
	Policy    string                     `json:"policy"`
	Offsets   map[string]map[int32]int64 `json:"offsets"`
	Events    int64                      `json:"events"`
	Decisions map[string]int64           `json:"decisions"`
	Dead      map[string]int64           `json:"dead,omitempty"`
	Paused    []string                   `json:"paused,omitempty"`
	Bytes     int64                      `json:"bytes_on_disk"`
}

func (v *view) checkpoint() (*checkpointAnswer, error) {
	if v.store.Empty() {
		return nil, fmt.Errorf("%s holds no complete checkpoint yet", v.store.Dir())
	}
	m, err := engine.ReadMeta(v.store.Meta())
	if err != nil {
		return nil, err
	}
	size, err := v.store.SizeOnDisk()
	if err != nil {
		return nil, err
	}
	return &checkpointAnswer{Version: v.store.Version(), Epoch: m.Epoch, Arrival: timeText(m.ArrivalMS), Journal: m.JournalID, JournalTo: v.journalEnd(m.Epoch),
		Policy: engine.Policy(m.Setup.Definition), Offsets: m.Offsets, Events: m.Counts.Events, Decisions: m.Counts.ByKind(), Dead: m.Counts.Dead,
		Paused: m.Paused, Bytes: size}, nil
}

func timeText(ms int64) string {
	if ms == 0 || ms == math.MinInt64 {
		return ""
	}
	return string(streams.AppendTime(nil, ms))
}
