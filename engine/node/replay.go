package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"

	"nudge/engine"
	"nudge/state"
)

// ReplayConfig is what a replay runs on: the engine of a node, with another source and another sink.
type ReplayConfig struct {
	Compile func(engine.Setup) (Pipeline, error)
	Source  Source
	// Journal, if there is one, is followed epoch by epoch: the output is then what was published live, byte for byte. Without
	// it epochs are cut by append time, EpochEvents records each, under Setup: always the same, whatever the machine.
	Journal     *state.Journal
	Setup       engine.Setup
	EpochEvents int
	// Under folds the journal's epochs under Setup, whatever pipelines they were folded under, from the first one on. A state that was rebuilt and taken over
	// is nothing else than what is folded then.
	Under bool
	// Store is where the state begins: empty, or at the checkpoint that the journal goes on from. The replay's own state is
	// checkpointed into it at the end if it is to be kept; before only what memory has no room for.
	Store   *state.Store
	Keep    bool
	Workers int
	// Skip says which customers (their keys: 'u' or 'a' and the id) were erased. With a journal their decisions are left out, without
	// one their events are.
	Skip map[string]bool
	// Erasures says how often each of them is erased within the log, as far as it shows: what is decided with a journal after the last time is of one
	// who has come again, and kept.
	Erasures map[string]int
	// Flush closes the windows that are open at the end, after the checkpoint.
	Flush bool
	// Write takes the output of an epoch, and the names of its result streams; it is only valid during the call.
	Write func(out *engine.Output, results []string) error
	// Progress is told now and then how many records of how many are done.
	Progress func(done, total int64)
	Log      *zap.Logger
}

// Replay folds a recorded log and returns what was counted.
func Replay(ctx context.Context, cfg ReplayConfig) (engine.Counts, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := New(Config{Setup: cfg.Setup, Compile: cfg.Compile, Source: cfg.Source, Store: cfg.Store, Journal: cfg.Journal, Workers: cfg.Workers,
		EpochEvents: cfg.EpochEvents, UntilEnd: true, Log: cfg.Log, Now: func() time.Time { return time.Time{} }})
	r := &replay{ReplayConfig: cfg, n: n}
	if err := r.run(ctx); err != nil {
		return engine.Counts{}, err
	}
	return n.engine.Totals(), nil
}

type replay struct {
	ReplayConfig
	n           *Node
	done, total int64
	folded      uint64 // hash of the journal's entry that was folded last
}

func (r *replay) run(ctx context.Context) error {
	n := r.n
	setup := &r.Setup
	if r.Journal != nil {
		var err error
		if setup, err = r.journalled(); err != nil {
			return err
		}
		if r.Under {
			setup = &r.Setup
		}
	}
	if err := n.build(setup); err != nil {
		return err
	}
	if r.Journal == nil {
		n.engine.Skip(r.Skip)
	}
	n.makeQueues()
	for _, q := range n.queues {
		start, end, err := r.Source.Offsets(ctx, q.topic, q.ID)
		if err != nil {
			return err
		}
		if q.next < 0 {
			q.next = start
		}
		q.start, q.end, q.stopAt, q.endAtStart = start, end, end, end
		r.total += max(end-q.next, 0)
	}
	n.newFetchers(ctx).start(func(*queue) bool { return true })
	if r.Journal != nil {
		if err := r.follow(ctx); err != nil {
			return err
		}
	} else if err := r.cutAll(ctx); err != nil {
		return err
	}
	if r.Keep {
		if err := r.checkpoint(); err != nil {
			return err
		}
	}
	if !r.Flush {
		return nil
	}
	for flushed := false; !flushed; {
		entry := &engine.Entry{Commands: []engine.Command{{Kind: engine.CommandFlush}}}
		var err error
		if flushed, err = r.fold(&engine.Epoch{Number: n.engine.Number() + 1, Entry: entry}); err != nil {
			return err
		}
	}
	return nil
}

// journalled is the setup that the journal's first entry after the checkpoint runs under.
func (r *replay) journalled() (*engine.Setup, error) {
	if r.Store.Empty() && r.Journal.First() > 1 {
		return nil, fmt.Errorf("node: the journal begins at epoch %d: replay needs the checkpoint that it goes on from; take a backup and export from it", r.Journal.First())
	}
	return r.n.setupInForce()
}

// follow folds the journal's epochs.
func (r *replay) follow(ctx context.Context) error {
	n := r.n
	return r.Journal.Read(n.engine.Number()+1, func(number, hash uint64, payload []byte) error {
		entry, err := engine.DecodeEntry(payload)
		if err != nil {
			return err
		}
		if r.Under {
			entry.Setup = nil
			entry.Commands = slices.DeleteFunc(entry.Commands, func(c engine.Command) bool { return c.Kind == engine.CommandRebuilt })
		}
		if entry.Setup != nil && !entry.Setup.Equal(n.engine.Setup()) {
			if err := r.checkpoint(); err != nil { // the changed pipeline starts from it
				return err
			}
			if err := n.build(entry.Setup); err != nil {
				return err
			}
		}
		ep := &engine.Epoch{Number: number, Entry: entry}
		if err := n.takeEntry(ctx, ep); err != nil {
			return err
		}
		if _, err = r.fold(ep); err == nil {
			r.folded = hash
		}
		return err
	})
}

// fold folds an epoch, and says whether it closed the last open window before its time.
func (r *replay) fold(ep *engine.Epoch) (flushed bool, err error) {
	n := r.n
	if n.engine.Crowded() {
		if err := r.checkpoint(); err != nil {
			return false, err
		}
	}
	out, err := n.engine.Fold(ep)
	if err != nil {
		return false, err
	}
	n.release(ep.Runs)
	if r.Journal != nil && len(r.Skip) > 0 {
		out.Leave(r.Skip)
		for _, id := range out.Erased {
			r.erased(id)
		}
	}
	if err := r.Write(out, n.outputs); err != nil {
		return false, err
	}
	flushed = out.Flushed
	n.engine.Release(out)
	for _, s := range ep.Entry.Spans {
		r.done += s.To - s.From
	}
	if r.Progress != nil {
		r.Progress(r.done, r.total)
	}
	return flushed, nil
}

// erased counts an erasure; after the last one nothing of the customer is left out any more.
func (r *replay) erased(id string) {
	for _, key := range []string{"u" + id, "a" + id} {
		if n := r.Erasures[key]; n > 0 {
			if r.Erasures[key]--; n == 1 {
				delete(r.Skip, key)
			}
		}
	}
}

// cutAll cuts the log into epochs by append time: the catalogue first, then the customers' topics.
func (r *replay) cutAll(ctx context.Context) error {
	n := r.n
	if _, err := r.fold(&engine.Epoch{Number: n.engine.Number() + 1, Entry: &engine.Entry{Setup: &r.Setup}}); err != nil {
		return err
	}
	for _, catalog := range []bool{true, false} {
		for {
			ep, err := r.cut(ctx, catalog)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if _, err := r.fold(ep); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut takes the next records in the order of (append time, input, partition), io.EOF when there are none.
func (r *replay) cut(ctx context.Context, catalog bool) (*engine.Epoch, error) {
	n := r.n
	entry := &engine.Entry{}
	ep := &engine.Epoch{Number: n.engine.Number() + 1, Entry: entry}
	left := n.cfg.EpochEvents
	bounded := false
	for left > 0 {
		first, second := -1, int64(math.MaxInt64)
		var head int64
		for i, q := range n.queues {
			if n.inputs[q.Input].Catalog != catalog || q.finished() {
				continue
			}
			for q.headRecord() == nil && !q.finished() {
				if len(q.chunks) > 0 { // offsets without records
					n.takeSpan(ep, i, 0, noOffset, math.MaxInt64)
					continue
				}
				if err := n.hearOne(ctx); err != nil {
					return nil, err
				}
			}
			if q.finished() {
				continue
			}
			at := q.headRecord().AppendMS
			if first < 0 || at < head {
				if first >= 0 {
					second = head
				}
				first, head = i, at
			} else {
				second = min(second, at)
			}
		}
		if first < 0 {
			break
		}
		if !bounded { // all queues that are not finished have a head now
			bounded = true
			least := int64(math.MaxInt64)
			for _, q := range n.queues {
				if n.inputs[q.Input].Catalog == catalog && !q.finished() {
					least = min(least, q.headClock())
				}
			}
			for _, q := range n.queues {
				q.boundMS = max(least, n.queues[first].headClock()) + spanMS
			}
		}
		// All of the first queue's records up to the next queue's head come before it; of equal times the earlier queue's do.
		count := r.take(ep, first, left, max(second, head))
		if count == 0 {
			break // the next record is of another stretch of time
		}
		left -= count
	}
	if len(entry.Spans) == 0 {
		return nil, io.EOF
	}
	for _, q := range n.queues {
		if !n.inputs[q.Input].Catalog && q.finished() {
			entry.Idle = append(entry.Idle, q.Partition)
		}
	}
	r.arrival(entry, ep)
	return ep, nil
}

// take takes records of a queue into the epoch, growing the span that the epoch already has of it.
func (r *replay) take(ep *engine.Epoch, i, limit int, untilMS int64) int {
	q := r.n.queues[i]
	spans := len(ep.Entry.Spans)
	count := r.n.takeSpan(ep, i, limit, noOffset, untilMS)
	if len(ep.Entry.Spans) == spans {
		return 0
	}
	added := ep.Entry.Spans[spans]
	for j := range ep.Entry.Spans[:spans] {
		if s := &ep.Entry.Spans[j]; s.Partition == q.Partition {
			s.To = added.To
			s.Count += added.Count
			ep.Entry.Spans = ep.Entry.Spans[:spans]
			break
		}
	}
	return count
}

// arrival says that the epoch arrived when its last record was appended.
func (r *replay) arrival(entry *engine.Entry, ep *engine.Epoch) {
	for _, run := range ep.Runs {
		for _, rec := range run.Chunk.Records[run.I:run.J] {
			entry.ArrivalMS = max(entry.ArrivalMS, rec.AppendMS)
		}
	}
	for i := range entry.Catalog {
		entry.ArrivalMS = max(entry.ArrivalMS, entry.Catalog[i].Record.AppendMS)
	}
}

// checkpoint writes the state as it is into the store.
func (r *replay) checkpoint() error {
	to, err := r.Store.Begin()
	if err != nil {
		return err
	}
	id, hash := "", uint64(0)
	if r.Journal != nil {
		id, hash = r.Journal.Header().ID, r.folded
		if hash == 0 { // nothing was folded
			_, hash = r.Journal.Last()
		}
	}
	e := r.n.engine
	e.BeginCheckpoint(to, id, hash)
	for done := false; !done; {
		if done, err = e.DrainCheckpoint(1 << 20); err != nil {
			to.Abort()
			return err
		}
	}
	_, err = to.Complete(e.CheckpointMeta())
	e.EndCheckpoint(err == nil)
	return err
}
