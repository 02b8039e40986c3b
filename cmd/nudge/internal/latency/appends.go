package latency

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nudge/streams"
	"nudge/streams/kafka"
)

// ring is how many records of a partition are remembered, waiting how many arrivals wait for theirs.
const (
	ring    = 1 << 16
	waiting = 1 << 16
)

// Appends reads along the topics that decisions are taken on, to know when each record was appended. It is safe for
// concurrent use.
type Appends struct {
	to     *Histogram
	mu     sync.Mutex
	logs   map[partition]*appended
	early  map[streams.Position]time.Time // arrived before their record was seen here
	missed int64
	follow []*kafka.Fetcher
	parts  []partition
}

type partition struct {
	topic string
	id    int32
}

// appended remembers the append times of the last records of a partition, in milliseconds; next is the offset after them.
type appended struct {
	from, next int64
	ms         [ring]int64
}

// Follow begins to read the topics at their ends; Run goes on. What Arrived measures is added to the histogram.
func Follow(ctx context.Context, client *kafka.Client, to *Histogram, topics ...string) (*Appends, error) {
	a := &Appends{to: to, logs: map[partition]*appended{}, early: map[streams.Position]time.Time{}}
	for _, topic := range topics {
		ranges, err := client.AllOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		for id, r := range ranges {
			p := partition{topic, int32(id)}
			a.logs[p] = &appended{from: r.End, next: r.End}
			a.parts = append(a.parts, p)
			a.follow = append(a.follow, client.Fetcher(topic, p.id, r.End))
		}
	}
	return a, nil
}

// Run reads along until ctx ends.
func (a *Appends) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, f := range a.follow {
		group.Go(func() error {
			defer f.Close()
			for ctx.Err() == nil {
				batch, err := f.Fetch(ctx)
				if err != nil {
					if ctx.Err() != nil {
						return nil
					}
					return fmt.Errorf("read along %s/%d: %w", a.parts[i].topic, a.parts[i].id, err)
				}
				a.saw(a.parts[i], batch)
			}
			return nil
		})
	}
	return group.Wait()
}

func (a *Appends) saw(p partition, batch streams.Batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.logs[p]
	for i := range batch.Records {
		r := &batch.Records[i]
		l.ms[r.Offset%ring] = r.AppendMS
		l.next = r.Offset + 1
		if len(a.early) == 0 {
			continue
		}
		pos := streams.Position{Topic: p.topic, Partition: p.id, Offset: r.Offset}
		if at, ok := a.early[pos]; ok {
			delete(a.early, pos)
			a.to.Add(at.Sub(time.UnixMilli(r.AppendMS)))
		}
	}
}

// Arrived says that a decision on the record at pos has arrived. Records from before Follow are not measured.
func (a *Appends) Arrived(pos streams.Position, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.logs[partition{pos.Topic, pos.Partition}]
	switch {
	case l == nil || pos.Offset < l.from:
	case pos.Offset >= l.next && len(a.early) < waiting:
		a.early[pos] = at
	case pos.Offset >= l.next || pos.Offset < l.next-ring:
		a.missed++
	default:
		a.to.Add(at.Sub(time.UnixMilli(l.ms[pos.Offset%ring])))
	}
}

// Missed is how many arrivals could not be measured.
func (a *Appends) Missed() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.missed + int64(len(a.early))
}
