package kafka

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"

	"nudge/streams"
)

// resultHeader is the header of a line: who wrote it, and where it stands: <journal>/<epoch>/<ordinal>.
const resultHeader = "nudge"

// ResultWriter appends the lines of a result stream to a topic, each once.
//
// A line stands at an epoch of a journal and an ordinal in it, which its header says. Lines come in that order, and a partition stores them
// in order, so the last one that a partition holds says which of them it has: a writer that is opened again passes over those. That
// holds as long as one writer at a time has the topic; whoever opens it sees to that. It is used by one goroutine.
type ResultWriter struct {
	producer *Producer
	topic    string
	prefix   []byte // of the header: the journal
	held     []lineAt
	sent     []uint64 // records, by partition
	record   Record
	header   []byte
	ended    []endedEpoch
	stored   uint64
}

// lineAt is where a line stands. The zero value is before all of them: epochs begin with 1.
type lineAt struct {
	epoch   uint64
	ordinal int
}

func (a lineAt) after(b lineAt) bool {
	return a.epoch > b.epoch || a.epoch == b.epoch && a.ordinal > b.ordinal
}

// endedEpoch is an epoch and how much had been sent when it ended.
type endedEpoch struct {
	epoch uint64
	sent  []uint64
}

// ResultWriter returns a writer of a topic for one journal. It looks how far each partition has come.
func (c *Client) ResultWriter(ctx context.Context, topic, journal string, cfg ProducerConfig) (*ResultWriter, error) {
	p, err := c.Producer(ctx, topic, cfg)
	if err != nil {
		return nil, err
	}
	n := p.Partitions()
	w := &ResultWriter{producer: p, topic: topic, prefix: append([]byte(journal), '/'), held: make([]lineAt, n), sent: make([]uint64, n)}
	w.record.Headers = []streams.Header{{Key: resultHeader}}
	for partition := range n {
		if w.held[partition], err = w.lastLine(ctx, c, topic, partition); err != nil {
			p.Close()
			return nil, fmt.Errorf("streams/kafka: how far %s/%d has come: %w", topic, partition, err)
		}
	}
	return w, nil
}

// lastLine finds the last line of the journal that a partition holds, looking back from its end.
func (w *ResultWriter) lastLine(ctx context.Context, c *Client, topic string, partition int32) (lineAt, error) {
	start, end, err := c.Offsets(ctx, topic, partition)
	if err != nil {
		return lineAt{}, err
	}
	for back := int64(1); end > start; back *= 8 {
		from := max(start, end-back)
		at, err := w.lastBetween(ctx, c.Fetcher(topic, partition, from), end)
		if err != nil || at.epoch > 0 {
			return at, err
		}
		end = from
	}
	return lineAt{}, nil
}

func (w *ResultWriter) lastBetween(ctx context.Context, f *Fetcher, end int64) (at lineAt, err error) {
	defer f.Close()
	for next := int64(-1); next < end; {
		b, err := f.Fetch(ctx)
		if err != nil {
			return lineAt{}, err
		}
		for i := range b.Records {
			if b.Records[i].Offset >= end {
				break
			}
			for _, h := range b.Records[i].Headers {
				if x, ok := w.parse(h); ok && x.after(at) {
					at = x
				}
			}
		}
		next = b.Next
	}
	return at, nil
}

// Held is the last epoch of which the topic held a line when the writer was opened, and the partition of that line.
func (w *ResultWriter) Held() (epoch uint64, at string) {
	for partition, l := range w.held {
		if l.epoch > epoch {
			epoch, at = l.epoch, fmt.Sprintf("%s/%d", w.topic, partition)
		}
	}
	return epoch, at
}

// parse reads the header of a line of this journal.
func (w *ResultWriter) parse(h streams.Header) (lineAt, bool) {
	rest, ours := bytes.CutPrefix(h.Value, w.prefix)
	if h.Key != resultHeader || !ours {
		return lineAt{}, false
	}
	epoch, ordinal, ok := bytes.Cut(rest, []byte("/"))
	if !ok {
		return lineAt{}, false
	}
	e, err1 := strconv.ParseUint(string(epoch), 10, 64)
	o, err2 := strconv.Atoi(string(ordinal))
	return lineAt{e, o}, err1 == nil && err2 == nil
}

// Write sends a line to the partition of its key, unless that holds it already. It returns when the line is held in memory, in a copy.
func (w *ResultWriter) Write(ctx context.Context, epoch uint64, ordinal int, key, value []byte) error {
	partition := PartitionOf(key, int32(len(w.held)))
	if !(lineAt{epoch, ordinal}).after(w.held[partition]) {
		return nil
	}
	w.header = append(w.header[:0], w.prefix...)
	w.header = strconv.AppendUint(w.header, epoch, 10)
	w.header = append(w.header, '/')
	w.header = strconv.AppendInt(w.header, int64(ordinal), 10)
	r := &w.record
	r.Key, r.Value, r.Headers[0].Value = key, value, w.header
	if err := w.producer.SendTo(ctx, partition, r); err != nil {
		return err
	}
	w.sent[partition]++
	return nil
}

// EndEpoch says that all lines of an epoch were written.
func (w *ResultWriter) EndEpoch(epoch uint64) error {
	if n := len(w.ended); n > 0 && slices.Equal(w.ended[n-1].sent, w.sent) {
		w.ended[n-1].epoch = epoch // it had none
	} else {
		w.ended = append(w.ended, endedEpoch{epoch, append([]uint64{}, w.sent...)})
	}
	return nil
}

// Stored is the last epoch that was ended and all of whose lines are stored.
func (w *ResultWriter) Stored() uint64 {
	done := 0
	for done < len(w.ended) && w.reached(w.ended[done].sent) {
		w.stored = w.ended[done].epoch
		done++
	}
	w.ended = append(w.ended[:0], w.ended[done:]...)
	return w.stored
}

func (w *ResultWriter) reached(sent []uint64) bool {
	for partition, n := range sent {
		if w.producer.Stored(int32(partition)) < n {
			return false
		}
	}
	return true
}

// Notify receives when Stored may have changed.
func (w *ResultWriter) Notify() <-chan struct{} { return w.producer.Notify() }

// Sync is why no more can be stored; nil as long as waiting helps.
func (w *ResultWriter) Sync() error { return w.producer.Err() }

// Close ends the writer. What is not stored is written again by the next one.
func (w *ResultWriter) Close() error {
	w.producer.Close()
	return nil
}
