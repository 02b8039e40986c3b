package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"nudge/engine"
	"nudge/operators"
	"nudge/operators/pipeline"
	"nudge/state"
	"nudge/streams"
)

// Sandbox is an engine over one partition, its state in a temporary folder.
type Sandbox struct {
	Program *operators.Program

	dir     string
	store   *state.Store
	engine  *engine.Engine
	outputs []string
	decode  *streams.Decoder
	item    *streams.Decoder
	prefix  string // of decisions' subjects
	appends int64  // offset of the next event
	items   int64  // offset of the next catalogue record
	nowMS   int64  // append time of the last event; math.MinInt64 before it
	baseMS  int64  // what the engine counts ticks from
	late    int64  // allowed lateness
}

// The inputs: all events come by one, catalogue records by the other.
const (
	inputEvents = iota
	inputReviews
	inputCatalog
)

// Step is what an event, or time, led to.
type Step struct {
	Decisions []Decision
	Windows   []Window
	Passed    *Passed // why the event was passed over; nil if it was not
}

// Passed is why an event was passed over, though nothing is wrong with its record.
type Passed struct {
	Reason string // duplicate, late or merge_refused
	Words  string
}

// Decision is a decision as published.
type Decision struct {
	*streams.Decision
	JSON []byte
}

// Window is a closed window.
type Window struct {
	Output string
	JSON   []byte
}

// New compiles the pipeline.
func New(config *pipeline.Config) (s *Sandbox, err error) {
	s = &Sandbox{nowMS: math.MinInt64, baseMS: math.MinInt64, prefix: "nudge." + config.App + "."}
	setup := engine.Setup{Definition: config.Text(), ActOnStale: true, Inputs: []engine.Topic{
		{Topic: "events", Partitions: 1, LogAppendTime: true}, {Topic: "reviews"}, {Topic: "catalog", Partitions: 1, Catalog: true, LogAppendTime: true}}}
	cfg, program, err := pipeline.Compile(setup)
	if err != nil {
		return nil, err
	}
	cfg.ActOnStale = true
	cfg.Parallel = func(n int, f func(int)) {
		for i := range n {
			f(i)
		}
	}
	s.Program, s.outputs, s.late = program, program.Outputs(), cfg.LatenessMS
	s.decode, s.item = cfg.Inputs[inputEvents].NewDecoder(), cfg.Inputs[inputCatalog].NewDecoder()
	if s.dir, err = os.MkdirTemp("", "nudge-sandbox-"); err != nil {
		return nil, err
	}
	if s.store, err = state.Open(s.dir, state.Options{App: config.App, MemTableBytes: 8 << 20}); err == nil {
		s.engine, err = engine.New(cfg, program, s.store)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close removes the state.
func (s *Sandbox) Close() (err error) {
	if s.store != nil {
		err = s.store.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// NowMS is the time that the last event or Advance came to; false before the first.
func (s *Sandbox) NowMS() (ms int64, ok bool) { return s.nowMS, s.nowMS != math.MinInt64 }

// Check says what is wrong with a record, as Feed would, and takes nothing in.
func (s *Sandbox) Check(record []byte) *streams.Fault {
	var e streams.Event
	rec := streams.Record{Value: record}
	if f := s.decode.Decode(&rec, &e); f != nil {
		return f
	}
	if e.Type != streams.ItemUpserted && e.Type != streams.ItemRemoved {
		return nil
	}
	if f := s.item.Decode(&rec, &e); f != nil || e.Type == streams.ItemRemoved {
		return f
	}
	var item streams.CatalogItem
	return e.CatalogItem(&item)
}

// Feed takes one record in: an event, or a record of the catalogue. A *streams.Fault says why it is refused.
func (s *Sandbox) Feed(record []byte) (Step, error) {
	rec := streams.Record{Value: record}
	var e streams.Event
	if f := s.decode.Decode(&rec, &e); f != nil {
		return Step{}, f
	}
	if e.Type == streams.ItemUpserted || e.Type == streams.ItemRemoved {
		return s.feedItem(&rec)
	}
	s.nowMS = max(s.nowMS, e.TimeMS)
	rec.Offset, rec.AppendMS = s.appends, s.nowMS
	if _, f := streams.CheckTime(&e, rec.AppendMS); f != nil {
		return Step{}, f
	}
	s.baseMS = max(s.baseMS, e.TimeMS)
	s.appends++
	chunk := &engine.Chunk{Records: []streams.Record{rec}, Events: []streams.Event{e}, Next: s.appends}
	return s.fold(&engine.Epoch{Runs: []engine.Run{{Chunk: chunk, I: 0, J: 1}},
		Entry: &engine.Entry{ArrivalMS: rec.AppendMS, Spans: []engine.Span{{From: rec.Offset, To: s.appends, Count: 1}}}})
}

func (s *Sandbox) feedItem(rec *streams.Record) (Step, error) {
	var e streams.Event
	if f := s.item.Decode(rec, &e); f != nil {
		return Step{}, f
	}
	if e.Type == streams.ItemUpserted {
		var item streams.CatalogItem
		if f := e.CatalogItem(&item); f != nil {
			return Step{}, f
		}
	}
	rec.Offset, rec.Key = s.items, []byte(e.Item())
	s.items++
	return s.fold(&engine.Epoch{Entry: &engine.Entry{ArrivalMS: max(s.nowMS, 0), Catalog: []engine.CatalogRecord{{Partition: engine.Partition{Input: inputCatalog}, Record: *rec}}}})
}

// Advance lets time pass: timers fire and windows close as if an event of that time had come.
func (s *Sandbox) Advance(toMS int64) (Step, error) {
	if s.baseMS == math.MinInt64 || toMS <= s.nowMS {
		s.nowMS = max(s.nowMS, toMS)
		return Step{}, nil
	}
	s.nowMS = toMS
	return s.fold(&engine.Epoch{Entry: &engine.Entry{ArrivalMS: toMS, Ticks: []engine.Tick{{AheadMS: toMS + s.late - s.baseMS}}}})
}

// Flush puts out the windows that are open.
func (s *Sandbox) Flush() (all Step, err error) {
	for flushed := false; !flushed; {
		entry := &engine.Entry{ArrivalMS: max(s.nowMS, 0), Commands: []engine.Command{{Kind: engine.CommandFlush}}}
		step, out, err := s.take(&engine.Epoch{Entry: entry})
		if err != nil {
			return all, err
		}
		all.Windows = append(all.Windows, step.Windows...)
		flushed = out
	}
	return all, nil
}

func (s *Sandbox) fold(ep *engine.Epoch) (Step, error) {
	step, _, err := s.take(ep)
	return step, err
}

func (s *Sandbox) take(ep *engine.Epoch) (step Step, flushed bool, err error) {
	ep.Number = s.engine.Number() + 1
	out, err := s.engine.Fold(ep)
	if err != nil {
		return step, false, err
	}
	defer s.engine.Release(out)
	switch {
	case out.Counts.Duplicates > 0:
		step.Passed = &Passed{"duplicate", "an event of this customer with this id was there before"}
	case out.Counts.Late > 0:
		step.Passed = &Passed{"late", "it lies further back than time.keep_late allows: too late to count"}
	case out.Counts.Named["merge_refused"] > 0:
		step.Passed = &Passed{"merge_refused", "its anonymous id is another customer's already, and who is known is not merged into another"}
	}
	for i := range out.Messages {
		m := &out.Messages[i]
		what, rest, _ := strings.Cut(strings.TrimPrefix(m.Subject, s.prefix), ".")
		json := append([]byte(nil), m.Data...)
		switch what {
		case "decisions":
			d, err := streams.ParseDecision(json)
			if err != nil {
				return step, false, err
			}
			step.Decisions = append(step.Decisions, Decision{d, json})
		case "features":
			name, _, _ := strings.Cut(rest, ".")
			step.Windows = append(step.Windows, Window{name, json})
		default:
			return step, false, fmt.Errorf("sandbox: a message on %s: %s", m.Subject, m.Data)
		}
	}
	for i := range out.Results {
		step.Windows = append(step.Windows, Window{s.outputs[out.Results[i].Output], append([]byte(nil), out.Results[i].Value...)})
	}
	return step, out.Flushed, nil
}

// Customer finds what is known of a customer; nil if nothing is.
func (s *Sandbox) Customer(id string, anonymous bool) (engine.State, error) {
	found, err := s.engine.Customers(id, anonymous)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].State, nil
}
