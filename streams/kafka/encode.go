package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/segmentio/kafka-go/compress"

	"nudge/streams"
)

// Record is what a Producer sends.
type Record struct {
	Key     []byte // nil for none
	Value   []byte // nil is a tombstone
	Headers []streams.Header
	TimeMS  int64 // Unix milliseconds; 0: now. Topics with LogAppendTime put the broker's time in its place
}

// batch is a record batch being built: its header's place, then the encoded records.
type batch struct {
	b     []byte
	count int32
	first int64 // time of the first record
	last  int64 // the greatest time

	flushed chan<- struct{} // not a batch but a sign that everything before it is done with
}

// room is what a record adds to a batch at most.
func room(r *Record) int {
	n := 30 + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += 10 + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// add appends a record.
func (t *batch) add(r *Record, timeMS int64) {
	if t.count == 0 {
		t.b = append(t.b[:0], make([]byte, batchHeaderBytes)...)
		t.first, t.last = timeMS, timeMS
	}
	t.last = max(t.last, timeMS)
	delta := timeMS - t.first
	size := 1 + varintLen(delta) + varintLen(int64(t.count)) + bytesLen(r.Key) + bytesLen(r.Value) + varintLen(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		size += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	w := writer{t.b}
	w.varint(int64(size))
	w.int8(0)
	w.varint(delta)
	w.varint(int64(t.count))
	w.varbytes(r.Key)
	w.varbytes(r.Value)
	w.varint(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		w.varint(int64(len(h.Key)))
		w.b = append(w.b, h.Key...)
		w.varbytes(h.Value)
	}
	t.b = w.b
	t.count++
}

// compress replaces the records by their compressed form.
func (t *batch) compress(codec compress.Codec) error {
	var out bytes.Buffer
	out.Write(t.b[:batchHeaderBytes])
	w := codec.NewWriter(&out)
	if _, err := w.Write(t.b[batchHeaderBytes:]); err != nil {
		return fmt.Errorf("%s: %w", codec.Name(), err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("%s: %w", codec.Name(), err)
	}
	t.b = out.Bytes()
	return nil
}

// seal writes the header. An idempotent producer's id, epoch and sequence let the broker tell a repeated batch; -1 for each if it is not.
func (t *batch) seal(codec compress.Compression, producer int64, epoch int16, sequence int32) {
	b := t.b
	binary.BigEndian.PutUint64(b, 0)
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batchLength-4))
	binary.BigEndian.PutUint32(b[batchLength+4:], ^uint32(0)) // leader epoch: the broker's business
	b[batchMagic] = magic
	binary.BigEndian.PutUint16(b[batchAttributes:], uint16(codec))
	binary.BigEndian.PutUint32(b[batchLastDelta:], uint32(t.count-1))
	binary.BigEndian.PutUint64(b[batchFirstTime:], uint64(t.first))
	binary.BigEndian.PutUint64(b[batchMaxTime:], uint64(t.last))
	binary.BigEndian.PutUint64(b[batchProducer:], uint64(producer))
	binary.BigEndian.PutUint16(b[batchEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[batchSequence:], uint32(sequence))
	binary.BigEndian.PutUint32(b[batchCount:], uint32(t.count))
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttributes:], castagnoli))
}

func (w *writer) varbytes(b []byte) {
	if b == nil {
		w.varint(-1)
		return
	}
	w.varint(int64(len(b)))
	w.b = append(w.b, b...)
}

// varintLen is how many bytes a zigzag number takes.
func varintLen(v int64) int { return (bits.Len64(uint64(v<<1^v>>63)|1) + 6) / 7 }

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}
