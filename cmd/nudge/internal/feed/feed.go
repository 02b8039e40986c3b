package feed

import (
	"context"
	"time"

	"nudge/streams"
	"nudge/streams/simulate"
)

// Sink takes the records of a world.
type Sink struct {
	Send func(ctx context.Context, r *simulate.Record) error
	// Flush returns when all that was sent is stored.
	Flush func(ctx context.Context) error
	Close func() error
}

// Feed writes a world's records to a sink.
type Feed struct {
	World *simulate.World
	Sink  *Sink
	// Decisions are shown to the shoppers as they come; nil for none.
	Decisions <-chan *streams.Decision
	Now       func() time.Time
	// Records is how many are written at most; 0 is no limit.
	Records int64
	// Unsaid leaves out what customers do, as long as it is true: the world moves on, only its catalogue is written.
	Unsaid bool

	written  int64
	prepared []simulate.Record // written by Paced before others
}

// Written is how many records have been handed to the sink.
func (f *Feed) Written() int64 { return f.written }

// step is how often the world catches up with the clock.
const step = 5 * time.Millisecond

// Past writes what happens up to a time, as fast as the sink takes it.
func (f *Feed) Past(ctx context.Context, until time.Time) error {
	if err := f.advance(ctx, until.UnixMilli()); err != nil {
		return err
	}
	return f.Sink.Flush(ctx)
}

// Live keeps the world in step with the clock: first it catches up. It ends with ctx, at the time given (zero: never), or
// with the last record that may be written.
func (f *Feed) Live(ctx context.Context, until time.Time) error {
	tick := time.NewTicker(step)
	defer tick.Stop()
	for !f.full() {
		now := f.Now()
		end := !until.IsZero() && !now.Before(until)
		if end {
			now = until
		}
		if err := f.advance(ctx, now.UnixMilli()); err != nil && ctx.Err() == nil {
			return err
		}
		if end {
			break
		}
		select {
		case d := <-f.Decisions:
			f.react(d)
		case <-tick.C:
			continue
		case <-ctx.Done():
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			return f.Sink.Flush(ending)
		}
	}
	return f.Sink.Flush(ctx)
}

// lastWords is how long what was written may take to be stored when the feed is told to end.
const lastWords = 10 * time.Second

// react shows a decision, and those that wait behind it.
func (f *Feed) react(d *streams.Decision) {
	for {
		f.World.React(d, f.Now().UnixMilli())
		select {
		case d = <-f.Decisions:
		default:
			return
		}
	}
}

func (f *Feed) full() bool { return f.Records > 0 && f.written >= f.Records }

func (f *Feed) advance(ctx context.Context, toMS int64) error {
	for !f.full() {
		r, ok := f.World.Until(toMS)
		if !ok {
			return f.World.Err()
		}
		if f.Unsaid && r.Topic != simulate.Catalog {
			continue
		}
		if err := f.Sink.Send(ctx, &r); err != nil {
			return err
		}
		f.written++
	}
	return f.World.Err()
}

// Prepare makes the next n records, for Paced: what is made before does not take the machine's time while it is measured.
func (f *Feed) Prepare(n int) error {
	f.prepared = make([]simulate.Record, 0, n)
	var text []byte
	for range n {
		r := f.World.Next()
		if cap(text)-len(text) < len(r.Key)+len(r.Value) {
			text = make([]byte, 0, max(1<<20, len(r.Key)+len(r.Value)))
		}
		key := len(text)
		text = append(text, r.Key...)
		value := len(text)
		text = append(text, r.Value...)
		r.Key, r.Value = text[key:value:value], text[value:len(text):len(text)]
		f.prepared = append(f.prepared, r)
	}
	return f.World.Err()
}

// next is the next record, of those that were prepared or of the world.
func (f *Feed) next() simulate.Record {
	if len(f.prepared) == 0 {
		return f.World.Next()
	}
	r := f.prepared[0]
	f.prepared = f.prepared[1:]
	return r
}

// Paced writes so many records a second for so long, whatever the world's clock says.
func (f *Feed) Paced(ctx context.Context, perSecond float64, span time.Duration) error {
	const beat = 2 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began := f.Now()
	for sent := int64(0); ; {
		took := min(f.Now().Sub(began), span)
		for due := int64(perSecond * took.Seconds()); sent < due; sent++ {
			r := f.next()
			if err := f.Sink.Send(ctx, &r); err != nil {
				return err
			}
			f.written++
		}
		if took == span {
			return f.Sink.Flush(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
