package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"nudge/streams"
)

// Entry is what the journal holds of one epoch: by reference the records of the customers' topics (they can be read
// again), by value everything else that may influence a decision.
type Entry struct {
	// ArrivalMS is the node's clock when the epoch was cut, in Unix milliseconds. It only serves where the design says
	// that arrival time stands in: topics without LogAppendTime, and whether a decision has expired.
	ArrivalMS int64
	Spans     []Span
	// Idle lists the partitions of customers' topics that do not hold the watermark in this epoch, ascending.
	Idle     []Partition
	Ticks    []Tick
	Catalog  []CatalogRecord
	Commands []Command
	// Setup is what the engine runs under from this epoch on; nil where it stays. The first entry of a journal has one.
	Setup *Setup
	Gaps  []Gap
	// Requests are folded in this order after the records of their shards.
	Requests []Request
}

// Setup is what decides an engine's output beside the epochs: the pipeline's text, and what the brokers say of its topics.
type Setup struct {
	Definition []byte  `json:"definition"`
	Inputs     []Topic `json:"inputs"`
	// ActOnStale publishes decisions that had expired when their epoch arrived as if they had not: replays and benchmarks.
	ActOnStale bool `json:"act_on_stale,omitempty"`
}

// Topic is one topic that is read. Its place in Setup.Inputs is the input's number.
type Topic struct {
	Topic      string `json:"topic"`
	ID         string `json:"id,omitempty"` // the broker's id of the topic: one created anew has another
	Partitions int    `json:"partitions"`   // 0: the topic does not exist
	// Catalog says that it holds catalogue records: they enter the journal by value, before the customers' events.
	Catalog bool `json:"catalog,omitempty"`
	// LogAppendTime says that records carry the broker's append time; else the epoch's arrival time stands in.
	LogAppendTime bool `json:"log_append_time,omitempty"`
}

// Equal says whether two setups are the same.
func (s *Setup) Equal(o *Setup) bool {
	return s.ActOnStale == o.ActOnStale && bytes.Equal(s.Definition, o.Definition) && slices.Equal(s.Inputs, o.Inputs)
}

// Partition is one partition of an input, named by the input's number in Config.Inputs.
type Partition struct {
	Input int
	ID    int32
}

// Span is a run of records of one partition: [From, To), Count of them with Hash over their hashes.
type Span struct {
	Partition
	From, To int64
	Count    int
	Hash     uint64
}

// Tick moves the clock of an idle shard: AheadMS after its last record.
type Tick struct {
	Shard   int
	AheadMS int64
}

// CatalogRecord is one record of a catalogue topic, by value: compaction may drop it from the topic later.
type CatalogRecord struct {
	Partition
	Record streams.Record
}

// Command is what an operator told the node to do.
type Command struct {
	Kind string // pause, resume, CommandFlush, CommandRebuilt
	Name string
}

// CommandFlush closes the windows that are open, for the end of a log. It is repeated until Output.Flushed.
const CommandFlush = "flush"

// Gap is a run of records that was lost and accepted as lost: [From, To).
type Gap struct {
	Partition
	From, To int64
}

// Request is a decision.requested that came on NATS, by value: nobody else keeps it.
type Request struct {
	Shard int    // the customer's
	Data  []byte // JSON as its sender wrote it: see streams.Decoder.DecodeRequest
}

// FoldHash adds the hash of a record to the hash of a span; a span's hash starts at 0.
func FoldHash(h, record uint64) uint64 {
	h = (h ^ record) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// The versions of an entry: one without requests is written as it was before there were any, so that older builds read it.
const (
	entryVersion = 1 + iota
	entryWithRequests
)

// AppendBinary appends the canonical encoding of the entry.
func (e *Entry) AppendBinary(b []byte) []byte {
	if len(e.Requests) > 0 {
		b = append(b, entryWithRequests)
	} else {
		b = append(b, entryVersion)
	}
	b = binary.AppendVarint(b, e.ArrivalMS)
	b = binary.AppendUvarint(b, uint64(len(e.Spans)))
	for _, s := range e.Spans {
		b = s.appendTo(b)
		b = binary.AppendVarint(b, s.From)
		b = binary.AppendVarint(b, s.To-s.From)
		b = binary.AppendUvarint(b, uint64(s.Count))
		b = binary.LittleEndian.AppendUint64(b, s.Hash)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Idle)))
	for _, p := range e.Idle {
		b = p.appendTo(b)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Ticks)))
	for _, t := range e.Ticks {
		b = binary.AppendUvarint(b, uint64(t.Shard))
		b = binary.AppendVarint(b, t.AheadMS)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Catalog)))
	for i := range e.Catalog {
		b = e.Catalog[i].Partition.appendTo(b)
		b = appendRecord(b, &e.Catalog[i].Record)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Commands)))
	for _, c := range e.Commands {
		b = appendString(b, c.Kind)
		b = appendString(b, c.Name)
	}
	b = e.Setup.appendTo(b)
	b = binary.AppendUvarint(b, uint64(len(e.Gaps)))
	for _, g := range e.Gaps {
		b = g.appendTo(b)
		b = binary.AppendVarint(b, g.From)
		b = binary.AppendVarint(b, g.To)
	}
	if len(e.Requests) > 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Requests)))
	}
	for _, q := range e.Requests {
		b = binary.AppendUvarint(b, uint64(q.Shard))
		b = appendBytes(b, q.Data)
	}
	return b
}

// DecodeEntry is the inverse of AppendBinary. The entry keeps no reference to b.
func DecodeEntry(b []byte) (*Entry, error) {
	r := reader{b: b}
	v := r.byte()
	if v != entryVersion && v != entryWithRequests {
		return nil, fmt.Errorf("engine: journal entry of version %d, this build reads %d and %d: use the build that wrote it", v, entryVersion, entryWithRequests)
	}
	e := &Entry{ArrivalMS: r.varint()}
	for n := r.count(); n > 0; n-- {
		s := Span{Partition: r.partition(), From: r.varint()}
		s.To = s.From + r.varint()
		s.Count = int(r.uvarint())
		s.Hash = r.uint64()
		e.Spans = append(e.Spans, s)
	}
	for n := r.count(); n > 0; n-- {
		e.Idle = append(e.Idle, r.partition())
	}
	for n := r.count(); n > 0; n-- {
		e.Ticks = append(e.Ticks, Tick{Shard: int(r.uvarint()), AheadMS: r.varint()})
	}
	for n := r.count(); n > 0; n-- {
		e.Catalog = append(e.Catalog, CatalogRecord{Partition: r.partition(), Record: r.record()})
	}
	for n := r.count(); n > 0; n-- {
		e.Commands = append(e.Commands, Command{Kind: r.string(), Name: r.string()})
	}
	e.Setup = r.setup()
	for n := r.count(); n > 0; n-- {
		e.Gaps = append(e.Gaps, Gap{Partition: r.partition(), From: r.varint(), To: r.varint()})
	}
	if v == entryWithRequests {
		for n := r.count(); n > 0; n-- {
			e.Requests = append(e.Requests, Request{Shard: int(r.uvarint()), Data: r.bytes()})
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes left over", len(r.b))
	}
	if r.err != nil {
		return nil, fmt.Errorf("engine: decode journal entry: %w", r.err)
	}
	return e, nil
}

func (s *Setup) appendTo(b []byte) []byte {
	if s == nil {
		return append(b, 0)
	}
	b = append(b, 1, flag(s.ActOnStale))
	b = appendBytes(b, s.Definition)
	b = binary.AppendUvarint(b, uint64(len(s.Inputs)))
	for _, t := range s.Inputs {
		b = appendString(b, t.Topic)
		b = appendString(b, t.ID)
		b = binary.AppendUvarint(b, uint64(t.Partitions))
		b = append(b, flag(t.Catalog), flag(t.LogAppendTime))
	}
	return b
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func (r *reader) setup() *Setup {
	if r.byte() == 0 {
		return nil
	}
	s := &Setup{ActOnStale: r.byte() == 1, Definition: r.bytes()}
	for n := r.count(); n > 0; n-- {
		s.Inputs = append(s.Inputs, Topic{Topic: r.string(), ID: r.string(), Partitions: int(r.uvarint()), Catalog: r.byte() == 1, LogAppendTime: r.byte() == 1})
	}
	return s
}

func (p Partition) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p.Input))
	return binary.AppendUvarint(b, uint64(p.ID))
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendBytes keeps nil apart from empty: a record's key and value may be either.
func appendBytes(b, s []byte) []byte {
	if s == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(s))+1)
	return append(b, s...)
}

func appendRecord(b []byte, r *streams.Record) []byte {
	b = binary.AppendVarint(b, r.Offset)
	b = binary.AppendVarint(b, r.AppendMS)
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendUvarint(b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		b = appendString(b, h.Key)
		b = appendBytes(b, h.Value)
	}
	return b
}

var errShort = errors.New("the bytes end too early")

// reader takes encoded values off the front of b; after the first error everything it gives is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errShort
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the length of a list whose elements take at least one byte each.
func (r *reader) count() int {
	v := r.uvarint()
	if v > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) string() string { return string(r.take(r.uvarint())) }

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	return append([]byte{}, r.take(n-1)...)
}

func (r *reader) partition() Partition {
	return Partition{Input: int(r.uvarint()), ID: int32(r.uvarint())}
}

func (r *reader) record() streams.Record {
	rec := streams.Record{Offset: r.varint(), AppendMS: r.varint(), Key: r.bytes(), Value: r.bytes()}
	for n := r.count(); n > 0; n-- {
		rec.Headers = append(rec.Headers, streams.Header{Key: r.string(), Value: r.bytes()})
	}
	return rec
}
