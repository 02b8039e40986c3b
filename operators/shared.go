package operators

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"nudge/engine"
	"nudge/models"
	"nudge/operators/feature"
	"nudge/streams"
)

// sharedFeatures are the features of what customers share: of items, or of the one entity that is global. Shards only note the events that
// count for them; Learn takes those in, in the order of the shards, and closes the windows that end by the least watermark. So
// conditions see them as of the end of the epoch before.
type sharedFeatures struct {
	entity  string
	set     *feature.Set
	layout  uint64
	layouts *layouts
	table   *engine.Table
	rows    []feature.Row // of items: by row of the catalogue; global: one

	// What closes when, as the rows have it: derived, not written.
	pending map[int64][]uint32
	times   timeHeap // keys of pending

	observation feature.Observation
	closer      closer
}

// note is an event that a shard noted for Learn.
type note struct {
	event               *streams.Event
	timeMS, watermarkMS int64
	back                []returned // of a cancellation or refund
}

func newShared(entity string, set *feature.Set, l *layouts, closedMS *int64) *sharedFeatures {
	x := &sharedFeatures{entity: entity, set: set, layout: hashLayout(set.Layout()), layouts: l, pending: map[int64][]uint32{}}
	x.table = &engine.Table{Name: entity + "_features", Row: x.row, Load: x.load, Loaded: func() {
		for i := range x.rows {
			set.Pending(&x.rows[i], *closedMS, func(atMS int64) { x.visitAt(uint32(i), atMS) })
		}
	}}
	return x
}

// row appends key and value of a row: the hash of its layout, then what it holds.
func (x *sharedFeatures) row(i uint32, key, value []byte) (k, v []byte) {
	key = binary.BigEndian.AppendUint32(key, i)
	if int(i) >= len(x.rows) || x.rows[i].Empty() {
		return key, nil
	}
	return key, x.set.AppendBinary(binary.BigEndian.AppendUint64(value, x.layout), &x.rows[i])
}

func (x *sharedFeatures) load(key, value []byte) error {
	if len(key) != 4 || len(value) < 8 {
		return fmt.Errorf("operators: a row of %s features under the key %x: key or value is too short", x.entity, key)
	}
	i := binary.BigEndian.Uint32(key)
	if i >= models.MaxItems {
		return fmt.Errorf("operators: row %d of %s features: at most %d can be", i, x.entity, models.MaxItems)
	}
	layout, ok := x.layouts.find(binary.BigEndian.Uint64(value))
	if !ok {
		return fmt.Errorf("operators: row %d of %s features has an unknown layout", i, x.entity)
	}
	r, err := x.set.Decode(value[8:], layout)
	if err != nil {
		return fmt.Errorf("operators: row %d of %s features: %w", i, x.entity, err)
	}
	if layout != x.set.Layout() {
		x.table.Touch(i) // written afresh, or deleted if the pipeline asks for nothing of it
	}
	*x.at(i) = r
	return nil
}

// at returns a row, made if need be.
func (x *sharedFeatures) at(i uint32) *feature.Row {
	if int(i) >= len(x.rows) {
		x.rows = append(x.rows, make([]feature.Row, int(i)+1-len(x.rows))...)
	}
	return &x.rows[i]
}

// forget empties a row: its item's place in the catalogue is given away.
func (x *sharedFeatures) forget(i uint32) {
	if int(i) < len(x.rows) && !x.rows[i].Empty() {
		x.table.Touch(i)
		x.rows[i] = feature.Row{}
	}
}

const noRow = math.MaxUint32

// value is a feature of a row as of a time; of a row that is not there, what an empty one says.
func (x *sharedFeatures) value(i uint32, n int, nowMS int64) feature.Value {
	if uint64(i) < uint64(len(x.rows)) {
		return x.set.Value(&x.rows[i], n, nowMS)
	}
	return x.set.Value(&feature.Row{}, n, nowMS)
}

func (x *sharedFeatures) visitAt(i uint32, atMS int64) {
	rows, there := x.pending[atMS]
	if !there {
		heap.Push(&x.times, atMS)
	}
	x.pending[atMS] = append(rows, i)
}

// observe takes an event into a row. closedMS is up to when windows were closed.
func (x *sharedFeatures) observe(t *engine.Turn, n *note, i uint32, line int, closedMS int64, items feature.Items) {
	o := &x.observation
	o.Event, o.Line, o.TimeMS, o.WatermarkMS, o.Items = n.event, line, n.timeMS, n.watermarkMS, items
	o.LagMS = feature.NothingClosed
	if closedMS != math.MinInt64 {
		o.LagMS = n.watermarkMS - closedMS
	}
	r := x.at(i)
	x.table.Touch(i)
	x.set.Add(r, o)
	for _, atMS := range o.Visits {
		x.visitAt(i, atMS)
	}
	o.Visits = o.Visits[:0]
	for ; o.Late > 0; o.Late-- {
		t.Count("late/features")
	}
}

// close puts out the windows that end up to a time: by time, then row.
func (x *sharedFeatures) close(p *Program, t *engine.Turn, upToMS int64) {
	for len(x.times) > 0 && x.times[0] <= upToMS {
		atMS := heap.Pop(&x.times).(int64)
		rows := x.pending[atMS]
		delete(x.pending, atMS)
		slices.Sort(rows)
		for _, i := range slices.Compact(rows) {
			x.table.Touch(i)
			c := p.sharedCloser(t, x, i)
			x.set.Due(&x.rows[i], atMS, c)
			for _, next := range c.Visits {
				x.visitAt(i, next)
			}
			c.Visits = c.Visits[:0]
		}
	}
}

// flush puts out the windows that are open, of rows that wait for one to close: one that was flushed before is not put out again, whatever came
// into it since, as it is with customers.
func (x *sharedFeatures) flush(p *Program, t *engine.Turn) {
	var waiting []uint32
	for _, atMS := range x.times {
		waiting = append(waiting, x.pending[atMS]...)
	}
	slices.Sort(waiting)
	for _, i := range slices.Compact(waiting) {
		x.set.Flush(&x.rows[i], t.WatermarkMS, p.sharedCloser(t, x, i))
	}
	clear(x.pending)
	x.times = x.times[:0]
}

// sharedCloser readies the closer for a row.
func (p *Program) sharedCloser(t *engine.Turn, x *sharedFeatures, i uint32) *feature.Closer {
	c := &x.closer
	if c.Emit == nil {
		c.Emit = func(w *feature.Closed) { p.putOut(c, w) }
	}
	c.turn, c.entity, c.key = t, x.entity, entityGlobal
	c.Entity = append(c.Entity[:0], `"global":true`...)
	if x.entity == entityItem {
		c.key = p.catalog.rows[i].id
		c.Entity = streams.AppendJSONString(append(c.Entity[:0], `"item":`...), c.key)
	}
	return &c.Closer
}

// noteShared notes an event for Learn if it counts for what customers share, or takes back what did.
func (p *Program) noteShared(t *engine.Turn, c *Customer, s *scratch) {
	e := t.Event
	var back []returned
	switch {
	case s.noOrder:
		return
	case p.items.set.NumOrderValues()+p.global.set.NumOrderValues() == 0:
	case e.Type == streams.OrderCompleted:
		p.keepReceipt(t, c, s)
	case e.Type == streams.OrderCancelled || e.Type == streams.OrderRefunded:
		back = p.takeReceipts(t, c, s)
	}
	if p.items.set.Wants(e.Type) && len(e.Lines) > 0 || p.global.set.Wants(e.Type) || back != nil {
		s.notes = append(s.notes, note{e, t.NowMS, t.WatermarkMS, back})
	}
}

// learnShared takes in what the shards noted, and closes windows.
func (p *Program) learnShared(t *engine.Turn, scratches []any) {
	if p.items.set.Len()+p.global.set.Len() == 0 {
		return
	}
	for _, x := range scratches {
		s := x.(*scratch)
		for i := range s.notes {
			n := &s.notes[i]
			for k := range n.back {
				p.takeBack(&n.back[k])
			}
			if p.items.set.Wants(n.event.Type) {
				for line := range n.event.Lines {
					id := n.event.Lines[line].ID
					item := p.catalog.ensure(hashItem(id), id)
					p.catalog.met(item, n.timeMS)
					p.items.observe(t, n, item.Row(), line, p.closedMS, p)
				}
			}
			if p.global.set.Wants(n.event.Type) {
				p.global.observe(t, n, 0, -1, p.closedMS, p)
			}
		}
		clear(s.notes)
		s.notes = s.notes[:0]
	}
	if t.WatermarkMS > p.closedMS {
		p.shared.Touch(rowClosed)
		p.closedMS = t.WatermarkMS
		p.items.close(p, t, p.closedMS)
		p.global.close(p, t, p.closedMS)
	}
}

// FlushShared puts out the windows of items and of what is global that are open.
func (p *Program) FlushShared(t *engine.Turn) {
	p.items.flush(p, t)
	p.global.flush(p, t)
}

// timeHeap is a heap, the least first.
type timeHeap []int64

func (h timeHeap) Len() int           { return len(h) }
func (h timeHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h timeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timeHeap) Push(x any)        { *h = append(*h, x.(int64)) }
func (h *timeHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
