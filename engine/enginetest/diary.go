package enginetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nudge/engine"
	"nudge/streams"
)

// Kept is how many notes a diary keeps.
const Kept = 8

// Purse is what all customers of a Diary may be given together.
const Purse = 10 * streams.Micro

// Diary is a program that notes each event of a customer and does what custom events tell it:
//
//	custom.say              decide "said"
//	custom.tell             decide "told", with the number of events that all shards had learned before the epoch
//	custom.arm              arm the timer props.name, props.after milliseconds after the event; it decides "rang-NAME" when it fires
//	custom.again            the same, and the timer arms itself anew when it fires, until props.after has passed thrice
//	custom.disarm           disarm the timer props.name
//	custom.visit            be visited at the next whole minute, props.after milliseconds after the event; a visit puts out a line of the
//	                        results "visits", and asks for another a minute later where the time is a multiple of five minutes
//	custom.ask              propose to spend props.cost of the purse
//	decision.requested      the same if props.name is asked, decide "said" without a name, nothing for another
//
// It is a function of events and states, as programs are.
type Diary struct {
	tables  []*engine.Table
	learned uint64
	spent   int64
}

// NewDiary returns a diary whose shared state is empty.
func NewDiary() *Diary {
	d := &Diary{}
	d.tables = []*engine.Table{{Name: "diary", Row: d.row, Load: d.load}}
	return d
}

func (d *Diary) row(_ uint32, key, value []byte) (k, v []byte) {
	return append(key, "shared"...), binary.AppendVarint(binary.AppendUvarint(value, d.learned), d.spent)
}

func (d *Diary) load(_, value []byte) error {
	var n int
	d.learned, n = binary.Uvarint(value)
	d.spent, _ = binary.Varint(value[max(n, 0):])
	return nil
}

// Note is one line of a diary.
type Note struct {
	AtMS int64
	Text string
}

// State is the diary of one customer: how many events there were, and the latest of them by (time, text).
type State struct {
	Events int64
	Notes  []Note
}

// AppendBinary appends the canonical encoding.
func (s *State) AppendBinary(b []byte) []byte {
	b = binary.AppendVarint(b, s.Events)
	b = binary.AppendUvarint(b, uint64(len(s.Notes)))
	for _, n := range s.Notes {
		b = binary.AppendVarint(b, n.AtMS)
		b = binary.AppendUvarint(b, uint64(len(n.Text)))
		b = append(b, n.Text...)
	}
	return b
}

// Size estimates the bytes in memory.
func (s *State) Size() int { return 48 + 32*cap(s.Notes) }

func (s *State) note(n Note) {
	i, _ := slices.BinarySearchFunc(s.Notes, n, func(a, b Note) int {
		if a.AtMS != b.AtMS {
			return int(a.AtMS - b.AtMS)
		}
		return strings.Compare(a.Text, b.Text)
	})
	s.Notes = slices.Insert(s.Notes, i, n)
	if len(s.Notes) > Kept {
		s.Notes = s.Notes[1:]
	}
}

// NewState returns an empty diary.
func (d *Diary) NewState() engine.State { return &State{} }

// DecodeState is the inverse of AppendBinary.
func (d *Diary) DecodeState(b []byte) (engine.State, error) {
	r := bytes.NewReader(b)
	s := &State{}
	var err error
	if s.Events, err = binary.ReadVarint(r); err != nil {
		return nil, fmt.Errorf("enginetest: diary: %w", err)
	}
	n, err := binary.ReadUvarint(r)
	if err != nil || n > uint64(r.Len()) {
		return nil, errors.New("enginetest: diary: cut short")
	}
	for range n {
		at, err1 := binary.ReadVarint(r)
		size, err2 := binary.ReadUvarint(r)
		if err1 != nil || err2 != nil || size > uint64(r.Len()) {
			return nil, errors.New("enginetest: diary: cut short")
		}
		text := make([]byte, size)
		r.Read(text)
		s.Notes = append(s.Notes, Note{at, string(text)})
	}
	if r.Len() > 0 {
		return nil, errors.New("enginetest: diary: bytes left over")
	}
	return s, nil
}

type scratch struct{ events uint64 }

// NewScratch returns a shard's lessons.
func (d *Diary) NewScratch(int) any { return &scratch{} }

// Fold notes the event and does as it says.
func (d *Diary) Fold(t *engine.Turn) {
	t.Scratch.(*scratch).events++
	s, e := t.State.(*State), t.Event
	s.Events++
	s.note(Note{t.NowMS, strings.Clone(strings.TrimPrefix(e.Name, streams.CustomPrefix))})
	name, _ := e.Props.String("name")
	switch e.Name {
	case "custom.say":
		d.decide(t, "said", streams.Reason{})
	case "custom.tell":
		d.decide(t, "told", streams.Reason{Code: "learned", Weight: float64(d.learned)})
	case "custom.arm":
		t.SetTimer(strings.Clone(name), t.NowMS+number(e, "after"))
	case "custom.again":
		t.SetTimer(fmt.Sprintf("%s*%d", name, number(e, "after")), t.NowMS+number(e, "after"))
	case "custom.disarm":
		t.ClearTimer(name)
	case "custom.visit":
		t.VisitAt((t.NowMS + number(e, "after") + minute - 1) / minute * minute)
	case "decision.requested":
		switch name {
		case "":
			d.decide(t, "said", streams.Reason{})
		case "asked":
			t.Propose(engine.Proposal{Decision: d.decision("asked", streams.Reason{}), Budget: "purse", Cost: number(e, "cost") * streams.Micro})
		default:
			t.Why("nobody is called so")
		}
	case "custom.ask":
		t.Propose(engine.Proposal{Decision: d.decision("asked", streams.Reason{}), Budget: "purse", Cost: number(e, "cost") * streams.Micro})
	}
}

func number(e *streams.Event, key string) int64 {
	v, _ := e.Props.Get(key)
	n, _ := v.Micro()
	return n / streams.Micro
}

func (d *Diary) decision(name string, why streams.Reason) *streams.Decision {
	x := &streams.Decision{Kind: "diary", Name: name, Action: streams.ActionShow, Propensity: 1, Model: streams.ModelVersion{Name: "diary", Version: "1"}}
	if why.Code != "" {
		x.Reasons = []streams.Reason{why}
	}
	return x
}

func (d *Diary) decide(t *engine.Turn, name string, why streams.Reason) {
	x := d.decision(name, why)
	if t.Paused(name) {
		x.Action, x.Reasons = streams.ActionNone, []streams.Reason{{Code: streams.ReasonPaused, With: name}}
	}
	t.Decide(x)
}

const minute = 60_000

// Erase has nothing to forget: a diary's shared state names nobody.
func (d *Diary) Erase(any, uint64) {}

// Visit puts out what is noted.
func (d *Diary) Visit(t *engine.Turn, atMS int64) {
	s := t.State.(*State)
	s.note(Note{t.NowMS, "visited"})
	t.Result(0, []byte(t.Customer), fmt.Appendf(nil, `{"user":%q,"at":%d,"events":%d}`, t.Customer, atMS, s.Events))
	if atMS%(5*minute) == 0 {
		t.VisitAt(atMS + minute)
	}
}

// Flush says how many events there were.
func (d *Diary) Flush(t *engine.Turn) {
	t.Result(0, []byte(t.Customer), fmt.Appendf(nil, `{"user":%q,"flushed":%d}`, t.Customer, t.State.(*State).Events))
}

// Outputs names the one result stream.
func (d *Diary) Outputs() []string { return []string{"visits"} }

// plain makes a token of a timer's name.
var plain = strings.NewReplacer("*", "-", "'", "-")

// Fire decides "rang-" and the timer's name.
func (d *Diary) Fire(t *engine.Turn, timer engine.Timer) {
	t.State.(*State).note(Note{t.NowMS, "rang " + timer.Name})
	d.decide(t, "rang-"+plain.Replace(timer.Name), streams.Reason{Code: "timer", With: timer.Name})
	var every int64
	if name, rest, ok := strings.Cut(timer.Name, "*"); ok && len(name) < 4 {
		fmt.Sscan(rest, &every)
		t.SetTimer(fmt.Sprintf("%s'*%d", name, every), t.NowMS+every)
	}
}

// Merge takes the notes of both.
func (d *Diary) Merge(into, from engine.State) {
	a, b := into.(*State), from.(*State)
	a.Events += b.Events
	for _, n := range b.Notes {
		a.note(n)
	}
}

// Grant gives what is asked as long as the purse lasts.
func (d *Diary) Grant(t *engine.Turn, p *engine.Proposal) {
	s, ok := t.State.(*State)
	if !ok || d.spent+p.Cost > Purse {
		p.Decision.Action, p.Decision.Reasons = streams.ActionNone, []streams.Reason{{Code: streams.ReasonBudget, With: p.Budget}}
		return
	}
	d.tables[0].Touch(0)
	d.spent += p.Cost
	s.note(Note{t.NowMS, "granted"})
}

// Item does nothing.
func (d *Diary) Item(*streams.Event, int64) {}

// Learn counts the events of all shards.
func (d *Diary) Learn(shards []any, _ *engine.Turn) {
	d.tables[0].Touch(0)
	for _, x := range shards {
		s := x.(*scratch)
		d.learned += s.events
		s.events = 0
	}
}

// FlushShared does nothing.
func (d *Diary) FlushShared(*engine.Turn) {}

// Tables lists the one table.
func (d *Diary) Tables() []*engine.Table { return d.tables }

// Names lists what can be paused.
func (d *Diary) Names() []string { return []string{"said", "told", "rang"} }
